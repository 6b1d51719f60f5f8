//! The annotated function: its signature, and its body as the tokens the user wrote.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::visit::{self, Visit};
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Macro, Pat, PatIdent, PatType, PathArguments,
    PathSegment, Receiver, ReturnType, Safety, Signature, Token, Type, TypeImplTrait, Visibility,
};

use crate::diagnostics::Errors;

/// Where generated code claims to be: at the user's tokens, but with names of its own and known to lints as generated.
pub(crate) fn generated_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// Where the tokens begin: what is reported of all of them is reported there.
pub(crate) fn first_span(tokens: impl ToTokens) -> Span {
    let first = tokens.into_token_stream().into_iter().next();
    first.map_or_else(Span::mixed_site, |first| first.span())
}

#[derive(Clone)]
pub(crate) struct Function {
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub signature: Signature,
    /// `None`: a trait's method without a body.
    pub body: Option<Body>,
    pub parameters: Vec<Parameter>,
}

/// Never parsed, so a half-written body still completes in editors.
#[derive(Clone)]
pub(crate) struct Body {
    /// `#![..]` and `//!` lines, which are only allowed at the top of a function.
    pub inner_attrs: TokenStream,
    pub block: Group,
}

#[derive(Clone)]
pub(crate) struct Parameter {
    pub declared: PatType,
    /// What the pattern binds, which is all that the body can see of the argument.
    pub names: Vec<Ident>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let signature: Signature = input.parse()?;
        let body = if input.parse::<Option<Token![;]>>()?.is_some() {
            None
        } else {
            Some(input.parse()?)
        };
        let parameters = signature
            .inputs
            .iter()
            .filter_map(|argument| match argument {
                FnArg::Receiver(_) => None,
                FnArg::Typed(declared) => Some(Parameter {
                    names: bindings(&declared.pat)
                        .into_iter()
                        .map(|binding| binding.ident.clone())
                        .collect(),
                    declared: declared.clone(),
                }),
            })
            .collect();
        Ok(Self {
            attrs,
            vis,
            signature,
            body,
            parameters,
        })
    }
}

impl Parse for Body {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let group: Group = input.parse()?;
        if group.delimiter() != Delimiter::Brace {
            return Err(syn::Error::new(
                group.span(),
                "expected the function's body",
            ));
        }
        let mut tokens = group.stream().into_iter().peekable();
        let mut inner_attrs = TokenStream::new();
        while let Some(hash) = tokens.next_if(|token| is_punct(token, '#')) {
            if let Some(bang) = tokens.next_if(|token| is_punct(token, '!')) {
                inner_attrs.extend([hash, bang]);
                inner_attrs.extend(tokens.next());
            } else {
                let rest = std::iter::once(hash).chain(tokens).collect();
                return Ok(Self {
                    inner_attrs,
                    block: block(&group, rest),
                });
            }
        }
        Ok(Self {
            inner_attrs,
            block: block(&group, tokens.collect()),
        })
    }
}

fn block(original: &Group, statements: TokenStream) -> Group {
    let mut block = Group::new(Delimiter::Brace, statements);
    block.set_span(original.span());
    block
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

impl Function {
    /// Every name that a pattern of a parameter binds.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Ident> {
        self.parameters
            .iter()
            .flat_map(|parameter| &parameter.names)
    }

    /// The type of the parameter that is exactly this name.
    pub(crate) fn declared_as(&self, name: &Ident) -> Option<&Type> {
        self.parameters
            .iter()
            .find_map(|parameter| match &*parameter.declared.pat {
                Pat::Ident(pattern) if pattern.ident == *name && pattern.by_ref.is_none() => {
                    Some(&*parameter.declared.ty)
                }
                _ => None,
            })
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.signature.receiver()
    }

    /// A parameter's name for messages that show what to write.
    pub(crate) fn example_name(&self) -> String {
        self.names()
            .next()
            .map_or_else(|| "id".to_owned(), |name| name.unraw().to_string())
    }

    /// The return type; `()` if none is written.
    pub(crate) fn output(&self) -> Type {
        match &self.signature.output {
            ReturnType::Default => Type::Tuple(syn::TypeTuple {
                attrs: Vec::new(),
                paren_token: syn::token::Paren::default(),
                elems: syn::punctuated::Punctuated::new(),
            }),
            ReturnType::Type(_, output) => (**output).clone(),
        }
    }

    /// What both kinds of attributes ask of a function.
    pub(crate) fn check(&self, attribute: &str, errors: &Errors) {
        let signature = &self.signature;
        if signature.asyncness.is_none() && signature.constness.is_none() {
            if is_boxed_future(&signature.output) {
                errors.on(
                    self.output(),
                    format!(
                        "`#[{attribute}]` has to see the `async fn` that `#[async_trait]` has already rewritten here: \
                         use a native `async fn` in the trait, or move the body to an inherent `async fn` and annotate that one"
                    ),
                );
            } else {
                errors.on(
                    signature.fn_token,
                    format!("`#[{attribute}]` goes on an `async fn`: write `async fn`"),
                );
            }
        }
        if let Some(constness) = &signature.constness {
            errors.on(
                constness,
                format!("`#[{attribute}]` goes on an `async fn`, which cannot be `const`"),
            );
        }
        if let Safety::Unsafe(unsafety) = &signature.safety {
            errors.on(
                unsafety,
                format!("`#[{attribute}]` cannot uphold the promises of an `unsafe fn`: annotate a safe function that calls it"),
            );
        }
        if let Some(abi) = &signature.abi {
            errors.on(
                abi,
                format!("`#[{attribute}]` goes on a function of the Rust ABI: remove `extern`"),
            );
        }
        if let Some(variadic) = &signature.variadic {
            errors.on(
                variadic,
                format!("`#[{attribute}]` cannot see variadic arguments"),
            );
        }
        if self.body.is_none() {
            errors.on(
                &signature.ident,
                format!("this method has no body to wrap: put `#[{attribute}]` on the method in the `impl`, or give it a body here"),
            );
        }
        for parameter in &self.parameters {
            if let Some(pattern) = find_macro(&parameter.declared.pat) {
                errors.on(
                    pattern,
                    "the names that a macro binds cannot be seen here: write the pattern out",
                );
            }
        }
        if let Type::Never(never) = self.output() {
            errors.on(
                never,
                format!("`#[{attribute}]` acts when a function returns, and this one never does"),
            );
        }
        if let Some(opaque) = find_impl_trait(&self.output()) {
            errors.on(opaque, format!("`#[{attribute}]` needs a type it can name: write the concrete type instead of `impl ..`"));
        }
    }
}

/// As the user wrote it, for when the attribute is wrong: the function still type-checks.
impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs,
            vis,
            signature,
            body,
            ..
        } = self;
        let body = match body {
            None => quote!(;),
            Some(Body {
                inner_attrs,
                block: original,
            }) => {
                let statements = original.stream();
                block(original, quote!(#inner_attrs #statements)).into_token_stream()
            }
        };
        tokens.extend(quote!(#(#attrs)* #vis #signature #body));
    }
}

/// What a pattern binds, each name once.
pub(crate) fn bindings(pattern: &Pat) -> Vec<&PatIdent> {
    struct Bindings<'ast>(Vec<&'ast PatIdent>);
    impl<'ast> Visit<'ast> for Bindings<'ast> {
        fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
            if self.0.iter().all(|known| known.ident != pattern.ident) {
                self.0.push(pattern);
            }
            visit::visit_pat_ident(self, pattern);
        }
    }
    let mut found = Bindings(Vec::new());
    found.visit_pat(pattern);
    found.0
}

fn find_macro(pattern: &Pat) -> Option<&Macro> {
    struct Macros<'ast>(Option<&'ast Macro>);
    impl<'ast> Visit<'ast> for Macros<'ast> {
        fn visit_macro(&mut self, invocation: &'ast Macro) {
            self.0 = Some(invocation);
        }
    }
    let mut found = Macros(None);
    found.visit_pat(pattern);
    found.0
}

fn find_impl_trait(ty: &Type) -> Option<TypeImplTrait> {
    struct Opaque(Option<TypeImplTrait>);
    impl<'ast> Visit<'ast> for Opaque {
        fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
            self.0 = Some(ty.clone());
        }
    }
    let mut found = Opaque(None);
    found.visit_type(ty);
    found.0
}

/// `Pin<Box<dyn Future<..>>>` or `BoxFuture<..>`: what `#[async_trait]` makes of an `async fn`.
fn is_boxed_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else {
        return false;
    };
    let Type::Path(path) = &**output else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    last.ident == "BoxFuture" || last.ident == "Pin" && mentions(last.to_token_stream(), "Future")
}

/// Whether the type is a path that ends with this name.
pub(crate) fn is_called(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == name)
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The types in angle brackets behind this name.
pub(crate) fn arguments<'a>(ty: &'a Type, name: &str) -> Vec<&'a Type> {
    let last = last_segment(ty).filter(|last| last.ident == name);
    match last.map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => {
            let types = arguments.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            types.collect()
        }
        _ => Vec::new(),
    }
}

/// Whether an identifier appears anywhere in the tokens.
pub(crate) fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Names of the function's own type and const parameters; those of its `impl` cannot be seen from here.
pub(crate) fn generics(signature: &Signature) -> impl Iterator<Item = &Ident> {
    signature
        .generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) => None,
        })
}

/// Those of them that are types.
pub(crate) fn type_parameters(signature: &Signature) -> impl Iterator<Item = &Ident> {
    signature
        .generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) | GenericParam::Const(_) => None,
        })
}

/// The pattern without `mut` on its bindings, which would be one too many where the name is bound a second time.
pub(crate) fn immutable(pattern: TokenStream) -> TokenStream {
    let mut after_reference = false;
    let mut kept = TokenStream::new();
    for token in pattern {
        let is_reference = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '&');
        let is_mut = matches!(&token, TokenTree::Ident(word) if word == "mut");
        match token {
            TokenTree::Group(group) => {
                let mut inside = Group::new(group.delimiter(), immutable(group.stream()));
                inside.set_span(group.span());
                kept.extend([TokenTree::Group(inside)]);
            }
            _ if is_mut && !after_reference => {}
            other => kept.extend([other]),
        }
        after_reference = is_reference;
    }
    kept
}
