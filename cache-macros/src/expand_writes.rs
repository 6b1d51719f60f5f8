//! `#[invalidates]` and `#[updates]`: a checked model → one write around the body.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use crate::body;
use crate::diagnostics::Errors;
use crate::expand::{by_reference, function};
use crate::signature::{Body, Function, generated_at};
use crate::writes::{self, Item, Kind, Passing, Target, Writes};

/// The whole of `#[invalidates(attribute)] item` and `#[updates(attribute)] item`.
pub(crate) fn writes(
    kind: Kind,
    attribute: TokenStream,
    item: TokenStream,
    runtime: &TokenStream,
) -> TokenStream {
    let errors = Errors::new();
    let Some(function) = function(&item, kind.name(), &errors) else {
        return errors.to_compile_errors().into_iter().chain(item).collect();
    };
    match (
        Writes::read(kind, attribute, &function, &errors),
        &function.body,
    ) {
        (Some(writes), Some(body)) => Expansion {
            kind,
            writes: &writes,
            function: &function,
            runtime,
        }
        .annotated(body),
        _ => {
            let errors = errors.to_compile_errors();
            quote!(#errors #function)
        }
    }
}

struct Expansion<'a> {
    kind: Kind,
    writes: &'a Writes,
    function: &'a Function,
    runtime: &'a TokenStream,
}

impl Expansion<'_> {
    fn annotated(&self, body: &Body) -> TokenStream {
        let Function {
            attrs,
            vis,
            signature,
            ..
        } = self.function;
        let runtime = self.runtime;
        let inner_attrs = &body.inner_attrs;
        let output = self.function.output();
        let span = Span::mixed_site();
        let only_ok = self
            .writes
            .only_ok
            .then(|| quote_spanned!(span=> .only_ok()));
        let cache = self.writes.cache.as_ref().map(by_reference);
        let new = match self.kind {
            Kind::Invalidates => quote_spanned!(span=> new),
            Kind::Updates => quote_spanned!(span=> updating),
        };
        let before = self
            .items()
            .filter(|(_, item)| item.after.is_none())
            .map(|(entry, item)| self.named(&entry, item));
        let future = body::future(&body.block, &output, None);
        let ret = self.result_name();
        let on_success = self
            .items()
            .map(|(entry, item)| self.on_success(&entry, item, &ret));
        let contents = quote_spanned! {span=>
            use #runtime::__private as __cache;
            let mut write = __cache::Write::#new() #only_ok #cache;
            #(#before)*
            let output = write.run(#future).await;
            if let __cache::Some(#ret) = __cache::Success::<#output>::new().of(&output) {
                #(#on_success)*
                write.succeeded().await;
            } else {
                write.failed().await;
            }
            output
        };
        quote! { #(#attrs)* #vis #signature { #inner_attrs #contents } }
    }

    /// Each item with the name of the variable that holds its entry.
    fn items(&self) -> impl Iterator<Item = (Ident, &Item)> {
        let name = |number| format_ident!("entry_{}", number, span = Span::mixed_site());
        self.writes
            .items
            .iter()
            .enumerate()
            .map(move |(number, item)| (name(number), item))
    }

    /// `ret` as the user can see it, if anything of the user's needs it.
    fn result_name(&self) -> Ident {
        let of_user = self.writes.items.iter().find_map(|item| {
            item.after.clone().or_else(|| match &item.target {
                Target::Entry {
                    value: Some(value), ..
                } => writes::uses_result(value),
                Target::Entry { value: None, .. } | Target::Tag(_) => None,
            })
        });
        let stored_whole = || self.kind == Kind::Updates;
        of_user.unwrap_or_else(|| {
            Ident::new(
                if stored_whole() { "ret" } else { "_ret" },
                Span::mixed_site(),
            )
        })
    }

    /// Names an outdated entry or tag.
    fn named(&self, entry: &Ident, item: &Item) -> TokenStream {
        let span = Span::mixed_site();
        match &item.target {
            Target::Tag(template) => quote_spanned!(span=> write.tag(|key| key #template);),
            Target::Entry { call, .. } => {
                let call = if item.after.is_some() {
                    (**call).clone()
                } else {
                    self.keeping_parameters(call)
                };
                quote_spanned! {span=>
                    let #entry = write.entry(|| #call);
                    write.target(&#entry);
                }
            }
        }
    }

    fn on_success(&self, entry: &Ident, item: &Item, ret: &Ident) -> TokenStream {
        let named = item.after.is_some().then(|| self.named(entry, item));
        let stored = match &item.target {
            Target::Entry { span, value, .. } if self.kind == Kind::Updates => {
                // At the user's call, or at the user's value, where a value of another type is reported.
                let value = match value {
                    Some(value) => value.to_token_stream(),
                    None => {
                        let mut ret = ret.clone();
                        ret.set_span(ret.span().located_at(*span));
                        ret.into_token_stream()
                    }
                };
                let at = generated_at(*span);
                Some(quote_spanned!(at=> write.update(#entry.stage(#value));))
            }
            Target::Entry { .. } | Target::Tag(_) => None,
        };
        quote!(#named #stored)
    }

    /// The call with clones of the parameters that it takes as they are: the body may consume them.
    fn keeping_parameters(&self, call: &Expr) -> Expr {
        let mut call = call.clone();
        for argument in writes::arguments(&mut call).into_iter().flatten() {
            let at = generated_at(argument.span());
            let passed = match writes::passing(argument, self.function) {
                Passing::AsWritten => continue,
                Passing::Cloned => quote_spanned!(at=> ::core::clone::Clone::clone(&#argument)),
                Passing::Reborrowed => quote_spanned!(at=> &*#argument),
            };
            *argument = Expr::Verbatim(passed);
        }
        call
    }
}
