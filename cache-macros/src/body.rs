//! The user's body as a future, in which `return`, `?` and coercions of the last expression mean what they did.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::Type;

use crate::signature::Body;

/// An `async` block and not a function of its own, so that `self`, `Self`, generics of the `impl` and `impl Trait`
/// arguments need no second declaration.
///
/// Nothing but an earlier `return` tells such a block its type, hence the one that never runs.
pub(crate) fn future(body: &Body, output: &Type) -> TokenStream {
    let block = &body.block;
    quote_spanned! {Span::mixed_site()=>
        async move {
            if let ::core::option::Option::Some(typed) = ::core::option::Option::None::<#output> {
                return typed;
            }
            #block
        }
    }
}
