//! Arguments of a body that may run in the background.
//!
//! A reference is kept as the owned form of what it refers to, any other value as its clone; inside, the body gets
//! the type that it was written for. Which of them an argument is, is found out by type, as in
//! [`probe`](super::probe): a pattern such as `Leg { from, .. }: &Leg` does not show it.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// An argument to be kept.
#[derive(Debug)]
pub struct Own<'a, T>(OwnReference<'a, T>);

/// An argument that is no reference to something that can be owned.
#[derive(Debug)]
pub struct OwnReference<'a, T>(OwnValue<'a, T>);

/// An argument that is no reference, or a `'static` one.
#[derive(Debug)]
pub struct OwnValue<'a, T>(OwnUnkeepable<'a, T>);

/// An argument that cannot be kept.
#[derive(Debug)]
pub struct OwnUnkeepable<'a, T>(&'a T);

/// Never implemented: demanded of an argument that cannot be kept, for the sake of one good message.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be kept for a load in the background",
    label = "this argument is not `Clone + Send + 'static`",
    note = "`stale_while_revalidate` loads in the background, when the caller has gone on, so the body keeps this argument: make its type `Clone + Send + 'static`, by a derive or by bounds, or pass it in an `Arc`"
)]
pub trait Keepable<T: ?Sized> {}

impl<'a, T> Own<'a, T> {
    /// Borrows the argument.
    pub const fn new(argument: &'a T) -> Self {
        Self(OwnReference(OwnValue::new(argument)))
    }
}

impl<'a, T> OwnValue<'a, T> {
    /// Borrows the argument, which is kept as it is even if it is a reference.
    pub const fn new(argument: &'a T) -> Self {
        Self(OwnUnkeepable(argument))
    }
}

impl<T> Own<'_, &T>
where
    T: ToOwned<Owned: Send + 'static> + ?Sized,
{
    /// Keeps what the reference refers to.
    pub fn own(&self) -> Owned<T> {
        let argument: &T = self.0.0.0.0;
        Owned(argument.to_owned())
    }
}

impl<'b, T: ?Sized> OwnReference<'_, &'b T> {
    /// Does not compile.
    pub fn own(&self) -> Value<&'b T>
    where
        (): Keepable<T>,
    {
        Value(*self.0.0.0)
    }
}

impl<T: Clone + Send + 'static> OwnValue<'_, T> {
    /// Keeps a clone.
    pub fn own(&self) -> Value<T> {
        Value(self.0.0.clone())
    }
}

impl<'a, T> OwnUnkeepable<'a, T> {
    /// Does not compile.
    pub fn own(&self) -> Value<T>
    where
        (): Keepable<T>,
    {
        unreachable!("`Keepable` is never implemented")
    }
}

impl<'a, T> Deref for Own<'a, T> {
    type Target = OwnReference<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, T> Deref for OwnReference<'a, T> {
    type Target = OwnValue<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, T> Deref for OwnValue<'a, T> {
    type Target = OwnUnkeepable<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// What a reference referred to.
pub struct Owned<T: ToOwned + ?Sized>(T::Owned);

impl<T: ToOwned + ?Sized> Owned<T> {
    /// The argument as the body knows it.
    pub fn argument(&self) -> &T {
        self.0.borrow()
    }
}

impl<T: ToOwned + ?Sized> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").finish_non_exhaustive()
    }
}

/// An argument's clone.
#[derive(Debug)]
pub struct Value<T>(T);

impl<T> Value<T> {
    /// The argument as the body knows it.
    pub fn argument(self) -> T {
        self.0
    }
}
