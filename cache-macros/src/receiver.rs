//! `self` in a body that owns it: there it is a variable like any other, `__self`.

use std::iter::Peekable;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, Span, TokenStream, TokenTree};

use crate::signature::generated_at;

/// What `self` is called instead, where the token given stands.
pub(crate) fn name(span: Span) -> Ident {
    Ident::new("__self", generated_at(span))
}

/// A body in which every `self` that means the receiver has got its other name.
pub(crate) struct Renamed {
    pub tokens: TokenStream,
    /// Whether there was any.
    pub found: bool,
    /// Format strings that capture `self`, which cannot be renamed inside text.
    pub captures: Vec<Literal>,
}

impl Renamed {
    /// Paths (`self::x`, `pub(self)`, `use … {self}`) and items with a `self` of their own stay as they are.
    pub(crate) fn new(tokens: TokenStream) -> Self {
        let mut renamed = Self {
            tokens: TokenStream::new(),
            found: false,
            captures: Vec::new(),
        };
        renamed.tokens = renamed.stream(tokens, false);
        renamed
    }

    fn stream(&mut self, tokens: TokenStream, in_macro: bool) -> TokenStream {
        let mut tokens = tokens.into_iter().peekable();
        let mut kept = TokenStream::new();
        // Whether an identifier and a `!` have just gone by.
        let (mut after_name, mut after_bang) = (false, false);
        while let Some(token) = tokens.next() {
            let is_name = matches!(token, TokenTree::Ident(_));
            let is_bang = after_name && is_punct(&token, '!');
            match token {
                TokenTree::Ident(word) if word == "self" && !begins_path(&mut tokens) => {
                    self.found = true;
                    kept.extend([TokenTree::Ident(name(word.span()))]);
                }
                TokenTree::Ident(word) => {
                    let apart = apart(&word, &mut tokens);
                    kept.extend([TokenTree::Ident(word)]);
                    match apart {
                        Some(Apart::Next) => kept.extend(tokens.next()),
                        Some(Apart::Use) => copy_statement(&mut tokens, &mut kept),
                        Some(Apart::Item) => copy_item(&mut tokens, &mut kept),
                        None => {}
                    }
                }
                TokenTree::Group(group) => {
                    let inside = self.stream(group.stream(), in_macro || after_bang);
                    let mut renamed = Group::new(group.delimiter(), inside);
                    renamed.set_span(group.span());
                    kept.extend([TokenTree::Group(renamed)]);
                }
                TokenTree::Literal(literal) => {
                    if in_macro && captures_self(&literal.to_string()) {
                        self.captures.push(literal.clone());
                    }
                    kept.extend([TokenTree::Literal(literal)]);
                }
                punct @ TokenTree::Punct(_) => kept.extend([punct]),
            }
            (after_name, after_bang) = (is_name, is_bang);
        }
        kept
    }
}

/// Tokens after a word in which `self` is not the receiver.
enum Apart {
    /// `pub(self)`: one more token.
    Next,
    /// `use x::{self}`: up to the semicolon.
    Use,
    /// `fn name(&self) {..}`: up to the end of its braces.
    Item,
}

fn apart(word: &Ident, tokens: &mut Peekable<IntoIter>) -> Option<Apart> {
    let next = tokens.peek();
    let in_parentheses = matches!(next, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    if word == "pub" && in_parentheses {
        Some(Apart::Next)
    } else if word == "use" && !next.is_some_and(|next| is_punct(next, '<')) {
        Some(Apart::Use)
    } else if word == "impl" || word == "trait" || word == "fn" && !in_parentheses {
        // (`fn(..)` is a type.)
        Some(Apart::Item)
    } else {
        None
    }
}

fn copy_statement(tokens: &mut Peekable<IntoIter>, kept: &mut TokenStream) {
    for token in tokens {
        let is_end = is_punct(&token, ';');
        kept.extend([token]);
        if is_end {
            return;
        }
    }
}

fn copy_item(tokens: &mut Peekable<IntoIter>, kept: &mut TokenStream) {
    while let Some(token) = tokens.next() {
        let is_braces =
            matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        // Not the braces of `Array<{ N + 1 }>`.
        let is_argument = tokens
            .peek()
            .is_some_and(|next| is_punct(next, '>') || is_punct(next, ','));
        let is_end = is_braces && !is_argument || is_punct(&token, ';');
        kept.extend([token]);
        if is_end {
            return;
        }
    }
}

fn begins_path(tokens: &mut Peekable<IntoIter>) -> bool {
    matches!(tokens.peek(), Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

/// Whether `{self}` or `{self:..}` is a placeholder of this text.
fn captures_self(text: &str) -> bool {
    text.match_indices("{self").any(|(start, found)| {
        let (before, from) = text.split_at_checked(start).unwrap_or(("", text));
        let doubled = before.chars().rev().take_while(|c| *c == '{').count() % 2 == 1;
        let after = from.strip_prefix(found).unwrap_or_default();
        !doubled && after.starts_with(|c: char| c == '}' || c == ':' || c.is_whitespace())
    })
}
