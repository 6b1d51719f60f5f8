//! The attributes of `cache-runtime`, which re-exports them: depend on that crate, not on this one.

mod args;
mod body;
mod diagnostics;
mod duration;
mod expand;
mod model;
mod runtime;
mod signature;
mod template;

use proc_macro::TokenStream;

/// Caches.
#[proc_macro_attribute]
pub fn cached(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(attribute.into(), item.into(), &runtime::path()).into()
}
