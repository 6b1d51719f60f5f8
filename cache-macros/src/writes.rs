//! What `#[invalidates(..)]` and `#[updates(..)]` say about a function, checked.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, ExprCall, ExprMethodCall, LitStr, Type};

use crate::args::{Setting, each_argument, literal_string};
use crate::diagnostics::Errors;
use crate::model::entry_name;
use crate::signature::Function;
use crate::template::Template;

/// The name of the success value in items.
pub(crate) const RESULT: &str = "ret";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalidates,
    Updates,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invalidates => "invalidates",
            Self::Updates => "updates",
        }
    }
}

pub(crate) struct Writes {
    pub items: Vec<Item>,
    pub only_ok: bool,
    pub cache: Option<Setting<Expr>>,
}

pub(crate) struct Item {
    pub target: Target,
    /// The `ret` of the item, with the user's hygiene, if the target depends on the success value.
    pub after: Option<Ident>,
}

pub(crate) enum Target {
    Entry {
        /// The call of the entry function.
        call: Box<Expr>,
        /// At the name that the user wrote.
        span: Span,
        /// `updates`: what to store, if it is not the whole success value.
        value: Option<Expr>,
    },
    Tag(Template),
}

impl Writes {
    /// `None`: something was reported.
    pub(crate) fn read(
        kind: Kind,
        attribute: TokenStream,
        function: &Function,
        errors: &Errors,
    ) -> Option<Self> {
        function.check(kind.name(), errors);
        let mut reader = Reader {
            kind,
            function,
            errors,
            only_ok: false,
            cache: None,
            items: Vec::new(),
        };
        let empty = attribute.is_empty();
        each_argument(attribute, errors, |input| reader.item(input));
        let Reader {
            only_ok,
            cache,
            items,
            ..
        } = reader;
        if empty || errors.len() == 0 && items.is_empty() {
            errors.at(
                Span::call_site(),
                format!(
                    "nothing to act on: name annotated functions, as in `#[{}(get_user(id))]`",
                    kind.name()
                ),
            );
        } else if errors.len() == 0
            && kind == Kind::Updates
            && !items
                .iter()
                .any(|item| matches!(item.target, Target::Entry { .. }))
        {
            errors.at(
                Span::call_site(),
                "`#[updates]` stores the returned value in an entry: name its function, as in `#[updates(get_user(id))]`, or write `#[invalidates(..)]`",
            );
        }
        (errors.len() == 0).then(|| Self {
            items,
            only_ok,
            cache,
        })
    }
}

struct Reader<'a> {
    kind: Kind,
    function: &'a Function,
    errors: &'a Errors,
    only_ok: bool,
    cache: Option<Setting<Expr>>,
    items: Vec<Item>,
}

impl Reader<'_> {
    fn item(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if let Some((name, _)) = input.cursor().ident()
            && name == "each"
            && input.peek2(syn::token::Paren)
        {
            return Err(syn::Error::new(
                name.span(),
                "`each` belongs to `#[cached]`: name the entry of one id, as in `users(id)`, or invalidate many in the body, as in `users_entry(id).invalidate().await`",
            ));
        }
        let expr: Expr = input.parse()?;
        let (target, value) = match expr {
            Expr::Assign(assign) if assign.attrs.is_empty() => (*assign.left, Some(*assign.right)),
            other => (other, None),
        };
        let name = name_of(&target).cloned();
        match (
            name.filter(|name| name == "cache" || name == "only_ok"),
            value,
        ) {
            (Some(name), value) => self.option(name, value),
            (None, value) => self.target(target, value),
        }
    }

    fn option(&mut self, name: Ident, value: Option<Expr>) -> syn::Result<()> {
        let wrong = |message: &str| Err(syn::Error::new(name.span(), message));
        match value {
            None if name == "cache" => wrong("`cache` takes a value: write `cache = self.cache`"),
            Some(_) if name == "only_ok" => {
                wrong("`only_ok` takes no value: write `only_ok` alone")
            }
            _ if self.only_ok && name == "only_ok" => {
                wrong("`only_ok` is given twice: remove one of them")
            }
            Some(_) if self.cache.is_some() => wrong("`cache` is given twice: remove one of them"),
            Some(value) => {
                self.cache = Some(Setting { name, value });
                Ok(())
            }
            None => {
                self.only_ok = true;
                Ok(())
            }
        }
    }

    fn target(&mut self, target: Expr, value: Option<Expr>) -> syn::Result<()> {
        if let Some(tag) = tag(&target) {
            let literal = tag?;
            if let Some(value) = value {
                return Err(syn::Error::new_spanned(
                    value,
                    "a tag has no value: write `tag(\"..\")` alone, which invalidates its entries",
                ));
            }
            let ret = Ident::new(RESULT, literal.span());
            let Some(template) = Template::read(&literal, self.function, Some(&ret), self.errors)
            else {
                return Ok(());
            };
            let after = template.mentions(&ret).then_some(ret);
            return self.push(Target::Tag(template), after);
        }
        if let Some(value) = value.as_ref().filter(|_| self.kind == Kind::Invalidates) {
            return Err(syn::Error::new_spanned(
                value,
                "`#[invalidates]` stores nothing: write the call alone, or use `#[updates(..)]`",
            ));
        }
        let after = find(target.to_token_stream(), RESULT);
        let (call, span) = entry_call(target)?;
        self.push(
            Target::Entry {
                call: Box::new(call),
                span,
                value,
            },
            after,
        )
    }

    fn push(&mut self, target: Target, after: Option<Ident>) -> syn::Result<()> {
        let shadowing = self.function.names().find(|name| *name == RESULT);
        if let (Some(after), Some(_)) = (&after, shadowing) {
            return Err(syn::Error::new(
                after.span(),
                format!(
                    "`{RESULT}` is the success value here, and also the name of a parameter: rename the parameter"
                ),
            ));
        }
        self.items.push(Item { target, after });
        Ok(())
    }
}

fn name_of(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}

/// The literal, if this is `tag("..")`.
fn tag(expr: &Expr) -> Option<syn::Result<LitStr>> {
    let Expr::Call(call) = expr else { return None };
    if name_of(&call.func).is_none_or(|name| name != "tag") {
        return None;
    }
    Some(
        match (call.args.len(), call.args.first().and_then(literal_string)) {
            (1, Some(literal)) => Ok(literal.clone()),
            _ => Err(syn::Error::new_spanned(
                expr,
                "a tag is a template: write `tag(\"org:{org}\")`",
            )),
        },
    )
}

/// `db::get_user(id)` → `db::get_user_entry(id)`.
fn entry_call(expr: Expr) -> syn::Result<(Expr, Span)> {
    match expr {
        Expr::MethodCall(ExprMethodCall {
            method,
            attrs,
            receiver,
            dot_token,
            turbofish,
            paren_token,
            args,
        }) => {
            let span = method.span();
            let method = entry_name(&method);
            let call = ExprMethodCall {
                attrs,
                receiver,
                dot_token,
                method,
                turbofish,
                paren_token,
                args,
            };
            Ok((Expr::MethodCall(call), span))
        }
        Expr::Call(ExprCall {
            attrs,
            mut func,
            paren_token,
            args,
        }) => {
            let name = match &mut *func {
                Expr::Path(path) => path.path.segments.last_mut(),
                _ => None,
            };
            let Some(name) = name else {
                return Err(not_an_item(&func));
            };
            let span = name.ident.span();
            name.ident = entry_name(&name.ident);
            Ok((
                Expr::Call(ExprCall {
                    attrs,
                    func,
                    paren_token,
                    args,
                }),
                span,
            ))
        }
        Expr::Path(path) => {
            let name = path
                .path
                .segments
                .last()
                .map(|last| last.ident.unraw().to_string())
                .unwrap_or_default();
            Err(syn::Error::new_spanned(
                path,
                format!("which entry? Write the arguments of its key, as in `{name}(id)`"),
            ))
        }
        Expr::Await(call) => Err(syn::Error::new_spanned(
            call,
            "nothing is called here, the call names an entry: remove `.await`",
        )),
        other => Err(not_an_item(&other)),
    }
}

fn not_an_item(expr: &Expr) -> syn::Error {
    syn::Error::new_spanned(
        expr,
        "not something to act on: write a call of an annotated function, such as `get_user(id)` or `self.users.get_user(id)`, or `tag(\"org:{org}\")`",
    )
}

/// The first identifier of this name.
fn find(tokens: TokenStream, name: &str) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        proc_macro2::TokenTree::Ident(ident) if ident == name => Some(ident),
        proc_macro2::TokenTree::Group(group) => find(group.stream(), name),
        _ => None,
    })
}

/// How an argument of an item is passed on while the body may still take it.
pub(crate) enum Passing {
    /// A plain parameter: its clone.
    Cloned,
    /// A parameter of type `&mut T`, which has no clone.
    Reborrowed,
    /// Whatever the user wrote.
    AsWritten,
}

pub(crate) fn passing(argument: &Expr, function: &Function) -> Passing {
    let Some(name) = name_of(argument).filter(|name| function.names().any(|known| known == *name))
    else {
        return Passing::AsWritten;
    };
    match function.declared_as(name) {
        Some(Type::Reference(reference)) if reference.mutability.is_some() => Passing::Reborrowed,
        _ => Passing::Cloned,
    }
}

/// Whether the expression uses the success value.
pub(crate) fn uses_result(expr: &Expr) -> Option<Ident> {
    find(expr.to_token_stream(), RESULT)
}

/// Whether this is a call with arguments, whose arguments may be replaced.
pub(crate) fn arguments(
    call: &mut Expr,
) -> Option<&mut syn::punctuated::Punctuated<Expr, syn::Token![,]>> {
    match call {
        Expr::Call(call) => Some(&mut call.args),
        Expr::MethodCall(call) => Some(&mut call.args),
        _ => None,
    }
}
