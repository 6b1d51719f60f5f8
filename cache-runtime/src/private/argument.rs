//! Arguments in default keys.

use std::ops::Deref;

use serde::Serialize;

use crate::key::KeyBuilder;

/// An argument to be rendered into a default key, if serde can write it.
#[derive(Debug)]
pub struct Arg<'a, T: ?Sized>(Unrenderable<'a, T>);

/// An argument that serde cannot write.
#[derive(Debug)]
pub struct Unrenderable<'a, T: ?Sized>(&'a T);

/// Never implemented: demanded of an argument that cannot be part of a default key, for the sake
/// of one good message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of the default key",
    label = "this argument is not `serde::Serialize`",
    note = "if it does not decide the value, write `skip(<argument>)`; if it does, write a template such as `key = \"user:{{id}}\"`"
)]
pub trait KeyArgument {}

impl<'a, T: ?Sized> Arg<'a, T> {
    /// Borrows the argument.
    pub const fn new(argument: &'a T) -> Self {
        Self(Unrenderable(argument))
    }
}

impl<T: Serialize + ?Sized> Arg<'_, T> {
    /// Appends the argument to the key.
    pub fn render(&self, key: KeyBuilder) -> KeyBuilder {
        key.argument(self.0.0)
    }
}

impl<T: ?Sized> Unrenderable<'_, T> {
    /// Does not compile.
    pub fn render(&self, key: KeyBuilder) -> KeyBuilder
    where
        T: KeyArgument,
    {
        key
    }
}

impl<'a, T: ?Sized> Deref for Arg<'a, T> {
    type Target = Unrenderable<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
