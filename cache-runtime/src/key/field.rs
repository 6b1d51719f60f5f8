//! [`Field`]: what fills a placeholder of a template.

use std::fmt::{self, Write};

use super::KeyError;
use super::escape::{Context, Escaped};

/// What fills a placeholder: the output of `format_args!`, escaped while it is formatted.
///
/// An integer needs neither: expansions write its digits.
pub trait Field {
    /// Appends itself to the text of a key.
    ///
    /// # Errors
    /// If the `Display` or `Debug` implementation of the value fails.
    fn fill(self, key: &mut String) -> Result<(), KeyError>;
}

impl Field for fmt::Arguments<'_> {
    fn fill(self, key: &mut String) -> Result<(), KeyError> {
        let written = Escaped::new(key, Context::Placeholder).write_fmt(self);
        written.map_err(|fmt::Error| KeyError::Format)
    }
}

/// The digits of an integer, in which nothing is to be escaped.
#[derive(Debug)]
pub struct Digits<I>(I);

impl<I: itoa::Integer> Field for Digits<I> {
    fn fill(self, key: &mut String) -> Result<(), KeyError> {
        key.push_str(itoa::Buffer::new().format(self.0));
        Ok(())
    }
}

/// An integer, or a reference to one.
pub trait Integer {
    /// What prints it.
    type Number: itoa::Integer;

    /// What its `Display` writes.
    fn digits(&self) -> Digits<Self::Number>;

    /// Itself, unless it is negative or takes more than 64 bits.
    fn number(&self) -> Option<u64>;
}

impl<T: Integer> Integer for &T {
    type Number = T::Number;

    fn digits(&self) -> Digits<T::Number> {
        (**self).digits()
    }

    #[inline]
    fn number(&self) -> Option<u64> {
        (**self).number()
    }
}

macro_rules! integers {
    ($($integer:ident)*) => {$(
        impl Integer for $integer {
            type Number = Self;

            fn digits(&self) -> Digits<Self> {
                Digits(*self)
            }

            #[inline]
            fn number(&self) -> Option<u64> {
                (*self).try_into().ok()
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(field: impl Field) -> String {
        let mut key = String::new();
        field.fill(&mut key).expect("a number");
        key
    }

    proptest! {
        #[test]
        fn digits_are_what_display_writes(signed in any::<i128>(), unsigned in any::<u64>(), small in any::<i8>()) {
            prop_assert_eq!(filled(signed.digits()), filled(format_args!("{signed}")));
            prop_assert_eq!(filled(unsigned.digits()), filled(format_args!("{unsigned}")));
            prop_assert_eq!(filled(small.digits()), filled(format_args!("{small}")));
        }
    }
}
