//! Errors of one attribute, collected so that all of them are reported at once, each on its own span.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Everything wrong with one use of an attribute.
#[derive(Default)]
pub(crate) struct Errors {
    combined: RefCell<Option<syn::Error>>,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Reports on the tokens given, from the first to the last of them.
    pub(crate) fn on(&self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn at(&self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn push(&self, error: syn::Error) {
        let mut combined = self.combined.borrow_mut();
        match combined.as_mut() {
            Some(first) => first.combine(error),
            None => *combined = Some(error),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.combined
            .borrow()
            .as_ref()
            .map_or(0, |combined| combined.clone().into_iter().count())
    }

    pub(crate) fn to_compile_errors(&self) -> TokenStream {
        self.combined
            .borrow()
            .as_ref()
            .map_or_else(TokenStream::new, syn::Error::to_compile_error)
    }
}

/// `"`a`, `b` and `c`"`, for messages that list what there is.
pub(crate) fn list<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.pop() {
        None => "none".to_owned(),
        Some(only) if quoted.is_empty() => only,
        Some(last) => format!("{} and {last}", quoted.join(", ")),
    }
}

/// The known name that a mistyped one most probably meant.
pub(crate) fn closest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, l) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut above_left = line + 1;
        let mut next = vec![above_left];
        for (r, above) in right.chars().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(l != r))
                .min(above + 1)
                .min(above_left + 1);
            diagonal = *above;
            above_left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
