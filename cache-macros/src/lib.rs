//! The attributes of `cache-runtime`, which re-exports them: depend on that crate, not on this one.

mod args;
mod body;
mod diagnostics;
mod duration;
mod expand;
mod expand_writes;
mod model;
mod runtime;
mod signature;
mod template;
mod writes;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Caches.
#[proc_macro_attribute]
pub fn cached(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(attribute.into(), item.into(), &runtime::path()).into()
}

/// Invalidates.
#[proc_macro_attribute]
pub fn invalidates(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_writes::writes(
        writes::Kind::Invalidates,
        attribute.into(),
        item.into(),
        &runtime::path(),
    )
    .into()
}

/// Updates.
#[proc_macro_attribute]
pub fn updates(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_writes::writes(
        writes::Kind::Updates,
        attribute.into(),
        item.into(),
        &runtime::path(),
    )
    .into()
}
