//! Which collections have no order of their own.

use std::any::type_name;

/// How the entries of a collection are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they come.
    Kept,
    /// Sorted by their text.
    Sorted,
}

const UNORDERED: [&str; 4] = [
    "std::collections::hash::set::HashSet<",
    "std::collections::hash::map::HashMap<",
    "hashbrown::set::HashSet<",
    "hashbrown::map::HashMap<",
];

const TRANSPARENT: [&str; 7] = [
    "&mut ",
    "&",
    "alloc::boxed::Box<",
    "alloc::sync::Arc<",
    "alloc::rc::Rc<",
    "alloc::borrow::Cow<",
    "'_, ",
];

/// Serde does not tell a `HashSet` from a `Vec`, and specialization is not stable, which leaves the
/// type's name. If a compiler should spell it differently, equal sets miss each other, and a test
/// here fails; a wrong hit cannot come of it.
pub(super) fn order_of<T: ?Sized>() -> Order {
    let mut name = type_name::<T>();
    while let Some(inner) = TRANSPARENT
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
    {
        name = inner;
    }
    if UNORDERED.iter().any(|prefix| name.starts_with(prefix)) {
        Order::Sorted
    } else {
        Order::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::collections::{BTreeMap, HashMap, HashSet};
    use std::sync::Arc;

    #[test]
    fn hash_collections_are_recognised_behind_references() {
        assert_eq!(order_of::<HashMap<String, u8>>(), Order::Sorted);
        assert_eq!(order_of::<HashSet<u8>>(), Order::Sorted);
        assert_eq!(order_of::<&&mut HashSet<u8>>(), Order::Sorted);
        assert_eq!(order_of::<Box<Arc<HashSet<u8>>>>(), Order::Sorted);
        assert_eq!(order_of::<Cow<'_, HashSet<u8>>>(), Order::Sorted);
    }

    #[test]
    fn everything_else_keeps_its_order() {
        assert_eq!(order_of::<BTreeMap<String, u8>>(), Order::Kept);
        assert_eq!(order_of::<Vec<HashSet<u8>>>(), Order::Kept);
        assert_eq!(order_of::<[u8]>(), Order::Kept);
    }
}
