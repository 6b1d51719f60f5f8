//! Durations in attributes: seconds, text such as `"1h30m"`, or any expression of type `Duration`.

use std::time;

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit, LitInt, LitStr, UnOp};

use crate::signature::generated_at;

/// Units in the order in which text has to name them, with their length in milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

const FORMS: &str = "write seconds (`300`), text (`\"250ms\"`, `\"5m\"`, `\"1h30m\"`, `\"2d\"`) or a `Duration` expression";

#[derive(Clone)]
pub(crate) enum Duration {
    /// Known while the attribute is read.
    Fixed(time::Duration, Expr),
    /// Evaluated at each call; its type is checked by the compiler.
    Computed(Expr),
}

impl Duration {
    pub(crate) fn new(expr: Expr) -> syn::Result<Self> {
        let fixed = match bare(&expr) {
            Expr::Lit(ExprLit {
                lit: Lit::Int(literal),
                ..
            }) => seconds(literal)?,
            Expr::Lit(ExprLit {
                lit: Lit::Str(literal),
                ..
            }) => text(literal)?,
            Expr::Lit(ExprLit {
                lit: Lit::Float(literal),
                ..
            }) => {
                let message =
                    "durations are whole numbers of a unit: write `\"500ms\"` for half a second";
                return Err(syn::Error::new(literal.span(), message));
            }
            Expr::Lit(other) => {
                return Err(syn::Error::new_spanned(
                    other,
                    format!("not a duration: {FORMS}"),
                ));
            }
            Expr::Unary(negated) if matches!(negated.op, UnOp::Neg(_)) => {
                return Err(syn::Error::new_spanned(
                    &expr,
                    "a duration cannot be negative",
                ));
            }
            _ => return Ok(Self::Computed(expr)),
        };
        if fixed.is_zero() {
            return Err(syn::Error::new_spanned(
                &expr,
                "a duration must be longer than zero",
            ));
        }
        Ok(Self::Fixed(fixed, expr))
    }

    /// The user's expression, if it may mention parameters.
    pub(crate) fn computed(&self) -> Option<&Expr> {
        match self {
            Self::Fixed(..) => None,
            Self::Computed(expr) => Some(expr),
        }
    }
}

impl ToTokens for Duration {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Fixed(duration, expr) => {
                let seconds = Literal::u64_unsuffixed(duration.as_secs());
                let nanoseconds = Literal::u32_unsuffixed(duration.subsec_nanos());
                tokens.extend(quote_spanned! {generated_at(expr.span())=>
                    ::core::time::Duration::new(#seconds, #nanoseconds)
                });
            }
            Self::Computed(expr) => expr.to_tokens(tokens),
        }
    }
}

/// A literal that came through a `macro_rules!` fragment arrives in an invisible group.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => bare(&group.expr),
        _ => expr,
    }
}

fn seconds(literal: &LitInt) -> syn::Result<time::Duration> {
    let suffix = literal.suffix();
    if UNITS.iter().any(|(unit, _)| *unit == suffix) {
        let message = format!("write the unit inside a string: `\"{literal}\"`");
        return Err(syn::Error::new(literal.span(), message));
    }
    literal
        .base10_parse()
        .map(time::Duration::from_secs)
        .map_err(|_overflow| syn::Error::new(literal.span(), "too long: at most 2^64 - 1 seconds"))
}

fn text(literal: &LitStr) -> syn::Result<time::Duration> {
    milliseconds(&literal.value())
        .map(time::Duration::from_millis)
        .map_err(|message| syn::Error::new(literal.span(), message))
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let mut rest = text;
    let mut sum = 0_u64;
    let mut coarser_than = 0;
    if rest.is_empty() {
        return Err(format!("an empty duration: {FORMS}"));
    }
    while !rest.is_empty() {
        let (digits, after) = split_while(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_while(after, |c| !c.is_ascii_digit());
        if digits.is_empty() {
            return Err(format!("`{text}` is not a duration: {FORMS}"));
        }
        if unit.is_empty() {
            return Err(format!(
                "`{digits}` lacks its unit: write `{digits}s`, or the number of seconds without quotes"
            ));
        }
        let Some(position) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(format!(
                "unknown unit `{unit}`: units are `w`, `d`, `h`, `m`, `s` and `ms`, with whole numbers"
            ));
        };
        if position < coarser_than {
            return Err(format!(
                "`{unit}` comes too late in `{text}`: write each unit once, the longest first"
            ));
        }
        coarser_than = position + 1;
        let length = UNITS.get(position).map_or(0, |(_, length)| *length);
        sum = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(length))
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| format!("`{text}` is too long: at most 2^64 - 1 milliseconds"))?;
        rest = after;
    }
    Ok(sum)
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}
