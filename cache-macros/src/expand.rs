//! `#[cached]`: a checked model → a static site and one call, and the entry beside it.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprPath, GenericParam, ReceiverKind, Type};

use crate::args::{CachedArgs, Setting};
use crate::background::{self, Background};
use crate::batch::Batch;
use crate::body;
use crate::diagnostics::Errors;
use crate::duration::Duration;
use crate::entry;
use crate::model::{Cached, Entry, Key, Ttl};
use crate::signature::{self, Body, Function, generated_at};

/// The whole of `#[cached(attribute)] item`.
pub(crate) fn cached(
    attribute: TokenStream,
    item: TokenStream,
    runtime: &TokenStream,
) -> TokenStream {
    let errors = Errors::new();
    let args = CachedArgs::read(attribute, &errors);
    let function = match function(&item, "cached", &errors) {
        Some(function) => function,
        None => return errors.to_compile_errors().into_iter().chain(item).collect(),
    };
    match (
        Cached::new(args, &function, runtime, &errors),
        &function.body,
    ) {
        (Ok(cached), Some(body)) => {
            let expansion = Expansion {
                cached: &cached,
                function: &function,
                runtime,
            };
            let annotated = expansion.annotated(body);
            let entry = cached.entry.as_ref().map(|entry| expansion.entry(entry));
            quote!(#annotated #entry)
        }
        (Ok(_), None) => errors.to_compile_errors(),
        (Err(entry), _) => {
            let entry = entry.map(|entry| unusable_entry(&entry, &function, runtime));
            let errors = errors.to_compile_errors();
            quote!(#errors #function #entry)
        }
    }
}

/// The item as a function, or an error on it.
pub(crate) fn function(item: &TokenStream, attribute: &str, errors: &Errors) -> Option<Function> {
    match syn::parse2(item.clone()) {
        Ok(function) => Some(function),
        Err(error) => {
            let is_function = item
                .clone()
                .into_iter()
                .any(|token| matches!(token, TokenTree::Ident(word) if word == "fn"));
            if is_function {
                errors.push(error);
            } else {
                errors.on(item, format!("`#[{attribute}]` goes on an `async fn`"));
            }
            None
        }
    }
}

struct Expansion<'a> {
    cached: &'a Cached,
    function: &'a Function,
    runtime: &'a TokenStream,
}

impl Expansion<'_> {
    /// The function under its own name, with its body handed to the cache.
    fn annotated(&self, body: &Body) -> TokenStream {
        let Function {
            attrs,
            vis,
            signature,
            ..
        } = self.function;
        let inner_attrs = &body.inner_attrs;
        let (signature, contents) = match (&self.cached.batch, &self.cached.background) {
            (Some(batch), _) => (
                background::signature(self.function),
                self.batch(batch, body),
            ),
            (None, Some(background)) => (
                background::signature(self.function),
                self.refreshed(background),
            ),
            (None, None) => (signature.clone(), self.loaded(body)),
        };
        let site = self.site();
        let near = self.cached.near.as_ref();
        let near = near.map(|_| quote_spanned!(Span::mixed_site()=> use __cache::NearFor as _;));
        let contents = quote_spanned!(Span::mixed_site()=> #site #near #contents);
        quote! { #(#attrs)* #vis #signature { #inner_attrs #contents } }
    }

    /// The call with a load that its caller runs.
    fn loaded(&self, body: &Body) -> TokenStream {
        let span = Span::mixed_site();
        let future = body::future(&body.block, &self.cached.output, None);
        self.call(quote_spanned!(span=> plan.get_or_load(#future)), span)
    }

    /// The call with a load that may be run in the background.
    fn refreshed(&self, background: &Background) -> TokenStream {
        let output = &self.cached.output;
        let load = background.load(output, self.runtime);
        // At the return type, where one that is not `Send` is reported.
        let at = generated_at(output.span());
        self.call(quote_spanned!(at=> plan.get_or_refresh(#load)), at)
    }

    fn call(&self, call: TokenStream, at: Span) -> TokenStream {
        let hit = quote_spanned!(at=> hit);
        let plan = self.plan(&hit, |plan| plan);
        let call = match &self.cached.near {
            // A near hit does not carry what it does not need.
            Some(_) => quote_spanned!(at=> __cache::apart(#call).await),
            None => quote_spanned!(at=> #call.await),
        };
        // A statement of its own: what the user's expressions borrow or lock ends with it.
        quote_spanned! {Span::mixed_site()=>
            let plan = #plan;
            #call
        }
    }

    /// The call for many ids, each of which has a plan.
    fn batch(&self, batch: &Batch, body: &Body) -> TokenStream {
        let span = Span::mixed_site();
        let output = self.function.output();
        let Batch { id, ids, .. } = batch;
        let ids = &ids.ident;
        let kept = match batch.or_none {
            true => quote_spanned!(span=> OrNone),
            false => quote_spanned!(span=> Present),
        };
        let hit = quote_spanned!(span=> __cache::Each::Near(hit));
        let plan = self.plan(
            &hit,
            |plan| quote_spanned!(span=> __cache::Each::Ask(#plan)),
        );
        let origin = batch.origin(body, &output);
        // At the return type, where one that is none of a batch is reported.
        let at = generated_at(output.span());
        quote_spanned! {at=>
            __cache::Batch::<#output, __cache::#kept>::of(#ids)
                .each(|#id| #plan)
                .get_or_load(#origin)
                .await
        }
    }

    /// The plan; a copy in the process is returned from where it stands, as `hit`.
    fn plan(&self, hit: &TokenStream, asked: impl Fn(TokenStream) -> TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let output = &self.cached.output;
        let bypass = setting("bypass", self.cached.bypass_if.as_ref());
        let share_errors = self.cached.shares_errors.then(
            || quote_spanned!(span=> .share_errors(__cache::Errors::<#output>::new().sharing())),
        );
        let policy = self.cached.policy.as_ref().map(|policy| {
            let refreshes = self.cached.stale_while_revalidate.is_some();
            let content = self.cached.stale_if_error.is_some();
            checked(policy, refreshes, content).unwrap_or_else(|| by_reference(policy))
        });
        let address = self.address(output.to_token_stream());
        let key = self.key();
        let rules = self.rules();
        let rules = quote!(#rules #policy #share_errors);
        match self.cached.near.as_ref().map(near) {
            // Without a future: a copy in the process is there at once.
            Some(near) => {
                let numbers = self.numbers();
                let asked = asked(quote_spanned!(span=> at #rules));
                quote_spanned! {span=>
                    match #address #bypass #near.find([#(#numbers),*], |key| #key) {
                        __cache::Near::Hit(hit) => return #hit,
                        __cache::Near::Miss(mut at) => #asked,
                    }
                }
            }
            None => asked(quote_spanned!(span=> #address.key(|key| #key) #bypass #rules)),
        }
    }

    /// What the plan names. The body sees these names, hence the underscores.
    fn site(&self) -> TokenStream {
        let runtime = self.runtime;
        let name = self.function.signature.ident.unraw().to_string();
        let template = match &self.cached.key {
            Key::Template(template) => template.literal().value(),
            Key::Default(_) => String::new(),
        };
        quote_spanned! {Span::mixed_site()=>
            use #runtime::__private as __cache;
            static __SITE: __cache::Site = __cache::Site::new(#name, #template);
        }
    }

    /// The chain that says where the value is, but for its key.
    fn address(&self, output: TokenStream) -> TokenStream {
        let cached = self.cached;
        let probed = probed(&cached.output, &output);
        let cache = cached.cache.as_ref().map(by_reference);
        let tags = &cached.tags;
        quote_spanned! {Span::mixed_site()=>
            #probed
                #cache
                #(.tag(|key| key #tags))*
        }
    }

    /// The chain that goes on from there and says for how long it is kept.
    fn rules(&self) -> TokenStream {
        let cached = self.cached;
        let ttl = match &cached.ttl {
            Ttl::Is(ttl) => setting("ttl", Some(ttl)),
            Ttl::With(ttl_with) => setting("ttl_with", Some(ttl_with)),
        };
        let none_ttl = setting("none_ttl", cached.none_ttl.as_ref());
        let while_revalidate = setting(
            "stale_while_revalidate",
            cached.stale_while_revalidate.as_ref(),
        );
        let if_error = setting("stale_if_error", cached.stale_if_error.as_ref());
        let cache_if = setting("cache_if", cached.cache_if.as_ref());
        let codec = cached
            .codec
            .as_ref()
            .map(|Setting { name, value }| quote!(.#name::<#value>()));
        quote!(#ttl #none_ttl #while_revalidate #if_error #cache_if #codec)
    }

    /// What is in the key's places, as far as it is numbers.
    fn numbers(&self) -> Vec<TokenStream> {
        match &self.cached.key {
            Key::Template(template) => template.numbers().collect(),
            Key::Default(_) => Vec::new(),
        }
    }

    fn key(&self) -> TokenStream {
        let span = Span::mixed_site();
        let arguments = match &self.cached.key {
            Key::Template(template) => return quote_spanned!(span=> key #template),
            Key::Default(arguments) => arguments,
        };
        let generics = self.type_parameters();
        let parameters = &self.one().signature.generics.params;
        let constants = parameters.iter().filter_map(|parameter| match parameter {
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) | GenericParam::Type(_) => None,
        });
        let constants = constants.map(|name| (name, quote!(&#name)));
        let arguments = arguments.iter().map(|name| (name, self.borrowed(name)));
        let rendered = constants.chain(arguments).map(|(argument, borrowed)| {
            // At the user's parameter, where one that cannot be part of a key is reported.
            let arg = quote_spanned!(argument.span()=> __cache::Arg::new(#borrowed).render);
            quote_spanned!(span=> let key = #arg(key);)
        });
        quote_spanned! {span=>
            {
                let key = key.path(#generics);
                #(#rendered)*
                key
            }
        }
    }

    /// A reference to what the argument is, and not to a reference where it is one.
    fn borrowed(&self, argument: &Ident) -> TokenStream {
        let span = generated_at(argument.span());
        let mutability = if argument == "self" {
            match self.one().receiver().map(|receiver| &receiver.kind) {
                Some(ReceiverKind::Reference(_, _, mutability)) => Some(mutability),
                _ => None,
            }
        } else {
            match self.one().declared_as(argument) {
                Some(Type::Reference(reference)) => Some(&reference.mutability),
                _ => None,
            }
        };
        match mutability {
            Some(None) => argument.to_token_stream(),
            Some(Some(_)) => quote_spanned!(span=> &*#argument),
            None => quote_spanned!(span=> &#argument),
        }
    }

    /// The function's own type parameters as text. (Those of the `impl` are in the name of the marker closure.)
    fn type_parameters(&self) -> TokenStream {
        let span = Span::mixed_site();
        let signature = &self.one().signature;
        // Behind pointers, because they may be unsized.
        let named: Vec<_> = signature::type_parameters(signature)
            .map(|name| quote_spanned!(span=> *const #name))
            .collect();
        let opaque: Vec<_> = self
            .one()
            .parameters
            .iter()
            .filter(|parameter| signature::mentions(parameter.declared.ty.to_token_stream(), "impl"))
            .flat_map(|parameter| &parameter.names)
            .filter(|name| matches!(&self.cached.key, Key::Default(arguments) if arguments.contains(name)))
            .collect();
        if opaque.is_empty() && named.is_empty() {
            quote_spanned!(span=> "")
        } else if opaque.is_empty() {
            quote_spanned!(span=> ::core::any::type_name::<(#(#named,)*)>())
        } else {
            quote_spanned!(span=> ::core::any::type_name_of_val(&(::core::marker::PhantomData::<(#(#named,)*)>, #(&#opaque),*)))
        }
    }

    /// The sibling that reaches the stored value without calling the function.
    fn entry(&self, entry: &Entry) -> TokenStream {
        let signature = entry::signature(entry, self.one(), self.runtime);
        let id = self.cached.batch.as_ref().map(|batch| {
            let id = &batch.id;
            // As the batch knows it.
            quote_spanned!(generated_at(id.span())=> let #id = &#id;)
        });
        let output = entry::owned_lifetimes(self.cached.output.to_token_stream());
        let policy = self.cached.policy.as_ref().map(by_reference);
        let address = self.address(output);
        let rules = self.rules();
        let key = self.key();
        let key = quote_spanned!(Span::mixed_site()=> .key(|key| #key));
        let end = quote_spanned!(Span::mixed_site()=> .entry());
        let site = self.site();
        quote!(#signature { #site #id #address #key #rules #policy #end })
    }

    /// The function of one id if this is one of many, otherwise the function itself.
    fn one(&self) -> &Function {
        self.cached
            .batch
            .as_ref()
            .map_or(self.function, |batch| &batch.one)
    }
}

/// `.near_for(duration)`, where a value that cannot be kept is reported.
fn near(Setting { name, value }: &Setting<Option<Duration>>) -> TokenStream {
    let at = generated_at(name.span());
    match value {
        None => quote_spanned!(at=> .near_for(::core::time::Duration::MAX)),
        Some(ttl) => quote_spanned!(at=> .near_for(#ttl)),
    }
}

/// `.method(value)`, at the user's argument, where a value of another type is reported.
fn setting(method: &str, setting: Option<&Setting<impl ToTokens>>) -> Option<TokenStream> {
    let Setting { name, value } = setting?;
    let method = Ident::new(method, name.span());
    Some(quote_spanned!(generated_at(name.span())=> .#method(#value)))
}

/// `.cache(&(expr))`
pub(crate) fn by_reference(Setting { name, value }: &Setting<Expr>) -> TokenStream {
    quote_spanned!(generated_at(value.span())=> .#name(&(#value)))
}

/// The same for a policy that is a constant, going by its name: the compiler finds what contradicts the attribute.
///
/// A `static` of type `Policy` is as good. What only derefs to one while the program runs, such as a
/// `static` of type `LazyLock<Policy>`, is written as an expression: `policy = *POLICY`.
fn checked(
    Setting { name, value }: &Setting<Expr>,
    refreshes: bool,
    content: bool,
) -> Option<TokenStream> {
    let constant = constant(value)?;
    let at = generated_at(constant.span());
    let checked = quote_spanned!(at=> __cache::checked(&#constant, #refreshes, #content));
    Some(if may_be_generic(constant) {
        quote_spanned!(at=> .#name(&const { #checked }))
    } else {
        // An item is evaluated also by `cargo check`, but knows no generics.
        quote_spanned!(at=> .#name({ const __POLICY: __cache::Policy = #checked; &__POLICY }))
    })
}

/// The path, if its last segment is all upper case.
fn constant(expr: &Expr) -> Option<&ExprPath> {
    match expr {
        Expr::Group(group) => constant(&group.expr),
        Expr::Path(path) => {
            let name = path.path.segments.last()?.ident.to_string();
            let upper = name.contains(char::is_uppercase) && !name.contains(char::is_lowercase);
            upper.then_some(path)
        }
        _ => None,
    }
}

/// Whether the path may lead through `Self` or a type parameter, also of an `impl` that cannot be seen from here.
fn may_be_generic(path: &ExprPath) -> bool {
    let segments = &path.path.segments;
    let through_type = segments.len() > 1
        && segments.first().is_some_and(|first| {
            let name = first.ident.to_string();
            name.starts_with(char::is_uppercase)
        });
    let has_arguments = segments.iter().any(|segment| !segment.arguments.is_none());
    path.qself.is_some() || through_type || has_arguments
}

/// The address of what the function returns, whose shape is found out by type.
///
/// A value that cannot be cached is reported here, so this claims to be in the place of the type: of `T` where that is
/// spelled `Result<T, _>`.
fn probed(written: &Type, output: &TokenStream) -> TokenStream {
    let value = signature::arguments(written, "Result").first().copied();
    let span = signature::first_span(value.unwrap_or(written));
    quote_spanned!(span=> __cache::Probe::<#output>::new().at(&__SITE, &|| ()))
}

/// Stands in after an error, so that callers of the entry do not report its absence as well.
fn unusable_entry(entry: &Entry, function: &Function, runtime: &TokenStream) -> TokenStream {
    let signature = entry::signature(entry, function, runtime);
    quote_spanned!(Span::mixed_site()=> #[allow(unused_variables)] #signature { loop {} })
}
