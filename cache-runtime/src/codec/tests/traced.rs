//! What the tracer sees, and what it says of what it cannot see.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::any::type_name;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU64};
use std::time::{Duration, SystemTime};

use super::reads_back;
use crate::codec::trace::shape_of;
use crate::codec::{CodecErrorKind, Postcard, type_identity};

fn fingerprint<T: serde::de::DeserializeOwned>() -> u64 {
    shape_of::<T>()
        .unwrap_or_else(|opaque| panic!("{}: {opaque}", type_name::<T>()))
        .fingerprint()
}

/// Text of a form no guess hits.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Exotic(String);

impl<'de> Deserialize<'de> for Exotic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "zq-7731/x" => Ok(Self(text)),
            _ => Err(D::Error::custom("not the one accepted text")),
        }
    }
}

/// Sixteen bytes or the usual text, as the `uuid` crate reads them.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
pub(super) struct Uuid(pub(super) [u8; 16]);

impl Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Uuid;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a UUID")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Uuid, E> {
                Ok(Uuid(bytes.try_into().map_err(E::custom)?))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// A text of digits and dashes, as `chrono` reads dates.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Serialize)]
pub(super) struct Date(pub(super) String);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Vec<_> = text.split('-').map(str::parse::<u16>).collect();
        match digits[..] {
            [Ok(_), Ok(1..=12), Ok(1..=31)] => Ok(Self(text)),
            _ => Err(D::Error::custom("not a date")),
        }
    }
}

macro_rules! all_different {
    ($($type:ty),* $(,)?) => {{
        let seen = [$((stringify!($type), fingerprint::<$type>())),*];
        for (at, (name, number)) in seen.iter().enumerate() {
            for (other, same) in &seen[..at] {
                assert_ne!(number, same, "{name} and {other}");
            }
        }
    }};
}

#[test]
fn every_kind_of_type_has_its_own_fingerprint() {
    all_different!(
        (), bool, i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64, char, String,
        Option<u8>, Option<u16>, Option<Option<u8>>, Vec<u8>, Vec<u16>, Vec<Vec<u8>>,
        (u8,), (u8, u8), (u8, u16), (u16, u8), [u8; 3], [u8; 4], [u16; 3], [(u8, u16); 3],
        HashMap<u8, u8>, HashMap<u8, u16>, HashMap<u16, u8>, HashMap<String, Option<u8>>,
        Uuid, Duration, SystemTime, IpAddr, Result<u8, u16>, Result<u16, u8>,
        std::ops::Range<u8>, std::ops::RangeInclusive<u8>,
    );
}

/// Values are checked in the first element; the difference is in the second.
#[test]
fn what_follows_a_checked_value_is_seen() {
    all_different!(
        (NonZeroU8, u8), (NonZeroU8, u16), (NonZeroU64, u16), (NonZeroU8, Vec<u16>),
        (Date, u8), (Date, u16), (Uuid, u8), (Uuid, u16), (Date, Uuid, u8), (Date, Uuid, i8),
        ((Date, Uuid), u8), ((Date, Uuid), u16), ([Uuid; 2], u8), ([Uuid; 2], u16),
        HashMap<Date, u8>, HashMap<Date, u16>, HashMap<Uuid, u8>, HashMap<(Uuid, Date), u8>,
        HashMap<(Uuid, Date), u16>, (IpAddr, u8), (IpAddr, u16), (Duration, u8), (Duration, i8),
    );
}

#[test]
fn fields_behind_a_text_nobody_can_guess_are_seen() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    struct Behind<T> {
        exotic: Exotic,
        list: Vec<Exotic>,
        value: T,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    enum Variants<T> {
        First { exotic: Exotic, value: T },
        Second(Exotic),
        Third(Box<T>),
    }
    all_different!(
        Behind<u8>,
        Behind<u16>,
        Behind<Date>,
        Behind<Behind<u8>>,
        Behind<Behind<u16>>,
        Behind<Option<Behind<u16>>>,
        Vec<Behind<u8>>,
        Variants<u8>,
        Variants<u16>,
        Behind<Variants<u8>>,
        Behind<Variants<u16>>,
        (u8, Exotic),
        (u16, Exotic),
    );
}

#[test]
fn a_tuple_behind_a_text_nobody_can_guess_is_refused() {
    let error = type_identity::<(Exotic, u8), Postcard>().unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::Unsupported);
    let text = error.to_string();
    assert!(
        text.contains("Exotic") && text.contains("drop `codec`"),
        "{text}"
    );
    assert!(shape_of::<HashMap<Exotic, u8>>().is_err());
}

#[test]
fn recursive_types_end() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tree<T> {
        value: T,
        children: Vec<Tree<T>>,
        parent: Option<Box<Tree<T>>>,
        others: HashMap<String, Link<T>>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Link<T> {
        Deeper(Box<Link<T>>),
        Pair(Box<Link<T>>, T),
        To { tree: Box<Tree<T>>, weight: T },
        End,
    }
    all_different!(Tree<u8>, Tree<u16>, Link<u8>, Link<u16>, Tree<Exotic>);
    reads_back::<Postcard, _>(&Tree {
        value: 1,
        children: vec![Tree {
            value: 2,
            children: vec![],
            parent: None,
            others: HashMap::from([("end".into(), Link::End)]),
        }],
        parent: None,
        others: HashMap::from([(
            "pair".into(),
            Link::Pair(Box::new(Link::Deeper(Box::new(Link::End))), 7),
        )]),
    });
}

#[test]
fn types_that_ask_the_bytes_are_refused_with_their_path() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    struct Outer {
        id: u8,
        inner: Vec<Option<Inner>>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    struct Inner {
        first: Exotic,
        extra: serde_json::Value,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    #[serde(untagged)]
    enum Untagged {
        A(u8),
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    #[serde(tag = "t")]
    enum Internal {
        A { a: u8 },
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        A(u8),
        B,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    enum Half {
        A(u8),
        #[serde(untagged)]
        B(u16),
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its structure matters")]
    enum FlatVariant {
        A {
            #[serde(flatten)]
            rest: BTreeMap<String, u8>,
        },
    }
    fn refused<T: serde::de::DeserializeOwned + 'static>(says: &str) {
        let error = type_identity::<T, Postcard>().unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains(says) && text.contains("drop `codec`"),
            "{text}"
        );
        assert_eq!(error, type_identity::<T, Postcard>().unwrap_err(), "again");
    }
    refused::<Outer>("`inner.extra`");
    refused::<Flat>("flatten");
    refused::<HashMap<u8, Flat>>("flatten");
    refused::<FlatVariant>("flatten");
    refused::<serde_json::Value>("Value");
    refused::<Untagged>("untagged");
    refused::<Internal>("internally");
    refused::<Adjacent>("adjacently");
    refused::<Half>("untagged");
    refused::<Vec<()>>("no content");
    refused::<HashSet<[(); 3]>>("no content");
    assert!(type_identity::<Flat, crate::MessagePack>().is_ok());
}

#[test]
fn a_type_that_panics_or_misbehaves_is_refused() {
    #[derive(Debug)]
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("a bug of the type");
        }
    }
    struct AsksNothing;
    impl<'de> Deserialize<'de> for AsksNothing {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    struct NeverEnds;
    impl<'de> Deserialize<'de> for NeverEnds {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Option::<Box<Self>>::deserialize(deserializer).map(|_| Self)
        }
    }
    assert!(shape_of::<(u8, Panics)>().is_err());
    assert!(shape_of::<Vec<AsksNothing>>().is_err());
    assert!(shape_of::<NeverEnds>().is_err());
}

#[test]
fn aliases_and_unknown_fields_do_not_disturb() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(alias = "ancient", alias = "zzz")]
        first: u8,
        #[serde(rename = "2nd")]
        second: Date,
        #[serde(default)]
        third: Option<Exotic>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing {}
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct StrictNothing {}
    reads_back::<Postcard, _>(&Strict {
        first: 1,
        second: Date("2026-11-21".into()),
        third: Some(Exotic("zq-7731/x".into())),
    });
    reads_back::<Postcard, _>(&(Nothing {}, StrictNothing {}, 1u8));
}

#[test]
fn long_arrays_and_wide_structs_are_traced() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wide([[Option<u16>; 32]; 32], [Uuid; 16], (u8, [Date; 2], Date));
    let date = Date("2026-11-21".into());
    reads_back::<Postcard, _>(&Wide(
        [[Some(7); 32]; 32],
        [Uuid([1; 16]); 16],
        (1, [date.clone(), date.clone()], date),
    ));
}
