//! What is stored reads back; what would not is refused, with what to write instead.

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::time::{Duration, SystemTime};

use super::{reads_back, refused};
use crate::codec::{Codec, CodecErrorKind, Json, MessagePack, Postcard, encode_checked};
use crate::envelope::start;

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Rectangle { width: u16, height: Option<u16> },
    Nested(Box<Shape>),
    EmptyTuple(),
    EmptyStruct {},
    Nothing(()),
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Unit,
    Content(Plain),
    Fields {
        at: Option<IpAddr>,
        note: Option<String>,
    },
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Number(u8),
    Pair(String, i64),
    Fields { deep: Shape },
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Float(f64),
    Text(String),
    Address { ip: IpAddr },
    List(Vec<Untagged>),
}

#[derive(Debug, PartialEq, Clone, Default, Serialize, Deserialize)]
struct Plain {
    id: u64,
    name: String,
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Flat {
    version: u8,
    #[serde(flatten)]
    plain: Plain,
    address: IpAddr,
    #[serde(flatten)]
    rest: HashMap<String, serde_json::Value>,
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    list: Vec<u8>,
    last: bool,
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
struct Empty {}

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Clone, Serialize, Deserialize)]
struct Cents(i64);

/// Like `serde_bytes::ByteBuf`.
#[derive(Debug, PartialEq, Clone)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

fn plain() -> Plain {
    Plain {
        id: u64::MAX,
        name: "Zoë 🦀\u{0}\"\\".into(),
    }
}

/// What every codec carries.
fn structural<C: Codec>() {
    reads_back::<C, _>(&plain());
    reads_back::<C, _>(&(true, i8::MIN, i16::MIN, i32::MIN, i64::MIN));
    reads_back::<C, _>(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX));
    reads_back::<C, _>(&vec![i128::MIN, -1, 0, 1, i128::MAX]);
    reads_back::<C, _>(&vec![0, 1, u128::MAX]);
    reads_back::<C, _>(&vec![
        0.1f32,
        f32::MIN_POSITIVE,
        f32::MAX,
        -0.0,
        16_777_217.0,
    ]);
    reads_back::<C, _>(&vec![
        0.1f64,
        f64::MIN_POSITIVE,
        f64::MAX,
        -0.0,
        1e300,
        5e-324,
    ]);
    reads_back::<C, _>(&vec!['a', '🦀', '\u{0}', char::MAX]);
    for shape in [
        Shape::Point,
        Shape::Circle(1.0),
        Shape::Line(-1, 1),
        Shape::Rectangle {
            width: 1,
            height: None,
        },
        Shape::Nested(Box::new(Shape::Nested(Box::new(Shape::Point)))),
        Shape::EmptyTuple(),
        Shape::EmptyStruct {},
        Shape::Nothing(()),
    ] {
        reads_back::<C, _>(&Some(shape.clone()));
        reads_back::<C, _>(&vec![shape.clone(), shape]);
    }
    reads_back::<C, _>(&(Unit, Empty {}, ()));
    reads_back::<C, _>(&(None::<u8>, Some(0u8), None::<Plain>, Some(plain())));
    reads_back::<C, _>(&Some(vec![None, Some(1u8)]));
    reads_back::<C, _>(&Some((None::<u8>, ())));
    reads_back::<C, _>(&BTreeMap::from([
        (-1i32, "a".to_owned()),
        (7, String::new()),
    ]));
    reads_back::<C, _>(&HashMap::from([(u64::MAX, Cents(-5))]));
    reads_back::<C, _>(&BTreeMap::from([(Cents(1), 'x')]));
    reads_back::<C, _>(&BTreeMap::from([(i128::MIN, true)]));
    reads_back::<C, _>(&(vec![0u8, 127, 128, 255], [7u8; 32], Blob(vec![0, 255])));
    reads_back::<C, _>(&Duration::new(3, 999_999_999));
    reads_back::<C, _>(&SystemTime::UNIX_EPOCH);
    reads_back::<C, _>(&IpAddr::V6(Ipv6Addr::LOCALHOST));
    reads_back::<C, _>(&"127.0.0.1:80".parse::<SocketAddr>().unwrap());
    reads_back::<C, _>(&NonZeroU8::MIN);
    reads_back::<C, _>(&Ok::<u8, String>(1));
    reads_back::<C, _>(&std::path::PathBuf::from("/tmp/ä"));
    reads_back::<C, _>(&(1..5, std::ops::Bound::Included(3u8)));
    reads_back::<C, _>(&String::from("x").repeat(100_000));
    reads_back::<C, _>(&(0..70_000u32).collect::<Vec<_>>());
}

/// What needs field names in the bytes.
fn self_describing<C: Codec>() {
    let ip: IpAddr = "2001:db8::1".parse().unwrap();
    for value in [
        Internal::Unit,
        Internal::Content(plain()),
        Internal::Fields {
            at: Some(ip),
            note: None,
        },
    ] {
        reads_back::<C, _>(&Some(value));
    }
    for value in [
        Adjacent::Unit,
        Adjacent::Number(1),
        Adjacent::Pair("a".into(), -1),
        Adjacent::Fields {
            deep: Shape::Rectangle {
                width: 1,
                height: Some(2),
            },
        },
    ] {
        reads_back::<C, _>(&Some(value));
    }
    for value in [
        Untagged::Number(i64::MIN),
        Untagged::Float(1.0),
        Untagged::Float(0.1),
        Untagged::Text("1".into()),
        Untagged::Address { ip },
        Untagged::List(vec![Untagged::Number(1), Untagged::List(vec![])]),
    ] {
        reads_back::<C, _>(&Some(value));
    }
    let rest =
        serde_json::json!({"a": [1, -1, 1.5, null, {"b": "c"}], "big": u64::MAX, "one": 1.0});
    reads_back::<C, _>(&rest);
    reads_back::<C, _>(&serde_json::Value::Null);
    let rest = rest.as_object().unwrap().clone().into_iter().collect();
    reads_back::<C, _>(&Flat {
        version: 1,
        plain: plain(),
        address: ip,
        rest,
    });
    reads_back::<C, _>(&Sparse {
        maybe: None,
        list: vec![],
        last: true,
    });
    reads_back::<C, _>(&Sparse {
        maybe: Some(1),
        list: vec![1],
        last: false,
    });
}

#[test]
fn message_pack() {
    structural::<MessagePack>();
    self_describing::<MessagePack>();
    reads_back::<MessagePack, _>(&BTreeMap::from([((1u8, 'a'), "pair as a key".to_owned())]));
    reads_back::<MessagePack, _>(&BTreeMap::from([(Some(1u8), 1), (None, 2)]));
    reads_back::<MessagePack, _>(&Some(Unit));
}

#[test]
fn json() {
    structural::<Json>();
    self_describing::<Json>();
    reads_back::<Json, _>(&BTreeMap::from([(true, 1), (false, 2)]));
    reads_back::<Json, _>(&BTreeMap::from([('c', 1)]));
}

#[test]
fn postcard() {
    structural::<Postcard>();
    optional_in_optional::<Postcard>();
}

#[cfg(feature = "bincode")]
#[test]
fn bincode() {
    structural::<crate::Bincode>();
    optional_in_optional::<crate::Bincode>();
}

fn optional_in_optional<C: Codec>() {
    reads_back::<C, _>(&vec![None, Some(None), Some(Some(1u8))]);
    reads_back::<C, _>(&vec![None, Some(())]);
    reads_back::<C, _>(&vec![None, Some(Unit)]);
}

/// Not equal to itself, so compared by bits.
#[test]
fn numbers_that_are_none_read_back_except_from_json() {
    fn bits<C: Codec>() {
        for value in [
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::from_bits(0x7ff0_0000_dead_beef),
        ] {
            let bytes = super::encoded::<C, _>(&value).unwrap();
            assert_eq!(C::decode::<f64>(&bytes).unwrap().to_bits(), value.to_bits());
        }
        for value in [f32::NAN, f32::INFINITY, f32::from_bits(0x7fc0_1234)] {
            let bytes = super::encoded::<C, _>(&value).unwrap();
            assert_eq!(C::decode::<f32>(&bytes).unwrap().to_bits(), value.to_bits());
        }
    }
    bits::<MessagePack>();
    bits::<Postcard>();
    #[cfg(feature = "bincode")]
    bits::<crate::Bincode>();
    refused::<Json, _>(&f64::NAN, CodecErrorKind::Unfaithful, "drop `codec = Json`");
    refused::<Json, _>(
        &Some(vec![f32::INFINITY]),
        CodecErrorKind::Unfaithful,
        "drop `codec = Json`",
    );
}

#[test]
fn nothing_inside_some_is_refused_where_it_reads_back_as_none() {
    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Wrapper(Option<u8>);

    fn refuse<C: Codec>() {
        let kind = CodecErrorKind::Unfaithful;
        refused::<C, _>(&Some(None::<u8>), kind, "an enum of your own");
        refused::<C, _>(&Some(()), kind, "an enum of your own");
        refused::<C, _>(&Some(Wrapper(None)), kind, "an enum of your own");
        refused::<C, _>(&Some(Some(Wrapper(None))), kind, "an enum of your own");
        refused::<C, _>(&vec![(1, Some(None::<u8>))], kind, "an enum of your own");
        refused::<C, _>(&Some(serde_json::Value::Null), kind, "an enum of your own");
        refused::<C, _>(
            &HashMap::from([(1, Some(Box::new(())))]),
            kind,
            "an enum of your own",
        );
        reads_back::<C, _>(&Some(Wrapper(Some(1))));
        reads_back::<C, _>(&Some(Some(1)));
        reads_back::<C, _>(&Wrapper(None));
    }
    refuse::<MessagePack>();
    refuse::<Json>();
    refused::<Json, _>(
        &Some(Unit),
        CodecErrorKind::Unfaithful,
        "an enum of your own",
    );
}

#[test]
fn raw_json_reads_back_from_json_alone() {
    let raw = RawValue::from_string(r#"{"a":  1}"#.to_owned()).unwrap();
    let bytes = super::encoded::<Json, _>(&vec![&raw]).unwrap();
    let back = Json::decode::<Vec<Box<RawValue>>>(&bytes).unwrap();
    assert_eq!(back[0].get(), raw.get());
    refused::<MessagePack, _>(&Some(raw), CodecErrorKind::Unfaithful, "codec = Json");
}

#[test]
fn keys_json_cannot_write_are_refused() {
    let kind = CodecErrorKind::Unfaithful;
    refused::<Json, _>(&BTreeMap::from([((1, 2), 3)]), kind, "`Vec` of pairs");
    refused::<Json, _>(&BTreeMap::from([(vec![1u8], 3)]), kind, "`Vec` of pairs");
    refused::<Json, _>(&BTreeMap::from([(None::<u8>, 3)]), kind, "`Vec` of pairs");
    refused::<Json, _>(&BTreeMap::from([((), 3)]), kind, "`Vec` of pairs");
}

/// 128 bits inside `flatten` and internally tagged or untagged types: serde itself buffers what
/// it reads there in a form without them.
#[test]
fn wide_integers_that_serde_buffers_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wide {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        number: u128,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "tag")]
    enum Tagged {
        Number { number: i128 },
    }

    fn check<C: Codec>() {
        fn refused<C: Codec, T: Serialize + DeserializeOwned>(value: &T) {
            let error = encode_checked::<T, C>(value, &mut start()).unwrap_err();
            assert_eq!(error.kind(), CodecErrorKind::Unfaithful);
            assert!(error.to_string().contains("store them as text"), "{error}");
        }
        for number in [0, 1, u128::from(u64::MAX), u128::MAX] {
            let inner = Inner { number };
            encode_checked::<Inner, C>(&inner, &mut start()).unwrap();
            refused::<C, _>(&Wide { inner });
            let number = number as i128;
            refused::<C, _>(&Tagged::Number { number });
        }
    }
    check::<MessagePack>();
    check::<Json>();
}

#[test]
fn a_wrong_length_is_refused() {
    struct Liar;
    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(Some(3))?;
            seq.serialize_element(&1)?;
            seq.end()
        }
    }
    for error in [
        super::encoded::<MessagePack, _>(&Liar),
        super::encoded::<Json, _>(&Liar),
        super::encoded::<Postcard, _>(&Liar),
    ] {
        assert_eq!(error.unwrap_err().kind(), CodecErrorKind::Unfaithful);
    }
}

#[test]
fn a_failing_serialize_is_an_error_of_its_own() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("out of ink"))
        }
    }
    let error = super::encoded::<MessagePack, _>(&vec![Fails]).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::Encode);
    assert!(error.to_string().contains("out of ink"), "{error}");
}

#[test]
fn skipped_fields_are_refused_by_positional_codecs() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct OnlyRead {
        first: u8,
        #[serde(skip_serializing, default)]
        second: u8,
        third: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct OnlyWritten {
        first: u8,
        #[serde(skip_deserializing)]
        second: u8,
        third: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Crossed {
        #[serde(skip_serializing, default)]
        first: u8,
        #[serde(skip_deserializing)]
        second: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Gap {
        A,
        #[serde(skip)]
        #[expect(dead_code, reason = "makes the gap")]
        B,
        C,
        D,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct OneWay {
        #[serde(serialize_with = "as_text")]
        number: u32,
    }
    fn as_text<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }
    /// Left out on both sides, and nothing shifts: as the author of the type wants it.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Neither {
        first: u8,
        #[serde(skip)]
        second: u8,
        #[serde(default, alias = "drei")]
        third: u8,
    }

    fn check<C: Codec>() {
        let kind = CodecErrorKind::Unfaithful;
        let sparse = Sparse {
            maybe: None,
            list: vec![1],
            last: true,
        };
        let error = super::encoded::<C, _>(&[&sparse]).unwrap_err();
        assert!(error.to_string().contains("`maybe` is skipped"), "{error}");
        refused::<C, _>(&sparse, kind, "drop `codec`");
        reads_back::<C, _>(&Sparse {
            maybe: Some(1),
            list: vec![1],
            last: true,
        });
        refused::<C, _>(
            &vec![OnlyRead {
                first: 1,
                second: 2,
                third: 3,
            }],
            kind,
            "drop `codec`",
        );
        refused::<C, _>(
            &OnlyWritten {
                first: 1,
                second: 2,
                third: 3,
            },
            kind,
            "drop `codec`",
        );
        refused::<C, _>(
            &Some(Crossed {
                first: 1,
                second: 2,
            }),
            kind,
            "drop `codec`",
        );
        reads_back::<C, _>(&Gap::A);
        refused::<C, _>(&Gap::C, kind, "drop `codec`");
        refused::<C, _>(&Gap::D, kind, "drop `codec`");
        refused::<C, _>(&OneWay { number: 1 }, kind, "drop `codec`");
        reads_back::<C, _>(&Neither {
            first: 1,
            second: 0,
            third: 3,
        });
    }
    check::<Postcard>();
    #[cfg(feature = "bincode")]
    check::<crate::Bincode>();
}

#[test]
fn the_values_of_dates_survive() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(into = "String", try_from = "String")]
    struct Date(u16, u8, u8);
    impl From<Date> for String {
        fn from(Date(year, month, day): Date) -> Self {
            format!("{year:04}-{month:02}-{day:02}")
        }
    }
    impl Clone for Date {
        fn clone(&self) -> Self {
            Self(self.0, self.1, self.2)
        }
    }
    impl TryFrom<String> for Date {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            let parts: Vec<&str> = text.split('-').collect();
            let [year, month, day] = parts[..] else {
                return Err("not a date".into());
            };
            let wrong = |error: std::num::ParseIntError| error.to_string();
            Ok(Self(
                year.parse().map_err(wrong)?,
                month.parse().map_err(wrong)?,
                day.parse().map_err(wrong)?,
            ))
        }
    }
    fn check<C: Codec>() {
        reads_back::<C, _>(&(Date(2026, 11, 21), Some(Date(1, 1, 1)), 7u8));
    }
    check::<MessagePack>();
    check::<Json>();
    check::<Postcard>();
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Greedy {
    Short { a: u8 },
    Long { a: u8, b: u8 },
    Float(f64),
    Integer(u64),
}

#[derive(Serialize, Deserialize)]
struct Extensible {
    #[serde(flatten)]
    extra: HashMap<String, u64>,
    nested: HashMap<u8, HashMap<String, f32>>,
}

#[test]
fn values_that_an_earlier_untagged_variant_would_take_are_refused() {
    fn by<C: Codec>() {
        for value in [Greedy::Long { a: 1, b: 2 }, Greedy::Integer(u64::MAX)] {
            let error = encode_checked::<_, C>(&vec![value], &mut start()).unwrap_err();
            assert_eq!(error.kind(), CodecErrorKind::Unfaithful);
            assert!(error.to_string().contains("untagged"), "{error}");
        }
        for value in [Greedy::Short { a: 1 }, Greedy::Float(0.5)] {
            encode_checked::<_, C>(&value, &mut start()).unwrap();
        }
    }
    by::<MessagePack>();
    by::<Json>();
}

#[test]
fn that_hash_maps_read_back_in_another_order_is_nothing() {
    let names = || (0..50_u8).map(|n| (n.to_string(), u64::from(n)));
    let value = Extensible {
        extra: names().collect(),
        nested: (0..9)
            .map(|n| (n, names().map(|(k, v)| (k, v as f32 / 3.0)).collect()))
            .collect(),
    };
    for _ in 0..20 {
        encode_checked::<_, MessagePack>(&value, &mut start()).unwrap();
        encode_checked::<_, Json>(&value, &mut start()).unwrap();
    }
}
