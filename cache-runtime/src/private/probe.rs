//! What an annotated function returns, found out by type.
//!
//! Method resolution tries inherent impls along a chain of `Deref`s and takes the first whose
//! bounds hold. So `Probe::<R>::new().at(..)` tells a `Result` (under any alias) from another
//! type, an `Option` from another value, and a value that can be cached from one that cannot,
//! without specialization. `R` has to be known: a bare type parameter is refused by the macro.

use std::any::type_name;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Address;
use crate::rules::CacheValue;
use crate::single_flight::SharedError;
use crate::site::Site;

/// Never implemented: demanded of a value that cannot be cached, for the sake of one good message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached",
    label = "the cached value must be serializable and own its data",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{Self}`, and return it owned, without borrowed parts"
)]
pub trait Cacheable {}

/// How a return type `Out` holds a value.
pub trait Returns: Sized {
    /// The whole return type.
    type Out;
    /// The value in it that is cached.
    type Value: CacheValue;

    /// The value, or what was returned instead of one.
    fn split(out: Self::Out) -> Result<Self::Value, Self::Out>;
    /// The return value that holds this value.
    fn join(value: Self::Value) -> Self::Out;
    /// Whether the value is `None`.
    fn is_none(_value: &Self::Value) -> bool {
        false
    }
}

/// Shapes whose value is an `Option`, for `none_ttl`.
#[diagnostic::on_unimplemented(
    message = "`none_ttl` needs a function that returns an `Option`",
    label = "the value is never `None`",
    note = "remove `none_ttl`, or return `Option<…>` or `Result<Option<…>, …>`"
)]
pub trait OptionValue {}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident<$($parameter:ident),*>;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<$($parameter),*>(PhantomData<fn() -> ($($parameter,)*)>);
    )*};
}

shapes! {
    /// `Result<Option<T>, E>`
    FallibleOption<T, E>;
    /// `Result<T, E>`
    Fallible<T, E>;
    /// `Option<T>`
    PlainOption<T>;
    /// Anything else.
    Plain<T>;
    /// A `Result` with a value that cannot be cached.
    FallibleUncacheable<T, E>;
    /// A value that cannot be cached.
    Uncacheable<T>;
}

impl<T, E> Returns for FallibleOption<T, E>
where
    Option<T>: CacheValue,
{
    type Out = Result<Option<T>, E>;
    type Value = Option<T>;

    fn split(out: Self::Out) -> Result<Option<T>, Self::Out> {
        out.map_err(Err)
    }
    fn join(value: Option<T>) -> Self::Out {
        Ok(value)
    }
    fn is_none(value: &Option<T>) -> bool {
        value.is_none()
    }
}

impl<T, E> OptionValue for FallibleOption<T, E> {}

impl<T: CacheValue, E> Returns for Fallible<T, E> {
    type Out = Result<T, E>;
    type Value = T;

    fn split(out: Self::Out) -> Result<T, Self::Out> {
        out.map_err(Err)
    }
    fn join(value: T) -> Self::Out {
        Ok(value)
    }
}

impl<T> Returns for PlainOption<T>
where
    Option<T>: CacheValue,
{
    type Out = Option<T>;
    type Value = Option<T>;

    fn split(out: Option<T>) -> Result<Option<T>, Option<T>> {
        Ok(out)
    }
    fn join(value: Option<T>) -> Option<T> {
        value
    }
    fn is_none(value: &Option<T>) -> bool {
        value.is_none()
    }
}

impl<T> OptionValue for PlainOption<T> {}

impl<T: CacheValue> Returns for Plain<T> {
    type Out = T;
    type Value = T;

    fn split(out: T) -> Result<T, T> {
        Ok(out)
    }
    fn join(value: T) -> T {
        value
    }
}

/// Stands in for the value after the one error has been reported.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Never {}

impl<T, E> Returns for FallibleUncacheable<T, E> {
    type Out = Result<T, E>;
    type Value = Never;

    fn split(out: Self::Out) -> Result<Never, Self::Out> {
        Err(out)
    }
    fn join(value: Never) -> Self::Out {
        match value {}
    }
}

impl<T, E> OptionValue for FallibleUncacheable<T, E> {}

impl<T> Returns for Uncacheable<T> {
    type Out = T;
    type Value = Never;

    fn split(out: T) -> Result<Never, T> {
        Err(out)
    }
    fn join(value: Never) -> T {
        match value {}
    }
}

impl<T> OptionValue for Uncacheable<T> {}

/// A chain of types, each of which derefs to the next.
macro_rules! chain {
    ($(#[$doc:meta])* $first:ident => $next:ident $(=> $rest:ident)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $first<R>($next<R>);

        impl<R> Default for $first<R> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<R> Deref for $first<R> {
            type Target = $next<R>;

            fn deref(&self) -> &$next<R> {
                &self.0
            }
        }

        impl<R> $first<R> {
            #[doc(hidden)]
            #[must_use]
            pub const fn new() -> Self {
                Self($next::new())
            }
        }

        chain! { $(#[$doc])* $next $(=> $rest)* }
    };
    ($(#[$doc:meta])* $last:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $last<R>(PhantomData<fn() -> R>);

        impl<R> Default for $last<R> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<R> $last<R> {
            #[doc(hidden)]
            #[must_use]
            pub const fn new() -> Self {
                Self(PhantomData)
            }
        }
    };
}

chain! {
    /// Tells the shape of the return type `R`, and begins an [`Address`] of it.
    Probe => ProbeFallible => ProbeFallibleUncacheable => ProbeOption => ProbePlain => ProbeUncacheable
}

impl<T, E> Probe<Result<Option<T>, E>>
where
    Option<T>: Serialize + DeserializeOwned,
{
    /// `R` is a `Result` of an `Option`. `scope` is a closure inside the function of `site`.
    pub fn at<'c, F>(&self, site: &'static Site, _scope: &F) -> Address<'c, FallibleOption<T, E>>
    where
        T: 'static,
    {
        Address::new(site, type_name::<F>())
    }
}

impl<T: Serialize + DeserializeOwned, E> ProbeFallible<Result<T, E>> {
    /// `R` is a `Result`.
    pub fn at<'c, F>(&self, site: &'static Site, _scope: &F) -> Address<'c, Fallible<T, E>>
    where
        T: 'static,
    {
        Address::new(site, type_name::<F>())
    }
}

impl<T, E> ProbeFallibleUncacheable<Result<T, E>> {
    /// `R` is a `Result` with a value that cannot be cached.
    pub fn at<'c, F>(
        &self,
        site: &'static Site,
        _scope: &F,
    ) -> Address<'c, FallibleUncacheable<T, E>>
    where
        T: Cacheable,
    {
        Address::new(site, type_name::<F>())
    }
}

impl<T> ProbeOption<Option<T>>
where
    Option<T>: Serialize + DeserializeOwned,
{
    /// `R` is an `Option`.
    pub fn at<'c, F>(&self, site: &'static Site, _scope: &F) -> Address<'c, PlainOption<T>>
    where
        T: 'static,
    {
        Address::new(site, type_name::<F>())
    }
}

impl<T: Serialize + DeserializeOwned> ProbePlain<T> {
    /// `R` is the value.
    pub fn at<'c, F>(&self, site: &'static Site, _scope: &F) -> Address<'c, Plain<T>>
    where
        T: 'static,
    {
        Address::new(site, type_name::<F>())
    }
}

impl<T> ProbeUncacheable<T> {
    /// `R` cannot be cached.
    pub fn at<'c, F>(&self, site: &'static Site, _scope: &F) -> Address<'c, Uncacheable<T>>
    where
        T: Cacheable,
    {
        Address::new(site, type_name::<F>())
    }
}

chain! {
    /// Tells whether a failed call's error can be shared with other callers.
    Errors => NoErrors
}

/// How to share what a failed call returned; nothing if it cannot be.
#[derive(Debug)]
pub struct Sharing<R> {
    pub(crate) share: fn(&R) -> Option<SharedError>,
    pub(crate) unshare: fn(&SharedError) -> Option<R>,
}

impl<R> Clone for Sharing<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Sharing<R> {}

impl<R> Sharing<R> {
    pub(crate) const NONE: Self = Self {
        share: |_| None,
        unshare: |_| None,
    };
}

impl<T, E: Clone + Send + Sync + 'static> Errors<Result<T, E>> {
    /// The error can be cloned into every waiter.
    pub const fn sharing(&self) -> Sharing<Result<T, E>> {
        Sharing {
            share: |out| {
                out.as_ref()
                    .err()
                    .map(|e| Arc::new(e.clone()) as SharedError)
            },
            unshare: |error| error.downcast_ref::<E>().map(|e| Err(e.clone())),
        }
    }
}

impl<R> NoErrors<R> {
    /// There is no error that could be shared.
    pub const fn sharing(&self) -> Sharing<R> {
        Sharing::NONE
    }
}

/// Tells a body its return type, by a `return` that is never run.
#[must_use]
pub const fn nothing<R>() -> Option<R> {
    None
}

chain! {
    /// Finds the success value in what a function returned.
    Success => Always
}

impl<T, E> Success<Result<T, E>> {
    /// The `Ok` value.
    pub fn of<'a>(&self, out: &'a Result<T, E>) -> Option<&'a T> {
        out.as_ref().ok()
    }
}

impl<R> Always<R> {
    /// A function that does not return a `Result` always succeeds.
    pub fn of<'a>(&self, out: &'a R) -> Option<&'a R> {
        Some(out)
    }
}
