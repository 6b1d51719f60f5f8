//! Garbage is an error: no panic, no exhausted stack or memory.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use super::{encoded, reads_back, refused};
use crate::codec::{Codec, CodecErrorKind, DEPTH_LIMIT, Json, MessagePack, Postcard};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Expression {
    Literal(u8),
    Negative(Box<Expression>),
    Sum(Vec<Expression>),
    Maybe(Option<Box<Expression>>),
    Named {
        name: String,
        inner: Box<Expression>,
    },
    Map(HashMap<String, Expression>),
    Bytes(String, Vec<u8>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Endless(Option<Box<Endless>>);

fn negative(depth: usize) -> Expression {
    (1..depth).fold(Expression::Literal(1), |inner, _| {
        Expression::Negative(Box::new(inner))
    })
}

fn depth_is_bounded<C: Codec>() {
    // Each variant with content is one level, in all codecs.
    let limit = usize::from(DEPTH_LIMIT);
    reads_back::<C, _>(&negative(limit));
    refused::<C, _>(
        &negative(limit + 1),
        CodecErrorKind::Unfaithful,
        "levels deep",
    );

    let nested =
        |depth| (0..depth).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    if !C::POSITIONAL {
        reads_back::<C, _>(&nested(limit));
        refused::<C, _>(
            &nested(limit + 1),
            CodecErrorKind::Unfaithful,
            "levels deep",
        );
    }
}

#[test]
fn values_as_deep_as_the_limit_read_back_and_deeper_ones_are_refused() {
    depth_is_bounded::<MessagePack>();
    depth_is_bounded::<Json>();
    depth_is_bounded::<Postcard>();
    #[cfg(feature = "bincode")]
    depth_is_bounded::<crate::Bincode>();
}

#[test]
fn bytes_that_nest_without_end_are_an_error() {
    let repeated = |bytes: &[u8]| bytes.repeat(1_000_000 / bytes.len());
    assert!(MessagePack::decode::<Expression>(&repeated(b"\x81\xa8Negative")).is_err());
    assert!(MessagePack::decode::<Expression>(&repeated(b"\x81\xa3Sum\x91")).is_err());
    assert!(MessagePack::decode::<serde_json::Value>(&repeated(b"\x91")).is_err());
    assert!(MessagePack::decode::<Endless>(b"\x01").is_err());
    assert!(Json::decode::<Expression>(&repeated(br#"{"Negative":"#)).is_err());
    assert!(Json::decode::<serde_json::Value>(&repeated(b"[")).is_err());
    assert!(Postcard::decode::<Expression>(&repeated(b"\x01")).is_err());
    assert!(Postcard::decode::<Expression>(&repeated(b"\x02\x01")).is_err());
    assert!(Postcard::decode::<Endless>(&repeated(b"\x01")).is_err());
    #[cfg(feature = "bincode")]
    {
        assert!(crate::Bincode::decode::<Expression>(&repeated(b"\x01")).is_err());
        assert!(crate::Bincode::decode::<Endless>(&repeated(b"\x01")).is_err());
    }
}

/// Lengths near the largest the format has: an allocation of that size would abort the test.
#[test]
fn announced_lengths_are_not_believed() {
    fn check<C: Codec>(bytes: &[u8]) {
        assert!(C::decode::<Vec<u64>>(bytes).is_err());
        assert!(C::decode::<String>(bytes).is_err());
        assert!(C::decode::<Vec<u8>>(bytes).is_err());
        assert!(C::decode::<HashMap<u64, u64>>(bytes).is_err());
        assert!(C::decode::<Vec<()>>(bytes).is_err(), "would take for ever");
    }
    for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        check::<MessagePack>(&[marker, 0xff, 0xff, 0xff, 0xff, 1]);
    }
    check::<Postcard>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    #[cfg(feature = "bincode")]
    check::<crate::Bincode>(&[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
}

#[test]
fn values_without_content_need_no_bytes() {
    reads_back::<Postcard, _>(
        &[(); 300]
            .map(|()| std::marker::PhantomData::<u8>)
            .to_vec()
            .len(),
    );
    reads_back::<Postcard, _>(&((), (), ((), ())));
}

fn never_panics<C: Codec>(bytes: &[u8]) {
    if let Ok(value) = C::decode::<Expression>(bytes) {
        let again = encoded::<C, _>(&value);
        // `Some` around nothing cannot come from bytes where it is the same as nothing.
        let again = again.expect("what was read can be written");
        assert_eq!(C::decode::<Expression>(&again).expect("reads back"), value);
    }
    drop(C::decode::<Vec<String>>(bytes));
    drop(C::decode::<(u8, Option<i128>, f32)>(bytes));
    if !C::POSITIONAL {
        drop(C::decode::<serde_json::Value>(bytes));
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        never_panics::<MessagePack>(&bytes);
        never_panics::<Json>(&bytes);
        never_panics::<Postcard>(&bytes);
        #[cfg(feature = "bincode")]
        never_panics::<crate::Bincode>(&bytes);
    }

    #[test]
    fn cut_bytes_are_an_error(name in ".*", number in any::<u64>()) {
        fn check<C: Codec>(value: &(String, u64)) {
            let bytes = encoded::<C, _>(value).unwrap();
            for length in 0..bytes.len() {
                assert!(C::decode::<(String, u64)>(&bytes[..length]).is_err());
            }
        }
        let value = (name, number);
        check::<MessagePack>(&value);
        check::<Json>(&value);
        check::<Postcard>(&value);
        #[cfg(feature = "bincode")]
        check::<crate::Bincode>(&value);
    }
}
