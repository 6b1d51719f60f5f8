//! [`Batched`]: what a batch function takes and returns.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};

/// Values by id.
#[diagnostic::on_unimplemented(
    message = "a batch function does not return `{Self}`",
    label = "which value belongs to which id?",
    note = "return `HashMap<Id, Value>`, `BTreeMap<Id, Value>` or `Vec<(Id, Value)>`, alone or in a `Result`, with ids that can be cloned and compared"
)]
pub trait ById: IntoIterator<Item = (Self::Id, Self::Value)> + FromIterator<Self::Item> {
    /// What tells the values apart.
    type Id: Clone;
    /// The value of an id.
    type Value;
    /// The values as they are found by their ids.
    type Found: FromIterator<Self::Item>;

    /// Each id once, in their order.
    fn distinct(ids: Vec<Self::Id>) -> Vec<Self::Id>;
    /// The value of an id.
    fn take(found: &mut Self::Found, id: &Self::Id) -> Option<Self::Value>;
}

impl<K: Clone + Eq + Hash, V, S: BuildHasher + Default> ById for HashMap<K, V, S> {
    type Id = K;
    type Value = V;
    type Found = Self;

    fn distinct(ids: Vec<K>) -> Vec<K> {
        let mut seen = HashSet::with_capacity(ids.len());
        let news = ids.iter().map(|id| seen.insert(id)).collect();
        those(ids, news)
    }
    fn take(found: &mut Self, id: &K) -> Option<V> {
        found.remove(id)
    }
}

impl<K: Clone + Ord, V> ById for BTreeMap<K, V> {
    type Id = K;
    type Value = V;
    type Found = Self;

    fn distinct(ids: Vec<K>) -> Vec<K> {
        let mut seen = BTreeSet::new();
        let news = ids.iter().map(|id| seen.insert(id)).collect();
        those(ids, news)
    }
    fn take(found: &mut Self, id: &K) -> Option<V> {
        found.remove(id)
    }
}

impl<K: Clone + Eq + Hash, V> ById for Vec<(K, V)> {
    type Id = K;
    type Value = V;
    type Found = HashMap<K, V>;

    fn distinct(ids: Vec<K>) -> Vec<K> {
        HashMap::<K, V>::distinct(ids)
    }
    fn take(found: &mut HashMap<K, V>, id: &K) -> Option<V> {
        found.remove(id)
    }
}

/// The ids that are marked.
fn those<K>(ids: Vec<K>, marked: Vec<bool>) -> Vec<K> {
    let ids = ids.into_iter().zip(marked);
    ids.filter_map(|(id, marked)| marked.then_some(id))
        .collect()
}

/// What a batch function returns: values by id, alone or in a `Result`.
#[diagnostic::on_unimplemented(
    message = "a batch function does not return `{Self}`",
    label = "which value belongs to which id?",
    note = "return `HashMap<Id, Value>`, `BTreeMap<Id, Value>` or `Vec<(Id, Value)>`, alone or in a `Result`, with ids that can be cloned and compared"
)]
pub trait Batched: Sized {
    /// The values.
    type Values: ById;
    /// What is returned instead of them.
    type Error;
    /// What a function of one id returns whose value is a `T`.
    type Each<T>;

    /// The values, or what was returned instead.
    fn split(self) -> Result<Self::Values, Self::Error>;
    /// The return value that holds these.
    fn join(values: Result<Self::Values, Self::Error>) -> Self;
    /// What a function of one id has returned.
    fn split_each<T>(each: Self::Each<T>) -> Result<T, Self::Error>;
    /// What a function of one id would return.
    fn join_each<T>(value: Result<T, Self::Error>) -> Self::Each<T>;
}

impl<M: ById> Batched for M {
    type Values = M;
    type Error = Infallible;
    type Each<T> = T;

    fn split(self) -> Result<M, Infallible> {
        Ok(self)
    }
    fn join(Ok(values): Result<M, Infallible>) -> M {
        values
    }
    fn split_each<T>(each: T) -> Result<T, Infallible> {
        Ok(each)
    }
    fn join_each<T>(Ok(value): Result<T, Infallible>) -> T {
        value
    }
}

impl<M: ById, E> Batched for Result<M, E> {
    type Values = M;
    type Error = E;
    type Each<T> = Result<T, E>;

    fn split(self) -> Self {
        self
    }
    fn join(values: Self) -> Self {
        values
    }
    fn split_each<T>(each: Result<T, E>) -> Result<T, E> {
        each
    }
    fn join_each<T>(value: Result<T, E>) -> Result<T, E> {
        value
    }
}

/// What tells the values of a batch apart.
pub type Id<B> = <<B as Batched>::Values as ById>::Id;

/// The value of an id.
pub(super) type Value<B> = <<B as Batched>::Values as ById>::Value;

/// What a function of one id returns.
pub type One<B> = <B as Batched>::Each<Value<B>>;

/// The same if it returns `None` for an id without a value.
pub type OneOrNone<B> = <B as Batched>::Each<Option<Value<B>>>;

/// What is cached of an id: its value, or whether it has one.
pub trait Kept<B: Batched> {
    /// The cached value.
    type Kept;

    /// What is cached of an id that the origin was asked for; none if nothing is.
    fn keep(found: Option<Value<B>>) -> Option<Self::Kept>;
    /// The value in it.
    fn value(kept: Self::Kept) -> Option<Value<B>>;
}

/// Nothing is cached of ids without a value.
#[derive(Debug)]
pub enum Present {}

/// That an id has no value is cached as `None`.
#[derive(Debug)]
pub enum OrNone {}

impl<B: Batched> Kept<B> for Present {
    type Kept = Value<B>;

    fn keep(found: Option<Value<B>>) -> Option<Value<B>> {
        found
    }
    fn value(kept: Value<B>) -> Option<Value<B>> {
        Some(kept)
    }
}

impl<B: Batched> Kept<B> for OrNone {
    type Kept = Option<Value<B>>;

    fn keep(found: Option<Value<B>>) -> Option<Option<Value<B>>> {
        Some(found)
    }
    fn value(kept: Option<Value<B>>) -> Option<Value<B>> {
        kept
    }
}

/// An id where one is asked for, owned or borrowed.
#[diagnostic::on_unimplemented(
    message = "the ids of this batch are `{Self}`, but its values are by `{K}`",
    label = "not ids by which the values are returned",
    note = "use one type for both, as in `&[{K}]`; for text take `&[String]` and return values by `String`"
)]
pub trait ToId<K> {
    /// The id.
    fn to_id(self) -> K;
}

impl<K> ToId<K> for K {
    fn to_id(self) -> K {
        self
    }
}

impl<K: Clone> ToId<K> for &K {
    fn to_id(self) -> K {
        self.clone()
    }
}
