//! A body that may run in the background, when its caller has long got an answer: it owns its arguments.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{FnArg, Lifetime, Pat, Receiver, ReceiverKind, Signature, Token, Type, TypeReference};

use crate::body;
use crate::diagnostics::Errors;
use crate::receiver::{self, Renamed};
use crate::signature::{Function, bindings, generated_at, immutable};

pub(crate) struct Background {
    /// With `self` renamed.
    block: Group,
    /// What the body uses of the arguments.
    arguments: Vec<Argument>,
}

struct Argument {
    /// As the signature binds it.
    outside: Ident,
    /// As the body knows it.
    inside: Ident,
    mutability: Option<Token![mut]>,
    /// `&'static T`, which is kept as it is.
    is_static: bool,
}

impl Background {
    /// `None`: something was reported.
    pub(crate) fn new(function: &Function, errors: &Errors) -> Option<Self> {
        let before = errors.len();
        check_arguments(function, errors);
        check_output(function, errors);
        let original = &function.body.as_ref()?.block;
        let mut block = original.clone();
        let mut arguments = Vec::new();
        if let Some(receiver) = function.receiver() {
            let renamed = Renamed::new(original.stream());
            for literal in renamed.captures {
                errors.on(
                    literal,
                    "a load in the background owns `self` under another name, which text cannot capture: write `\"{}\", self`",
                );
            }
            if renamed.found {
                arguments.push(Argument::receiver(receiver));
            }
            block = Group::new(Delimiter::Brace, renamed.tokens);
            block.set_span(original.span());
        }
        for parameter in &function.parameters {
            let is_static = matches!((&*parameter.declared.pat, &*parameter.declared.ty),
                (Pat::Ident(_), Type::Reference(reference)) if is_static(reference.lifetime.as_ref()));
            for binding in bindings(&parameter.declared.pat) {
                // What the body does not use need not be `Clone`.
                if mentions(original.stream(), &binding.ident.unraw().to_string()) {
                    arguments.push(Argument {
                        outside: binding.ident.clone(),
                        inside: binding.ident.clone(),
                        mutability: binding.mutability,
                        is_static,
                    });
                }
            }
        }
        (errors.len() == before).then_some(Self { block, arguments })
    }

    /// The closure that makes one load, each time it is called, from clones of the arguments.
    pub(crate) fn load(&self, output: &Type, runtime: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let owned = self.arguments.iter().map(|argument| {
            let Argument {
                outside, inside, ..
            } = argument;
            // At the user's parameter, where one that cannot be owned is reported.
            let at = generated_at(outside.span());
            let runtime = located_at(runtime, at);
            let own = if argument.is_static {
                quote_spanned!(at=> OwnValue)
            } else {
                quote_spanned!(at=> Own)
            };
            quote_spanned!(at=> let #inside = #runtime::__private::#own::new(&#outside).own();)
        });
        let names = self.arguments.iter().map(|argument| &argument.inside);
        let mutability = self.arguments.iter().map(|argument| argument.mutability);
        let values = names
            .clone()
            .map(|name| quote_spanned!(generated_at(name.span())=> #name.argument()));
        let arguments = (!self.arguments.is_empty()).then(|| {
            // What only the key uses is no mistake of the user's.
            quote_spanned! {span=>
                #[allow(unused_variables)]
                let (#(#mutability #names,)*) = (#(#values,)*);
            }
        });
        let future = body::future(&self.block, output, arguments);
        quote_spanned! {span=>
            move || {
                #(#owned)*
                #future
            }
        }
    }
}

/// The signature without `mut` on its bindings: it is the body's own that may change.
pub(crate) fn signature(function: &Function) -> Signature {
    let mut signature = function.signature.clone();
    for argument in &mut signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => receiver.mutability = None,
            FnArg::Typed(declared) => {
                *declared.pat = Pat::Verbatim(immutable(declared.pat.to_token_stream()));
            }
        }
    }
    signature
}

impl Argument {
    fn receiver(receiver: &Receiver) -> Self {
        let lifetime = match &receiver.kind {
            ReceiverKind::Reference(_, lifetime, _) => lifetime.as_ref(),
            ReceiverKind::Typed(_, ty) => match &**ty {
                Type::Reference(reference) => reference.lifetime.as_ref(),
                _ => None,
            },
            _ => None,
        };
        let span = receiver.self_token.span;
        Self {
            outside: Ident::new("self", span),
            inside: receiver::name(span),
            mutability: receiver.mutability,
            is_static: is_static(lifetime),
        }
    }
}

/// The path, all of it where one error about it is to be shown.
pub(crate) fn located_at(path: &TokenStream, span: Span) -> TokenStream {
    let located = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    path.clone().into_iter().map(located).collect()
}

fn check_arguments(function: &Function, errors: &Errors) {
    let message = "a load in the background cannot borrow mutably from its caller: take this by value, or remove `stale_while_revalidate`";
    let borrows_mutably =
        |ty: &Type| matches!(ty, Type::Reference(reference) if reference.mutability.is_some());
    if let Some(receiver) = function.receiver() {
        let is_mutable = match &receiver.kind {
            ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
            ReceiverKind::Typed(_, ty) => borrows_mutably(ty),
            _ => false,
        };
        if is_mutable {
            errors.on(receiver, message);
        }
    }
    for parameter in &function.parameters {
        let pattern = &parameter.declared.pat;
        if borrows_mutably(&parameter.declared.ty) {
            errors.on(&parameter.declared, message);
        }
        for binding in bindings(pattern) {
            if binding.by_ref.is_some() && binding.mutability.is_some() {
                errors.on(binding, message);
            }
        }
    }
}

fn check_output(function: &Function, errors: &Errors) {
    struct Borrows(Option<TokenStream>);
    impl<'ast> Visit<'ast> for Borrows {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if !is_static(Some(lifetime)) {
                self.0.get_or_insert_with(|| lifetime.to_token_stream());
            }
        }

        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            if !is_static(reference.lifetime.as_ref()) {
                self.0.get_or_insert_with(|| reference.to_token_stream());
            }
            visit::visit_type_reference(self, reference);
        }
    }
    let output = function.output();
    let mut borrows = Borrows(None);
    borrows.visit_type(&output);
    if let Some(borrowed) = borrows.0 {
        errors.on(
            borrowed,
            "a load in the background outlives its caller, so neither its value nor its error can borrow: return owned types, or remove `stale_while_revalidate`",
        );
    }
}

fn is_static(lifetime: Option<&Lifetime>) -> bool {
    lifetime.is_some_and(|lifetime| lifetime.ident == "static")
}

/// Whether the body may use the variable: by a like-named token, or by text that may capture it.
pub(crate) fn mentions(body: TokenStream, name: &str) -> bool {
    body.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word.unraw() == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Literal(literal) => literal.to_string().contains(name),
        TokenTree::Punct(_) => false,
    })
}
