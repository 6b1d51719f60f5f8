//! Where generated code finds the runtime crate, which a user's `Cargo.toml` may have renamed.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// `::cache_runtime`, or what the crate being compiled calls it.
pub(crate) fn path() -> TokenStream {
    let span = Span::mixed_site();
    let name = match crate_name("cache-runtime") {
        Ok(FoundCrate::Name(name)) => name,
        // In the runtime's own examples; or a manifest that cannot be read, and then rustc says
        // best what is missing.
        Ok(FoundCrate::Itself) | Err(_) => "cache_runtime".to_owned(),
    };
    let name = Ident::new(&name, span);
    quote_spanned!(span=> ::#name)
}
