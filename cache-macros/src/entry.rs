//! The signature of an entry function: that of the annotated function, for what its key needs.

use proc_macro2::{Group, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{
    Attribute, GenericParam, Generics, Lifetime, LifetimeParam, Meta, Pat, PatType, Type,
    TypeReference,
};

use crate::model::Entry;
use crate::signature::{self, Function, immutable};

/// All but the body.
pub(crate) fn signature(entry: &Entry, function: &Function, runtime: &TokenStream) -> TokenStream {
    let Function {
        attrs,
        vis,
        signature,
        ..
    } = function;
    let Entry {
        name,
        takes_self,
        parameters,
    } = entry;
    let attrs = attrs.iter().filter(|attr| concerns_siblings(attr));
    let doc = format!(
        " The entry of `{}` for these arguments: reads, stores and invalidates its value without calling it.",
        signature.ident.unraw(),
    );
    let where_clause = &signature.generics.where_clause;
    let receiver = takes_self.then(|| {
        let receiver = Ident::new(
            "self",
            signature
                .receiver()
                .map_or_else(Span::call_site, |receiver| receiver.self_token.span),
        );
        quote!(&#receiver,)
    });
    let parameters = parameters.iter().map(|parameter| {
        let pattern = immutable(parameter.declared.pat.to_token_stream());
        let ty = shared(&parameter.declared);
        quote!(#pattern: #ty)
    });
    let inputs = quote!(#receiver #(#parameters),*);
    let output = owned_lifetimes(function.output().into_token_stream());
    let generics =
        without_unused_lifetimes(&signature.generics, &quote!(#inputs #output #where_clause));
    quote_spanned! {Span::mixed_site()=>
        #(#attrs)*
        #[doc = #doc]
        #vis fn #name #generics (#inputs) -> #runtime::Entry<#output> #where_clause
    }
}

/// Lifetimes that only skipped arguments use are not declared. (Type parameters are: callers may spell them.)
fn without_unused_lifetimes(generics: &Generics, users: &TokenStream) -> Generics {
    let used = |lifetime: &LifetimeParam| {
        let others = generics.params.iter().filter(|other| {
            !matches!(other, GenericParam::Lifetime(other) if other.lifetime == lifetime.lifetime)
        });
        let name = lifetime.lifetime.ident.to_string();
        names_lifetime(quote!(#users #(#others)*), &name)
    };
    let params = generics.params.iter().filter(|parameter| match parameter {
        GenericParam::Lifetime(lifetime) => used(lifetime),
        GenericParam::Type(_) | GenericParam::Const(_) => true,
    });
    Generics {
        params: params.cloned().collect(),
        ..generics.clone()
    }
}

fn names_lifetime(tokens: TokenStream, name: &str) -> bool {
    let mut after_quote = false;
    tokens.into_iter().any(|token| {
        let found = match &token {
            TokenTree::Ident(word) => after_quote && word == name,
            TokenTree::Group(group) => names_lifetime(group.stream(), name),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        };
        after_quote = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        found
    })
}

/// Attributes of the function that its entry must follow.
fn concerns_siblings(attr: &Attribute) -> bool {
    let path = attr.path();
    path.is_ident("cfg")
        || path.is_ident("allow")
        || path.is_ident("doc")
            && matches!(&attr.meta, Meta::List(list) if signature::mentions(list.tokens.clone(), "hidden"))
}

/// A key only reads its arguments: `&T` where the function takes `&mut T`.
fn shared(declared: &PatType) -> Type {
    match (&*declared.pat, &*declared.ty) {
        (Pat::Ident(_), Type::Reference(reference)) => Type::Reference(TypeReference {
            mutability: None,
            ..reference.clone()
        }),
        (_, ty) => ty.clone(),
    }
}

/// The type with `'static` where a lifetime is left out: an entry borrows nothing, and may take no argument to borrow from.
pub(crate) fn owned_lifetimes(output: TokenStream) -> TokenStream {
    let mut tokens = output.into_iter().peekable();
    let mut owned = TokenStream::new();
    let mut in_signature = false;
    while let Some(token) = tokens.next() {
        let is_function = matches!(&token, TokenTree::Ident(word) if ["fn", "Fn", "FnMut", "FnOnce"].iter().any(|name| word == name));
        match token {
            // Lifetimes left out in `fn(&str)` are any lifetime.
            TokenTree::Group(group) if !in_signature => {
                let delimiter = group.delimiter();
                let mut mapped = Group::new(delimiter, owned_lifetimes(group.stream()));
                mapped.set_span(group.span());
                owned.extend([TokenTree::Group(mapped)]);
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let span = punct.span();
                owned.extend([TokenTree::Punct(punct)]);
                let named = tokens.peek().is_some_and(
                    |next| matches!(next, TokenTree::Punct(quote) if quote.as_char() == '\''),
                );
                if !named {
                    Lifetime::new("'static", span).to_tokens(&mut owned);
                }
            }
            TokenTree::Punct(punct)
                if punct.as_char() == '\'' && punct.spacing() == Spacing::Joint =>
            {
                owned.extend([TokenTree::Punct(punct)]);
                if let Some(TokenTree::Ident(name)) = tokens.next() {
                    let name = if name == "_" {
                        Ident::new("static", name.span())
                    } else {
                        name
                    };
                    owned.extend([TokenTree::Ident(name)]);
                }
            }
            other => owned.extend([other]),
        }
        in_signature = is_function;
    }
    owned
}
