//! What `#[cached]` says about a function, checked: nothing after this can fail.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{
    Expr, ExprPath, GenericArgument, Lifetime, Macro, PathArguments, Signature, Type, TypeReference,
};

use crate::args::{CachedArgs, Each, EntryName, Setting};
use crate::background::Background;
use crate::batch::Batch;
use crate::diagnostics::{self, Errors};
use crate::duration::Duration;
use crate::signature::{self, Function, Parameter};
use crate::template::{self, Template};

pub(crate) struct Cached {
    /// What is cached is what one id comes to.
    pub batch: Option<Batch>,
    pub output: Type,
    pub key: Key,
    pub tags: Vec<Template>,
    pub ttl: Ttl,
    pub none_ttl: Option<Setting<Duration>>,
    pub stale_while_revalidate: Option<Setting<Duration>>,
    pub stale_if_error: Option<Setting<Duration>>,
    pub near: Option<Setting<Option<Duration>>>,
    /// The body, if it may run in the background.
    pub background: Option<Background>,
    pub cache_if: Option<Setting<Expr>>,
    pub bypass_if: Option<Setting<Expr>>,
    pub codec: Option<Setting<Type>>,
    pub cache: Option<Setting<Expr>>,
    pub policy: Option<Setting<Expr>>,
    pub shares_errors: bool,
    pub entry: Option<Entry>,
}

pub(crate) enum Key {
    Template(Template),
    /// The function's path and these, in the order of the parameters.
    Default(Vec<Ident>),
}

pub(crate) enum Ttl {
    Is(Setting<Duration>),
    With(Setting<Expr>),
}

/// The sibling function of the entry.
pub(crate) struct Entry {
    pub name: Ident,
    pub takes_self: bool,
    pub parameters: Vec<Parameter>,
}

impl Cached {
    /// `Err`: something was reported; with the entry, if at least that is certain.
    pub(crate) fn new(
        args: CachedArgs,
        function: &Function,
        runtime: &TokenStream,
        errors: &Errors,
    ) -> Result<Self, Option<Entry>> {
        let before = errors.len();
        function.check("cached", errors);
        check_output(function, errors);
        let signature_is_sound = errors.len() == before;
        let batch = match &args.each {
            Some(each) => {
                let batch = Batch::new(&args, each, function, runtime, errors);
                Some(batch.ok_or(None)?)
            }
            None => None,
        };
        let background = args
            .stale_while_revalidate
            .as_ref()
            .and_then(|_| Background::new(function, errors));
        let function = batch.as_ref().map_or(function, |batch| &batch.one);
        let key = key(&args, function, errors);
        let tags = tags(&args, function, errors);
        let ttl = ttl(&args, errors);
        let output = function.output();
        let entry = key
            .as_ref()
            .and_then(|key| Entry::new(&args, key, &tags, function));
        match (key, ttl) {
            (Some(key), Some(ttl)) if errors.len() == 0 => Ok(Self {
                shares_errors: !borrows_or_is_generic(&output, &function.signature),
                output,
                batch,
                key,
                tags,
                ttl,
                none_ttl: args.none_ttl,
                stale_while_revalidate: args.stale_while_revalidate,
                stale_if_error: args.stale_if_error,
                near: args.near,
                background,
                cache_if: args.cache_if,
                bypass_if: args.bypass_if,
                codec: args.codec,
                cache: args.cache,
                policy: args.policy,
                entry,
            }),
            _ => Err(entry.filter(|_| signature_is_sound)),
        }
    }
}

fn check_output(function: &Function, errors: &Errors) {
    let signature = &function.signature;
    if signature.asyncness.is_none() {
        return;
    }
    let output = function.output();
    if let Some(borrowed) = borrowed_value(&output) {
        errors.on(
            borrowed,
            "a cached value outlives the call, so it cannot borrow: return an owned type, such as `String` for `&str` or `Arc<T>` for `&T`",
        );
    }
    match &output {
        Type::Tuple(unit) if unit.elems.is_empty() => {
            let message =
                "this function returns nothing to cache: return the value, or remove `#[cached]`";
            match &signature.output {
                syn::ReturnType::Default => errors.on(&signature.ident, message),
                syn::ReturnType::Type(..) => errors.on(unit, message),
            }
        }
        Type::Path(path) => {
            if let Some(parameter) = signature::type_parameters(signature)
                .find(|parameter| path.path.is_ident(*parameter))
            {
                errors.on(
                    path,
                    format!("`{parameter}` may be a `Result` or not, and only `Ok` values are cached: return `Result<{parameter}, _>` or `Option<{parameter}>`"),
                );
            }
        }
        _ => {}
    }
}

/// What borrows in the value, as far as its spelling shows it. (Elsewhere, as in the error, borrowing is fine.)
fn borrowed_value(output: &Type) -> Option<TokenStream> {
    match output {
        Type::Reference(reference) => Some(reference.to_token_stream()),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return None;
            };
            let (GenericArgument::Type(value), "Result" | "Option") =
                (arguments.args.first()?, last.ident.to_string().as_str())
            else {
                return None;
            };
            borrowed_value(value)
        }
        _ => None,
    }
}

fn ttl(args: &CachedArgs, errors: &Errors) -> Option<Ttl> {
    match (&args.ttl, &args.ttl_with) {
        (Some(_), Some(ttl_with)) => {
            errors.at(
                ttl_with.name.span(),
                "`ttl` and `ttl_with` both say how long the value is fresh: remove one of them",
            );
            None
        }
        (Some(ttl), None) => Some(Ttl::Is(ttl.clone())),
        (None, Some(ttl_with)) => Some(Ttl::With(ttl_with.clone())),
        (None, None) => {
            if !args.is_broken("ttl") && !args.is_broken("ttl_with") {
                errors.at(
                    proc_macro2::Span::call_site(),
                    "how long is the value fresh? Write `ttl = 300` (seconds), `ttl = \"5m\"`, or `ttl_with = |value: &V| ..`",
                );
            }
            None
        }
    }
}

fn key(args: &CachedArgs, function: &Function, errors: &Errors) -> Option<Key> {
    if args.is_broken("each") {
        // What an id is called is not known.
        return None;
    }
    check_skips(args, function, errors);
    let Some(literal) = &args.key else {
        // Nothing is known about a key that could not be read.
        return (!args.is_broken("key")).then(|| Key::Default(unskipped(args, function)));
    };
    if let Some(Each { id, ids }) = &args.each
        && template::names(&literal.value(), ids)
    {
        errors.on(
            literal,
            format!(
                "`{ids}` is all of the ids, each of which has an entry of its own: write `{{{id}}}`"
            ),
        );
        return None;
    }
    let template = Template::read(literal, function, None, errors)?;
    if literal.value().starts_with('%') {
        errors.on(
            literal,
            "keys that begin with `%` are those of tags: begin with what the value is, as in `\"user:{id}\"`",
        );
    }
    for name in &args.skip {
        if template.mentions(name) {
            let name = name.unraw();
            errors.on(
                &name,
                format!("`{name}` is in the key and in `skip`: remove it from one of them"),
            );
        }
    }
    for name in unskipped(args, function) {
        if !template.mentions(&name) && !args.is_broken("skip") {
            let bare = name.unraw();
            let placeholder = if bare == "self" {
                "{self.field}".to_owned()
            } else {
                format!("{{{bare}}}")
            };
            if args
                .each
                .as_ref()
                .is_some_and(|each| template::same_name(&each.id, &name))
            {
                errors.on(
                    &name,
                    format!("`{bare}` is not in the key, so all ids would share an entry: write `{placeholder}` in the key"),
                );
                continue;
            }
            errors.on(
                &name,
                format!(
                    "`{bare}` is neither in the key nor in `skip`, so calls that differ in it would share an entry: \
                     write `{placeholder}` in the key, or `skip({bare})` if it does not decide the value"
                ),
            );
        }
    }
    for name in unseen_generics(args, function) {
        errors.on(
            name,
            format!(
                "`{name}` is not in the key, so `{function}::<A>` and `{function}::<B>` would share an entry: leave \
                 `key` out, because a default key contains it, or write `skip({name})` if it does not decide the value",
                function = function.signature.ident.unraw(),
            ),
        );
    }
    Some(Key::Template(template))
}

/// The labels. What is wrong with them is reported.
fn tags(args: &CachedArgs, function: &Function, errors: &Errors) -> Vec<Template> {
    let templates = args.tags.iter().enumerate().filter_map(|(position, tag)| {
        let earlier = args.tags.iter().take(position);
        if earlier
            .into_iter()
            .any(|earlier| earlier.value() == tag.value())
        {
            errors.on(tag, "this tag is given twice: remove one of them");
        }
        Template::read(tag, function, None, errors)
    });
    templates.collect()
}

/// Type and const parameters that only the caller chooses: neither an argument nor the value tells which they were.
fn unseen_generics<'a>(
    args: &'a CachedArgs,
    function: &'a Function,
) -> impl Iterator<Item = &'a Ident> {
    signature::generics(&function.signature).filter(|name| {
        let named = name.to_string();
        let seen = |tokens| signature::mentions(tokens, &named);
        let inputs = function.signature.inputs.to_token_stream();
        let output = function.signature.output.to_token_stream();
        !(seen(inputs) || seen(output) || args.skip.contains(name))
    })
}

fn check_skips(args: &CachedArgs, function: &Function, errors: &Errors) {
    for (position, name) in args.skip.iter().enumerate() {
        let known = if name == "self" {
            function.receiver().is_some()
        } else {
            function
                .names()
                .chain(signature::generics(&function.signature))
                .any(|parameter| template::same_name(parameter, name))
        };
        if !known {
            let parameters = receiver_name(function)
                .into_iter()
                .chain(function.names().cloned());
            errors.on(
                name,
                format!(
                    "`skip` names no parameter `{name}`: the parameters are {}",
                    diagnostics::list(parameters)
                ),
            );
        } else if args
            .skip
            .iter()
            .take(position)
            .any(|earlier| template::same_name(earlier, name))
        {
            errors.on(
                name,
                format!("`{name}` is skipped twice: remove one of them"),
            );
        }
    }
}

fn receiver_name(function: &Function) -> Option<Ident> {
    function
        .receiver()
        .map(|receiver| Ident::new("self", receiver.self_token.span))
}

/// What has to be in the key.
fn unskipped(args: &CachedArgs, function: &Function) -> Vec<Ident> {
    receiver_name(function)
        .into_iter()
        .chain(function.names().cloned())
        .filter(|name| {
            !args
                .skip
                .iter()
                .any(|skipped| template::same_name(skipped, name))
        })
        .collect()
}

impl Entry {
    fn new(args: &CachedArgs, key: &Key, tags: &[Template], function: &Function) -> Option<Self> {
        let ident = &function.signature.ident;
        let name = match &args.entry {
            EntryName::Suffixed => entry_name(ident),
            EntryName::Renamed(name) => name.clone(),
            EntryName::Omitted => return None,
        };
        let durations = [
            &args.ttl,
            &args.none_ttl,
            &args.stale_while_revalidate,
            &args.stale_if_error,
        ];
        let durations = durations
            .into_iter()
            .map(|setting| setting.as_ref().and_then(|span| span.value.computed()));
        let expressions: Vec<&Expr> = [
            args.ttl_with.as_ref().map(|ttl_with| &ttl_with.value),
            args.cache_if.as_ref().map(|cache_if| &cache_if.value),
            args.cache.as_ref().map(|cache| &cache.value),
            args.policy.as_ref().map(|policy| &policy.value),
        ]
        .into_iter()
        .chain(durations)
        .flatten()
        .collect();
        let needed = |name: &Ident| {
            let in_key = match key {
                Key::Template(template) => template.mentions(name),
                Key::Default(arguments) => arguments.contains(name),
            };
            in_key
                || tags.iter().any(|tag| tag.mentions(name))
                || expressions
                    .iter()
                    .any(|expression| expression_mentions(expression, name))
        };
        let parameters = function
            .parameters
            .iter()
            .filter(|parameter| parameter.names.iter().any(needed))
            .cloned()
            .collect();
        Some(Self {
            name,
            takes_self: function.receiver().is_some(),
            parameters,
        })
    }
}

/// `get_user` → `get_user_entry`, at the user's token.
pub(crate) fn entry_name(function: &Ident) -> Ident {
    Ident::new(&format!("{}_entry", function.unraw()), function.span())
}

/// Whether the expression may use the variable: exact but for macros, where a like-named token counts.
fn expression_mentions(expression: &Expr, name: &Ident) -> bool {
    struct Uses<'a> {
        name: &'a Ident,
        found: bool,
    }
    impl<'ast> Visit<'ast> for Uses<'_> {
        fn visit_expr_path(&mut self, path: &'ast ExprPath) {
            self.found |= path.path.is_ident(self.name);
            visit::visit_expr_path(self, path);
        }

        fn visit_macro(&mut self, invocation: &'ast Macro) {
            self.found |= signature::mentions(invocation.tokens.clone(), &self.name.to_string());
        }
    }
    let mut uses = Uses { name, found: false };
    uses.visit_expr(expression);
    uses.found
}

/// Whether a lifetime, `Self` or a type parameter shows in the type.
fn borrows_or_is_generic(output: &Type, signature: &Signature) -> bool {
    struct Borrows(bool);
    impl<'ast> Visit<'ast> for Borrows {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            self.0 |= lifetime.ident != "static";
        }

        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            self.0 |= reference.lifetime.is_none();
            visit::visit_type_reference(self, reference);
        }
    }
    let mut borrows = Borrows(false);
    borrows.visit_type(output);
    let tokens = output.to_token_stream();
    borrows.0
        || signature::mentions(tokens.clone(), "Self")
        || signature::type_parameters(signature)
            .any(|parameter| signature::mentions(tokens.clone(), &parameter.to_string()))
}
