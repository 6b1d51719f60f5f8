//! The text inside `#[cached(..)]`, argument by argument, before anything is compared with the function.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, LitBool, LitStr, Token, Type};

use crate::diagnostics::{self, Errors};
use crate::duration::Duration;

/// Every argument with an example of its use, in the order of the documentation.
const ARGUMENTS: [(&str, &str); 16] = [
    ("ttl", "ttl = 300"),
    ("ttl_with", "ttl_with = |user: &User| user.lifetime()"),
    ("key", "key = \"user:{id}\""),
    ("skip", "skip(db, self)"),
    ("tags", "tags(\"org:{org}\")"),
    ("none_ttl", "none_ttl = \"30s\""),
    ("stale_while_revalidate", "stale_while_revalidate = \"1m\""),
    ("stale_if_error", "stale_if_error = \"1h\""),
    ("near", "near = \"5s\""),
    ("each", "each(id in ids)"),
    ("cache_if", "cache_if = |user: &User| user.active"),
    ("bypass_if", "bypass_if = preview"),
    ("codec", "codec = Json"),
    ("cache", "cache = self.cache"),
    ("policy", "policy = POLICY"),
    ("entry", "entry = false"),
];

#[derive(Default)]
pub(crate) struct CachedArgs {
    pub ttl: Option<Setting<Duration>>,
    pub ttl_with: Option<Setting<Expr>>,
    pub key: Option<LitStr>,
    pub skip: Vec<Ident>,
    pub tags: Vec<LitStr>,
    pub none_ttl: Option<Setting<Duration>>,
    pub stale_while_revalidate: Option<Setting<Duration>>,
    pub stale_if_error: Option<Setting<Duration>>,
    pub near: Option<Setting<Option<Duration>>>,
    pub each: Option<Each>,
    pub cache_if: Option<Setting<Expr>>,
    pub bypass_if: Option<Setting<Expr>>,
    pub codec: Option<Setting<Type>>,
    pub cache: Option<Setting<Expr>>,
    pub policy: Option<Setting<Expr>>,
    pub entry: EntryName,
    seen: Vec<Ident>,
    /// What was meant by an argument that is misspelt, or whose value is wrong.
    broken: Vec<String>,
}

/// `name = value`
#[derive(Clone)]
pub(crate) struct Setting<T> {
    pub name: Ident,
    pub value: T,
}

/// `each(id in ids)`
#[derive(Clone)]
pub(crate) struct Each {
    pub id: Ident,
    pub ids: Ident,
}

/// How the entry function is called.
#[derive(Default)]
pub(crate) enum EntryName {
    #[default]
    Suffixed,
    Renamed(Ident),
    Omitted,
}

impl CachedArgs {
    pub(crate) fn read(tokens: TokenStream, errors: &Errors) -> Self {
        let mut args = Self::default();
        each_argument(tokens, errors, |input| args.argument(input));
        args
    }

    /// Whether this is missing only because what was written is wrong, which has been reported.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        self.broken.iter().any(|broken| broken == name)
    }

    fn argument(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let name = input.call(Ident::parse_any)?;
        let known = ARGUMENTS.iter().find(|(known, _)| name == *known);
        let Some((known, example)) = known else {
            return Err(self.unknown(&name));
        };
        if self.seen.contains(&name) {
            return Err(syn::Error::new(
                name.span(),
                format!("`{name}` is given twice: remove one of them"),
            ));
        }
        self.seen.push(name.clone());
        let argument = Argument {
            name,
            example,
            input,
        };
        self.read_value(&argument)
            .inspect_err(|_| self.broken.push((*known).to_owned()))
    }

    fn read_value(&mut self, argument: &Argument<'_>) -> syn::Result<()> {
        match argument.name.to_string().as_str() {
            "ttl" => self.ttl = Some(argument.duration()?),
            "ttl_with" => self.ttl_with = Some(argument.setting()?),
            "key" => self.key = Some(argument.string()?),
            "skip" => self.skip = argument.names()?,
            "tags" => self.tags = argument.strings()?,
            "none_ttl" => self.none_ttl = Some(argument.duration()?),
            "stale_while_revalidate" => self.stale_while_revalidate = Some(argument.duration()?),
            "stale_if_error" => self.stale_if_error = Some(argument.duration()?),
            "near" => self.near = Some(argument.flag_or_duration()?),
            "each" => self.each = Some(argument.each()?),
            "cache_if" => self.cache_if = Some(argument.setting()?),
            "bypass_if" => self.bypass_if = Some(argument.setting()?),
            "codec" => self.codec = Some(argument.setting()?),
            "cache" => self.cache = Some(argument.setting()?),
            "policy" => self.policy = Some(argument.setting()?),
            _ => self.entry = argument.entry()?,
        }
        Ok(())
    }

    fn unknown(&mut self, name: &Ident) -> syn::Error {
        let known = ARGUMENTS.map(|(known, _)| known);
        let message = match diagnostics::closest(&name.to_string(), known) {
            Some(closest) => {
                self.broken.push(closest.to_owned());
                format!("unknown argument `{name}`, did you mean `{closest}`?")
            }
            None => {
                let known = diagnostics::list(known);
                format!("unknown argument `{name}`: there are {known}")
            }
        };
        syn::Error::new(name.span(), message)
    }
}

/// Reads arguments separated by commas; after a wrong one it goes on with the next.
pub(crate) fn each_argument(
    tokens: TokenStream,
    errors: &Errors,
    mut read: impl FnMut(ParseStream<'_>) -> syn::Result<()>,
) {
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match read(input) {
                Ok(()) if input.is_empty() || input.peek(Token![,]) => {}
                Ok(()) => {
                    errors.push(input.error("expected `,` between the arguments"));
                    skip_to_comma(input)?;
                }
                Err(error) => {
                    errors.push(error);
                    skip_to_comma(input)?;
                }
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(tokens) {
        errors.push(error);
    }
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// One argument whose name has been read.
struct Argument<'a> {
    name: Ident,
    example: &'static str,
    input: ParseStream<'a>,
}

impl Argument<'_> {
    fn value<T: Parse>(&self) -> syn::Result<T> {
        if self.input.parse::<Option<Token![=]>>()?.is_none() {
            return Err(self.wrong("takes a value"));
        }
        if self.input.is_empty() || self.input.peek(Token![,]) {
            return Err(self.wrong("lacks its value"));
        }
        self.input.parse()
    }

    fn setting<T: Parse>(&self) -> syn::Result<Setting<T>> {
        let name = self.name.clone();
        self.value().map(|value| Setting { name, value })
    }

    fn duration(&self) -> syn::Result<Setting<Duration>> {
        let Setting { name, value } = self.setting()?;
        Duration::new(value).map(|value| Setting { name, value })
    }

    /// A duration, or the bare name.
    fn flag_or_duration(&self) -> syn::Result<Setting<Option<Duration>>> {
        let name = self.name.clone();
        if self.input.is_empty() || self.input.peek(Token![,]) {
            return Ok(Setting { name, value: None });
        }
        let Setting { name, value } = self.duration()?;
        let value = Some(value);
        Ok(Setting { name, value })
    }

    fn string(&self) -> syn::Result<LitStr> {
        let value: Expr = self.value()?;
        literal_string(&value).cloned().ok_or_else(|| {
            syn::Error::new_spanned(
                &value,
                format!(
                    "`{}` is a string literal: write `{}`",
                    self.name, self.example
                ),
            )
        })
    }

    fn names(&self) -> syn::Result<Vec<Ident>> {
        self.list("takes names of parameters", Ident::parse_any)
    }

    fn strings(&self) -> syn::Result<Vec<LitStr>> {
        self.list("takes templates", |input| {
            let value: Expr = input.parse()?;
            let literal = literal_string(&value).cloned();
            literal.ok_or_else(|| syn::Error::new_spanned(value, "not a string literal"))
        })
    }

    /// `(id in ids)`
    fn each(&self) -> syn::Result<Each> {
        let wrong =
            || self.wrong("takes a name for one id and the parameter that holds all of them");
        if !self.input.peek(syn::token::Paren) {
            return Err(wrong());
        }
        let each: Group = self.input.parse()?;
        let parser = |input: ParseStream<'_>| {
            let id = input.parse()?;
            input.parse::<Token![in]>()?;
            let ids = input.parse()?;
            Ok(Each { id, ids })
        };
        let each_span = each.span();
        parser
            .parse2(each.stream())
            .map_err(|_| syn::Error::new(each_span, wrong()))
    }

    /// What stands in parentheses, separated by commas.
    fn list<T>(
        &self,
        what: &str,
        item: impl Fn(ParseStream<'_>) -> syn::Result<T>,
    ) -> syn::Result<Vec<T>> {
        if !self.input.peek(syn::token::Paren) {
            return Err(self.wrong(what));
        }
        let list: Group = self.input.parse()?;
        let item = |input: ParseStream<'_>| {
            item(input).map_err(|error| {
                let message = format!("`{}` {what}, as in `{}`", self.name, self.example);
                syn::Error::new(error.span(), message)
            })
        };
        let items = |input: ParseStream<'_>| {
            let mut items = Vec::new();
            while !input.is_empty() {
                items.push(item(input)?);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(items)
        };
        items.parse2(list.stream())
    }

    fn entry(&self) -> syn::Result<EntryName> {
        let value: Expr = self.value()?;
        if let Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Bool(LitBool { value: false, .. }),
            ..
        }) = &value
        {
            return Ok(EntryName::Omitted);
        }
        match &value {
            Expr::Path(path) if path.path.get_ident().is_some_and(|name| name != "self") => {
                path.path.require_ident().cloned().map(EntryName::Renamed)
            }
            _ => Err(syn::Error::new_spanned(
                value,
                "`entry` is the name of the entry function, or `false` for none: write `entry = user_entry` or `entry = false`",
            )),
        }
    }

    fn wrong(&self, what: &str) -> syn::Error {
        syn::Error::new(
            self.name.span(),
            format!("`{}` {what}: write `{}`", self.name, self.example),
        )
    }
}

/// The literal, also if it came through a `macro_rules!` fragment.
pub(crate) fn literal_string(expr: &Expr) -> Option<&LitStr> {
    match expr {
        Expr::Group(group) => literal_string(&group.expr),
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(literal),
            ..
        }) => Some(literal),
        _ => None,
    }
}
