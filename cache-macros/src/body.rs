//! The user's body as a future, in which `return`, `?` and coercions of the last expression mean what they did.

use proc_macro2::{Group, Span, TokenStream};
use quote::quote_spanned;
use syn::Type;

use crate::signature::generated_at;

/// An `async` block and not a function of its own, so that `self`, `Self`, generics of the `impl` and `impl Trait`
/// arguments need no second declaration.
///
/// Nothing but an earlier `return` tells such a block its type, hence the one that never runs.
///
/// `before` are statements that the body finds done. `__cache` is in scope.
pub(crate) fn future(block: &Group, output: &Type, before: Option<TokenStream>) -> TokenStream {
    let block = generated_braces(block);
    quote_spanned! {Span::mixed_site()=>
        async move {
            #before
            if let __cache::Some(typed) = __cache::nothing::<#output>() {
                return typed;
            }
            #block
        }
    }
}

/// The block with braces that count as generated: around a body of one line they are unnecessary
/// here, and rustc would say so to the user.
fn generated_braces(block: &Group) -> Group {
    let mut braces = Group::new(block.delimiter(), block.stream());
    braces.set_span(generated_at(block.span()));
    braces
}
