//! `each(id in ids)`: a function of many ids, and the function of one of them that it stands for.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::{FnArg, Pat, PatIdent, ReceiverKind, ReturnType, Token, Type, parse_quote_spanned};

use crate::args::{CachedArgs, Each};
use crate::background;
use crate::body;
use crate::diagnostics::{self, Errors};
use crate::entry::owned_lifetimes;
use crate::signature::{Body, Function, arguments, bindings, first_span, generated_at, is_called};
use crate::template::same_name;

pub(crate) struct Batch {
    /// What one id is called.
    pub id: Ident,
    /// What is cached: the signature of the function of one id.
    pub one: Function,
    /// That ids without a value are cached.
    pub or_none: bool,
    pub ids: PatIdent,
    ids_type: Type,
    /// What each run of the body gets a clone of.
    cloned: Vec<PatIdent>,
}

impl Batch {
    /// `None`: something was reported.
    pub(crate) fn new(
        args: &CachedArgs,
        each: &Each,
        function: &Function,
        runtime: &TokenStream,
        errors: &Errors,
    ) -> Option<Self> {
        let before = errors.len();
        check(args, each, function, errors);
        let (at, ids, ids_type) = parameter(&each.ids, function, errors)?;
        check_ids(&ids_type, errors);
        check_values(args, &function.output(), errors);
        let or_none = args.none_ttl.is_some();
        (errors.len() == before).then(|| Self {
            id: each.id.clone(),
            one: one(each, at, or_none, function, runtime),
            or_none,
            cloned: cloned(&ids, function),
            ids,
            ids_type,
        })
    }

    /// The closure that runs the body for some of the ids, as often as it is called.
    pub(crate) fn origin(&self, body: &Body, output: &Type) -> TokenStream {
        let span = Span::mixed_site();
        let cloned = self.cloned.iter().map(|binding| {
            let PatIdent {
                ident, mutability, ..
            } = binding;
            let at = generated_at(ident.span());
            quote_spanned!(at=> let #mutability #ident = __cache::again(&#ident);)
        });
        let ids = &self.ids;
        let ids_type = &self.ids_type;
        let ids = match ids_type {
            Type::Reference(reference) => {
                let owner = &reference.elem;
                quote_spanned! {span=>
                    let ids: <#owner as ::std::borrow::ToOwned>::Owned = ids.into_iter().collect();
                    #[allow(unused_variables)]
                    let #ids: &#owner = &ids;
                }
            }
            _ => quote_spanned! {span=>
                #[allow(unused_variables)]
                let #ids: #ids_type = ids.into_iter().collect();
            },
        };
        let future = body::future(&body.block, output, Some(ids));
        quote_spanned! {span=>
            move |ids| {
                #(#cloned)*
                #future
            }
        }
    }
}

fn check(args: &CachedArgs, each: &Each, function: &Function, errors: &Errors) {
    let Each { id, ids } = each;
    if function.names().any(|name| same_name(name, id)) {
        errors.on(
            id,
            format!("`{id}` is a parameter already: call one of `{ids}` something else"),
        );
    }
    if let Some(skipped) = args.skip.iter().find(|skipped| same_name(skipped, id)) {
        errors.on(
            skipped,
            format!("every `{skipped}` has an entry of its own: remove it from `skip`, and write `{{{skipped}}}` in the key"),
        );
    }
    if let Some(refreshed) = &args.stale_while_revalidate {
        errors.at(
            refreshed.name.span(),
            "a batch is not loaded in the background: remove `stale_while_revalidate`, or `each` (`stale_if_error` may stay)",
        );
    }
    let again = "a batch may run its body more than once, with some of the ids each time: ";
    if let Some(receiver) = function.receiver() {
        let shared = match &receiver.kind {
            ReceiverKind::Reference(_, _, mutability) => mutability.is_none(),
            ReceiverKind::Typed(_, ty) => {
                matches!(&**ty, Type::Reference(reference) if reference.mutability.is_none())
            }
            _ => false,
        };
        if !shared {
            errors.on(receiver, format!("{again}write `&self`"));
        }
    }
    for parameter in &function.parameters {
        if let Type::Reference(reference) = &*parameter.declared.ty
            && reference.mutability.is_some()
            && !parameter.names.iter().any(|name| same_name(name, ids))
        {
            errors.on(
                reference,
                format!("{again}take this by `&`, or by a value that can be cloned"),
            );
        }
    }
}

/// The parameter of the ids, and its position.
fn parameter(ids: &Ident, function: &Function, errors: &Errors) -> Option<(usize, PatIdent, Type)> {
    let inputs = function.signature.inputs.iter().enumerate();
    for (at, input) in inputs {
        if let FnArg::Typed(declared) = input
            && let Pat::Ident(pattern) = &*declared.pat
            && same_name(&pattern.ident, ids)
            && pattern.by_ref.is_none()
        {
            return Some((at, pattern.clone(), (*declared.ty).clone()));
        }
    }
    errors.on(
        ids,
        format!(
            "`each` names no parameter `{}`: the parameters are {}",
            ids.unraw(),
            diagnostics::list(function.names().map(Ident::unraw)),
        ),
    );
    None
}

fn check_ids(ids_type: &Type, errors: &Errors) {
    let (owner, borrowed_mutably) = match ids_type {
        Type::Reference(reference) => (&*reference.elem, reference.mutability.is_some()),
        owner => (owner, false),
    };
    let in_another = ["Option", "Arc", "Rc"]
        .iter()
        .any(|name| is_called(owner, name));
    let fixed = matches!(owner, Type::ImplTrait(_) | Type::Array(_));
    if borrowed_mutably || fixed || in_another {
        errors.on(
            ids_type,
            "the ids of a batch come as a slice, a `Vec` or a set: write `&[Id]`, `Vec<Id>` or `HashSet<Id>`",
        );
    }
}

/// The values by id, as far as the return type's spelling shows them.
fn check_values(args: &CachedArgs, output: &Type, errors: &Errors) {
    let values = match arguments(output, "Result").first() {
        Some(values) => (*values).clone(),
        None => output.clone(),
    };
    let by_id = ["HashMap", "BTreeMap"];
    let value = by_id
        .iter()
        .find_map(|name| arguments(&values, name).get(1).copied().cloned());
    let Some(value) = value else {
        return;
    };
    if is_called(&value, "Result") {
        errors.on(
            value,
            "a value of a batch is no `Result`: leave out the ids that fail, or return `Result<HashMap<Id, V>, E>`",
        );
    } else if args.none_ttl.is_some() && is_called(&value, "Option") {
        errors.on(
            value,
            "with `none_ttl` an id without a value is left out: return `HashMap<Id, V>`, without the `Option`",
        );
    }
}

/// The function of one id, of which only the signature matters.
fn one(
    each: &Each,
    at: usize,
    or_none: bool,
    function: &Function,
    runtime: &TokenStream,
) -> Function {
    let id = &each.id;
    let output = function.output();
    let owned = owned_lifetimes(output.to_token_stream());
    // At the return type, where one that is none of a batch is reported.
    let span = generated_at(first_span(&output));
    let runtime = background::located_at(runtime, span);
    let mut one = function.clone();
    let each_output: Type = match or_none {
        true => parse_quote_spanned!(span=> #runtime::__private::OneOrNone<#output>),
        false => parse_quote_spanned!(span=> #runtime::__private::One<#output>),
    };
    one.signature.output = ReturnType::Type(<Token![->]>::default(), Box::new(each_output));
    let declared: syn::PatType = parse_quote_spanned!(span=> #id: #runtime::__private::Id<#owned>);
    if let Some(input) = one.signature.inputs.iter_mut().nth(at) {
        *input = FnArg::Typed(declared.clone());
    }
    for parameter in &mut one.parameters {
        if parameter
            .names
            .iter()
            .any(|name| same_name(name, &each.ids))
        {
            parameter.declared = declared.clone();
            parameter.names = vec![id.clone()];
        }
    }
    one
}

/// The arguments that the body uses and that are no references, which every run can copy.
fn cloned(ids: &PatIdent, function: &Function) -> Vec<PatIdent> {
    let Some(body) = &function.body else {
        return Vec::new();
    };
    let used = |ident: &Ident| {
        ident != &ids.ident && background::mentions(body.block.stream(), &ident.unraw().to_string())
    };
    let parameters = function.parameters.iter().flat_map(|parameter| {
        let declared = &parameter.declared;
        let plain = matches!(
            (&*declared.pat, &*declared.ty),
            (Pat::Ident(pattern), Type::Reference(_)) if pattern.mutability.is_none()
        );
        let bindings = (!plain).then(|| bindings(&declared.pat));
        bindings.into_iter().flatten()
    });
    let used = parameters.filter(|binding| used(&binding.ident));
    used.cloned().collect()
}
