//! A deploy changes a type while values of the old one are stored: they read right, or are a miss.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use super::stored;
use super::traced::{Date, Uuid};
use crate::codec::identity::identity_named;
use crate::codec::{Codec, Json, MessagePack, Postcard};

/// The old program stores, the new one reads, and both call the type by the same name.
fn across<C: Codec, Old, New>(old: &Old) -> Option<New>
where
    Old: Serialize + DeserializeOwned + 'static,
    New: DeserializeOwned + 'static,
{
    let bytes = stored::<C, Old>(old).unwrap();
    let before = identity_named::<Old, C>("shop::User").unwrap();
    let after = identity_named::<New, C>("shop::User").unwrap();
    (before == after).then(|| C::decode(&bytes).ok()).flatten()
}

/// In every codec, alone and inside other types.
macro_rules! deploy {
    ($name:ident, $old:ident { $($before:tt)* } $value:expr => $new:ident { $($after:tt)* } $right:expr) => {
        #[test]
        fn $name() {
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(rename = "User")]
            struct $old { $($before)* }
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(rename = "User")]
            struct $new { $($after)* }
            #[derive(Debug, PartialEq, Serialize, Deserialize)]
            enum Holder<T> { Empty, One(T), Named { user: T } }

            fn check<C: Codec>(right: impl Fn(&$new) -> bool) -> bool {
                let old: $old = $value;
                let wrong = |new: &$new| !right(new);
                let read = across::<C, $old, $new>(&old);
                assert!(!read.iter().any(wrong), "{}: {read:?}", C::NAME);
                let nested = across::<C, Vec<$old>, Vec<$new>>(&vec![old.clone()]);
                assert!(!nested.iter().flatten().any(wrong), "{}: {nested:?}", C::NAME);
                assert_eq!(nested.is_some(), read.is_some());
                let nested = across::<C, Option<$old>, Option<$new>>(&Some(old.clone()));
                assert!(!nested.iter().flatten().any(wrong), "{}: {nested:?}", C::NAME);
                let nested = across::<C, HashMap<u8, (Uuid, $old)>, HashMap<u8, (Uuid, $new)>>(
                    &HashMap::from([(1, (Uuid([7; 16]), old.clone()))]),
                );
                assert!(
                    !nested.iter().flat_map(HashMap::values).any(|(_, new)| wrong(new)),
                    "{}: {nested:?}", C::NAME
                );
                for holder in [Holder::One(old.clone()), Holder::Named { user: old.clone() }] {
                    match across::<C, Holder<$old>, Holder<$new>>(&holder) {
                        None => {}
                        Some(Holder::One(new) | Holder::Named { user: new }) => assert!(right(&new)),
                        Some(Holder::Empty) => panic!("{}", C::NAME),
                    }
                }
                read.is_some()
            }
            assert!(!check::<Postcard>($right), "the structure changed");
            #[cfg(feature = "bincode")]
            assert!(!check::<crate::Bincode>($right), "the structure changed");
            check::<MessagePack>($right);
            check::<Json>($right);
        }
    };
}

deploy!(swapped_texts,
    Before { email: String, name: String } Before { email: "e".into(), name: "n".into() } =>
    After { name: String, email: String } |new| new.name == "n" && new.email == "e");

deploy!(swapped_types,
    Before { id: u64, name: String } Before { id: 1, name: "n".into() } =>
    After { name: String, id: u64 } |new| new.name == "n" && new.id == 1);

deploy!(renamed,
    Before { price: u64, discount: u64 } Before { price: 100, discount: 5 } =>
    After { price: u64, tax: u64 } |new| new.tax == 0 && new.price == 100);

deploy!(names_exchanged,
    Before { net: u64, gross: u64 } Before { net: 1, gross: 2 } =>
    After { gross: u64, net: u64 } |new| new.gross == 2 && new.net == 1);

deploy!(cents_to_euros,
    Before { cents: u64 } Before { cents: 250 } =>
    After { euros: f64 } |new| new.euros == 2.5);

deploy!(signed,
    Before { id: u64, count: u64 } Before { id: 3, count: u64::MAX } =>
    After { id: u64, count: i32 } |new| new.id == 3 && i128::from(new.count) == i128::from(u64::MAX));

deploy!(signed_and_in_range,
    Before { count: u64 } Before { count: 7 } =>
    After { count: i32 } |new| new.count == 7);

deploy!(added,
    Before { id: u64 } Before { id: 1 } =>
    After { id: u64, note: String } |_| false);

deploy!(added_with_default,
    Before { id: u64 } Before { id: 1 } =>
    After { id: u64, #[serde(default)] note: String } |new| new.id == 1 && new.note.is_empty());

deploy!(removed,
    Before { id: u64, note: String } Before { id: 1, note: "n".into() } =>
    After { id: u64 } |new| new.id == 1);

deploy!(removed_in_front,
    Before { flag: u8, id: u8 } Before { flag: 9, id: 1 } =>
    After { id: u8 } |new| new.id == 1);

deploy!(optional,
    Before { id: u8, note: u8 } Before { id: 1, note: 1 } =>
    After { id: u8, note: Option<u8> } |new| new.id == 1 && new.note == Some(1));

deploy!(retyped_behind_a_date,
    Before { at: Date, count: u64 } Before { at: Date("2026-11-21".into()), count: 300 } =>
    After { at: Date, count: i64 } |new| new.count == 300);

deploy!(swapped_behind_a_uuid,
    Before { id: Uuid, email: String, name: String }
    Before { id: Uuid([1; 16]), email: "e".into(), name: "n".into() } =>
    After { id: Uuid, name: String, email: String } |new| new.name == "n" && new.email == "e");

deploy!(retyped_behind_both_in_a_tuple,
    Before { all: (Date, Uuid, u64) } Before { all: (Date("2026-11-21".into()), Uuid([1; 16]), 300) } =>
    After { all: (Date, Uuid, i64) } |new| new.all.2 == 300);

deploy!(bytes_retyped,
    Before { id: [u8; 4], rest: u8 } Before { id: [1, 2, 3, 4], rest: 5 } =>
    After { id: [u8; 3], rest: u16 } |_| false);

mod variants {
    use super::{across, check_all};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename = "State")]
    enum Before {
        Open,
        Closed,
        Sent { by: u8, to: u8 },
    }

    #[test]
    fn reordered() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename = "State")]
        enum After {
            Closed,
            Open,
            Sent { to: u8, by: u8 },
        }
        check_all!(Before::Open, After, |new| *new == After::Open);
        check_all!(Before::Closed, After, |new| *new == After::Closed);
        check_all!(Before::Sent { by: 1, to: 2 }, After, |new| *new
            == After::Sent { to: 2, by: 1 });
    }

    #[test]
    fn inserted_and_renamed() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename = "State")]
        enum After {
            New,
            Open,
            Finished,
            Sent { by: u8, to: u8 },
        }
        check_all!(Before::Open, After, |new| *new == After::Open);
        check_all!(Before::Closed, After, |_| false);
    }
}

macro_rules! check_all {
    ($old:expr, $new:ty, $right:expr) => {{
        fn check<C: crate::codec::Codec>(right: impl Fn(&$new) -> bool) {
            let read = across::<C, Before, $new>(&$old);
            assert!(
                read.is_none() || (!C::POSITIONAL && read.iter().all(right)),
                "{}",
                C::NAME
            );
        }
        check::<crate::Postcard>($right);
        #[cfg(feature = "bincode")]
        check::<crate::Bincode>($right);
        check::<crate::MessagePack>($right);
        check::<crate::Json>($right);
    }};
}
use check_all;

/// A deploy that leaves the type alone keeps the cache warm, in every codec.
#[test]
fn unchanged_types_keep_reading() {
    mod before {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        pub(super) struct User {
            pub(super) at: super::Date,
            pub(super) tags: Vec<String>,
        }
    }
    mod after {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        pub(super) struct User {
            pub(super) at: super::Date,
            pub(super) tags: Vec<String>,
        }
    }
    fn check<C: Codec>() {
        let old = before::User {
            at: Date("2026-11-21".into()),
            tags: vec!["a".into()],
        };
        let new = across::<C, before::User, after::User>(&old).expect("still read");
        assert_eq!((new.at, new.tags), (old.at, old.tags));
    }
    check::<MessagePack>();
    check::<Json>();
    check::<Postcard>();
    #[cfg(feature = "bincode")]
    check::<crate::Bincode>();
}

/// The default keeps the cache warm where names tell that nothing is lost.
#[test]
fn by_default_a_defaulted_removed_or_reordered_field_keeps_reading() {
    #[derive(Serialize, Deserialize)]
    struct Before {
        id: u64,
        old: String,
        name: String,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct After {
        name: String,
        #[serde(default)]
        new: Vec<u8>,
        maybe: Option<u8>,
        id: u64,
    }
    fn check<C: Codec>() {
        let old = Before {
            id: 1,
            old: "o".into(),
            name: "n".into(),
        };
        let expected = After {
            name: "n".into(),
            new: vec![],
            maybe: None,
            id: 1,
        };
        assert_eq!(across::<C, Before, After>(&old), Some(expected));
    }
    check::<MessagePack>();
    check::<Json>();
}
