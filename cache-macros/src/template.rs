//! Key and tag templates: text with placeholders as in `format!`.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::LitStr;
use syn::ext::IdentExt;

use crate::diagnostics::{self, Errors};
use crate::signature::{Function, generated_at};

/// A template whose placeholders all name something in scope.
#[derive(Clone)]
pub(crate) struct Template {
    literal: LitStr,
    pieces: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

/// `{user.id:?}`
#[derive(Clone)]
struct Placeholder {
    /// As the parameter is spelled, so that hygiene is the parameter's.
    root: Ident,
    /// `.id`, `.0`; empty for the parameter itself.
    members: Vec<Member>,
    /// `:?` and the like, as they are written.
    format: String,
}

#[derive(Clone)]
enum Member {
    Named(String),
    Numbered(usize),
}

impl Template {
    /// Reads the literal; what is wrong with it is reported, and the template is `None` then.
    ///
    /// `extra` is a name besides the parameters that placeholders may start with.
    pub(crate) fn read(
        literal: &LitStr,
        function: &Function,
        extra: Option<&Ident>,
        errors: &Errors,
    ) -> Option<Self> {
        let text = literal.value();
        let wrong = |message: String| {
            errors.on(literal, message);
            None
        };
        if text.is_empty() {
            return wrong(
                "an empty template names nothing: write something like `\"user:{id}\"`".to_owned(),
            );
        }
        let mut pieces = Vec::new();
        for raw in match split(&text) {
            Ok(raw) => raw,
            Err(message) => return wrong(message),
        } {
            pieces.push(match raw {
                Raw::Text(text) => Piece::Text(text),
                Raw::Placeholder(inner) => match Placeholder::read(inner, literal, function, extra)
                {
                    Ok(placeholder) => Piece::Placeholder(placeholder),
                    Err(message) => return wrong(message),
                },
            });
        }
        match neighbours(&pieces) {
            Some(message) => wrong(message),
            None => Some(Self {
                literal: literal.clone(),
                pieces,
            }),
        }
    }

    pub(crate) fn literal(&self) -> &LitStr {
        &self.literal
    }

    /// For each placeholder the number in it, if it is one.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = TokenStream> {
        let span = generated_at(self.literal.span());
        let placeholders = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Placeholder(placeholder) => Some(placeholder),
        });
        placeholders.map(move |placeholder| {
            let value = self.value(placeholder);
            match placeholder.format.as_str() {
                "" => quote_spanned! {span=> __cache::fill(&#value).number() },
                _ => quote_spanned! {span=> ::core::option::Option::None },
            }
        })
    }

    /// What a placeholder names.
    fn value(&self, placeholder: &Placeholder) -> TokenStream {
        let span = generated_at(self.literal.span());
        let mut root = placeholder.root.clone();
        root.set_span(root.span().located_at(self.literal.span()));
        let members = placeholder.members.iter().map(|member| match member {
            Member::Named(name) => {
                let name = field_ident(name, self.literal.span());
                quote_spanned! {span=> .#name }
            }
            Member::Numbered(index) => {
                let index = Literal::usize_unsuffixed(*index);
                quote_spanned! {span=> .#index }
            }
        });
        quote_spanned! {span=> #root #(#members)* }
    }

    /// Whether a placeholder starts with this name.
    pub(crate) fn mentions(&self, name: &Ident) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Placeholder(field) if same_name(&field.root, name)))
    }
}

/// The calls that fill a key builder: `.text("user:").field(…)`.
impl ToTokens for Template {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let span = generated_at(self.literal.span());
        for piece in &self.pieces {
            tokens.extend(match piece {
                Piece::Text(text) => quote_spanned! {span=> .text(#text) },
                Piece::Placeholder(placeholder) => {
                    let value = self.value(placeholder);
                    match placeholder.format.as_str() {
                        "" => quote_spanned! {span=> .field(__cache::fill(&#value).shown()) },
                        format => {
                            let format = Literal::string(&format!("{{{format}}}"));
                            quote_spanned! {span=> .field(::core::format_args!(#format, #value)) }
                        }
                    }
                }
            });
        }
    }
}

fn field_ident(name: &str, span: proc_macro2::Span) -> Ident {
    // Keywords as field names are written `{config.type}`, as in `format!`.
    syn::parse_str::<Ident>(name).map_or_else(
        |_keyword| Ident::new_raw(name, span),
        |_| Ident::new(name, span),
    )
}

impl Placeholder {
    fn read(
        inner: &str,
        literal: &LitStr,
        function: &Function,
        extra: Option<&Ident>,
    ) -> Result<Self, String> {
        let (path, format) = inner
            .split_at_checked(inner.find(':').unwrap_or(inner.len()))
            .unwrap_or((inner, ""));
        let mut names = path.split('.');
        let root = names.next().unwrap_or_default().trim();
        let example = function.example_name();
        if root.is_empty() || root.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!(
                "placeholders name a parameter: write `{{{example}}}` instead of `{{{inner}}}`"
            ));
        }
        if root.ends_with('!') || root.contains(|c: char| !c.is_alphanumeric() && c != '_') {
            return Err(format!(
                "`{{{inner}}}` is not a placeholder: write `{{{example}}}`, `{{{example}.field}}` or `{{{example}:?}}`; braces of the text are doubled, `{{{{` and `}}}}`"
            ));
        }
        let Some(root) = resolve(root, literal, function, extra) else {
            return Err(format!(
                "unknown placeholder `{{{root}}}`: the parameters are {}",
                diagnostics::list(function.names().chain(extra).map(Ident::unraw))
            ));
        };
        let mut members = Vec::new();
        for name in names {
            members.push(match name.parse::<usize>() {
                Ok(index) => Member::Numbered(index),
                Err(_name) if is_identifier(name) => Member::Named(name.to_owned()),
                Err(_name) => {
                    return Err(format!("`{{{inner}}}`: after the parameter's name come field names only, as in `{{{example}.field}}` or `{{{example}.0}}`"));
                }
            });
        }
        if format.contains('$') || format.contains('*') {
            return Err(format!(
                "`{{{inner}}}`: widths and precisions are written as numbers"
            ));
        }
        Ok(Self {
            root,
            members,
            format: format.to_owned(),
        })
    }
}

/// Whether a placeholder of the text starts with this name.
pub(crate) fn names(text: &str, name: &Ident) -> bool {
    let placeholder = format!("{{{}", name.unraw());
    text.match_indices(&placeholder).any(|(at, found)| {
        let rest = text.get(at + found.len()..).unwrap_or_default();
        rest.starts_with(['}', '.', ':'])
    })
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn resolve(
    name: &str,
    literal: &LitStr,
    function: &Function,
    extra: Option<&Ident>,
) -> Option<Ident> {
    if name == "self" {
        let receiver = function.receiver()?;
        return Some(Ident::new(
            "self",
            receiver.self_token.span.located_at(literal.span()),
        ));
    }
    function
        .names()
        .chain(extra)
        .find(|known| known.unraw() == name)
        .cloned()
}

pub(crate) fn same_name(left: &Ident, right: &Ident) -> bool {
    left.unraw() == right.unraw()
}

enum Raw<'a> {
    Text(String),
    Placeholder(&'a str),
}

/// Text and the insides of braces, in order.
fn split(template: &str) -> Result<Vec<Raw<'_>>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let (before, from_brace) = rest.split_at_checked(start).unwrap_or((rest, ""));
        text.push_str(before);
        if let Some(after) = from_brace.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some(inside) = from_brace.strip_prefix('{') {
            let Some((inner, after)) = inside.split_once('}') else {
                return Err("`{` is never closed: write `{{` for a brace of the text".to_owned());
            };
            if !text.is_empty() {
                pieces.push(Raw::Text(std::mem::take(&mut text)));
            }
            pieces.push(Raw::Placeholder(inner));
            rest = after;
        } else {
            return Err("`}` closes nothing: write `}}` for a brace of the text".to_owned());
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Raw::Text(text));
    }
    Ok(pieces)
}

/// Two placeholders that nothing separates for certain: `{a}-{b}` is `1-2-3` for (`1-2`, `3`) and for (`1`, `2-3`).
fn neighbours(pieces: &[Piece]) -> Option<String> {
    let mut earlier: Option<(&Placeholder, bool)> = None;
    for piece in pieces {
        match (piece, &mut earlier) {
            (Piece::Text(text), Some((_, separated))) => *separated |= text.contains(separates),
            (Piece::Text(_), None) => {}
            (Piece::Placeholder(later), Some((first, false))) => {
                let (first, later) = (first.root.unraw(), later.root.unraw());
                return Some(format!(
                    "nothing separates `{first}` from `{later}`, so two argument lists could share an entry: put a `:` between them, as in `{{{first}}}:{{{later}}}`"
                ));
            }
            (Piece::Placeholder(placeholder), _) => earlier = Some((placeholder, false)),
        }
    }
    None
}

/// Characters that never appear in a filled placeholder, because there they are escaped. (`%` does: it starts an escape.)
fn separates(c: char) -> bool {
    matches!(c, ':' | '{' | '}') || c.is_whitespace() || c.is_control()
}
