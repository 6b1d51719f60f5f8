//! [`fill`]: what a placeholder without a format is filled with.

use std::fmt::Display;
use std::ops::Deref;

use crate::key::{Field, Integer, KeyError};

/// What can fill a placeholder as it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot fill a placeholder",
    label = "a placeholder is filled with what `Display` writes",
    note = "name a field of it, as in `{{order.id}}`, write `{{order:?}}` for what `Debug` writes, or implement `Display` for `{Self}`"
)]
pub trait Fills: Display {}

impl<T: Display + ?Sized> Fills for T {}

/// Fills a placeholder: an integer with its digits, at no more cost than writing them, and anything
/// else with what its `Display` writes.
pub fn fill<T: ?Sized>(value: &T) -> Fill<'_, T> {
    Fill(Displayed(value))
}

/// See [`fill`].
#[derive(Debug)]
pub struct Fill<'a, T: ?Sized>(Displayed<'a, T>);

impl<T: Integer> Fill<'_, T> {
    /// The digits.
    #[inline]
    pub fn shown(&self) -> impl Field + use<T> {
        self.0.0.digits()
    }

    /// The number that the digits say, if it is one of those that are counted by.
    #[inline]
    pub fn number(&self) -> Option<u64> {
        self.0.0.number()
    }
}

impl<'a, T: ?Sized> Deref for Fill<'a, T> {
    type Target = Displayed<'a, T>;

    fn deref(&self) -> &Displayed<'a, T> {
        &self.0
    }
}

/// What is no integer.
#[derive(Debug)]
pub struct Displayed<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> Displayed<'a, T> {
    /// No number, whatever is shown.
    #[inline]
    pub fn number(&self) -> Option<u64> {
        None
    }

    /// What its `Display` writes.
    pub fn shown(&self) -> Displayed<'a, T>
    where
        T: Fills,
    {
        Displayed(self.0)
    }
}

impl<T: Fills + ?Sized> Field for Displayed<'_, T> {
    fn fill(self, key: &mut String) -> Result<(), KeyError> {
        format_args!("{}", self.0).fill(key)
    }
}
