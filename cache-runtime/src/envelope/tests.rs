use proptest::prelude::*;

use super::*;

const KEY: &str = "shop:user:42";

fn identity() -> TypeIdentity {
    TypeIdentity::from_u64(0x0123_4567_89ab_cdef)
}

fn meta() -> Meta {
    Meta {
        created_ms: 1_700_000_000_123,
        spans: Spans {
            fresh: Duration::from_secs(300),
            stale: Duration::from_millis(1500),
        },
        load_cost: Duration::from_millis(87),
        codec_id: 1,
    }
}

fn sealed(generations: &[Generation], payload: &[u8]) -> Bytes {
    let mut buffer = start();
    buffer.extend_from_slice(payload);
    tag(&mut buffer, generations);
    seal(buffer, KEY, identity(), &meta())
}

/// Stored by every version that wrote format 1: if this fails, the format changed and needs a
/// number of its own.
#[test]
fn golden_bytes_of_format_1() {
    #[rustfmt::skip]
    let golden: &[u8] = &[
        b'C', b'R', b'E', 1,
        0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, // type identity
        0, 1, 1, 0, // no lease, a value, MessagePack
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // token
        0, 0, 0, 0, 0, 0, 0, 0, // deadline
        0x4b, 0xed, 0xa8, 0x15, 0x25, 0xb9, 0x4e, 0xce, // check
        0x7b, 0x68, 0xe5, 0xcf, 0x8b, 0x01, 0, 0, // created
        0xe0, 0x93, 0x04, 0, 0, 0, 0, 0, // fresh
        0xdc, 0x05, 0, 0, 0, 0, 0, 0, // stale
        0x57, 0, 0, 0, // load cost
        1, 0, 0, 0, // one tag
        9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        0x81, 0xa2, b'i', b'd', 42,
    ];
    let bytes = sealed(&[[9; 16]], b"\x81\xa2id\x2a");
    assert_eq!(&bytes[..], golden);
    let opened = open(&bytes, KEY, identity()).unwrap();
    assert_eq!(opened.payload, b"\x81\xa2id\x2a");
    assert_eq!(opened.generations, [[9; 16]]);
    assert_eq!(opened.meta, meta());
}

#[test]
fn the_payload_is_not_copied() {
    let bytes = sealed(&[], b"payload");
    let opened = open(&bytes, KEY, identity()).unwrap();
    assert_eq!(opened.payload.as_ptr(), bytes[HEADER..].as_ptr());
}

#[test]
fn spans_round_up_and_saturate() {
    let meta = Meta {
        spans: Spans {
            fresh: Duration::from_nanos(1),
            stale: Duration::MAX,
        },
        load_cost: Duration::MAX,
        ..meta()
    };
    let bytes = seal(start(), KEY, identity(), &meta);
    let opened = open(&bytes, KEY, identity()).unwrap().meta;
    assert_eq!(opened.spans.fresh, Duration::from_millis(1));
    assert_eq!(opened.spans.stale, Duration::from_millis(u64::MAX));
    assert_eq!(opened.load_cost, Duration::from_millis(u32::MAX.into()));
}

#[test]
fn each_rejection_has_its_reason() {
    let valid = sealed(&[], b"payload");
    let changed = |at: usize, byte: u8| {
        let mut bytes = valid.to_vec();
        bytes[at] = byte;
        open(&Bytes::from(bytes), KEY, identity()).unwrap_err()
    };
    assert_eq!(changed(0, b'c'), Rejected::Foreign);
    assert_eq!(changed(3, 0), Rejected::Foreign);
    assert_eq!(changed(3, 2), Rejected::FutureFormat(2));
    assert_eq!(changed(3, 255), Rejected::FutureFormat(255));
    assert_eq!(changed(4, 0), Rejected::OtherType);
    assert_eq!(changed(13, 0), Rejected::NoValue);
    assert_eq!(changed(76, 1), Rejected::Truncated);
    assert_eq!(changed(HEADER, b'P'), Rejected::Corrupt);
    let open_slice =
        |bytes: &'static [u8]| open(&Bytes::from_static(bytes), KEY, identity()).unwrap_err();
    assert_eq!(open_slice(b""), Rejected::Truncated);
    assert_eq!(open_slice(b"CR"), Rejected::Truncated);
    assert_eq!(open_slice(b"CRE"), Rejected::Truncated);
    assert_eq!(open_slice(b"CRE\x09"), Rejected::FutureFormat(9));
    assert_eq!(open_slice(b"CRE\x01"), Rejected::Truncated);
    assert_eq!(open_slice(b"{\"id\":1}"), Rejected::Foreign);
    assert_eq!(open_slice(b"7"), Rejected::Foreign);
}

#[test]
fn a_value_is_fresh_then_stale_then_dead() {
    let meta = meta();
    let created = meta.created_ms;
    let millis = Duration::from_millis;
    for (now, age) in [
        (
            0,
            Age::Fresh {
                left: millis(created + 300_000),
            },
        ),
        (
            created,
            Age::Fresh {
                left: millis(300_000),
            },
        ),
        (created + 299_999, Age::Fresh { left: millis(1) }),
        (created + 300_000, Age::Stale { by: millis(0) }),
        (created + 301_499, Age::Stale { by: millis(1_499) }),
        (created + 301_500, Age::Dead),
        (u64::MAX, Age::Dead),
    ] {
        assert_eq!(meta.age(now), age, "at {now}");
    }
    let unstamped = Meta {
        created_ms: 0,
        ..meta
    };
    assert_eq!(
        unstamped.age(u64::MAX),
        Age::Fresh {
            left: Duration::MAX
        }
    );
}

#[test]
fn leases_and_stamps_are_read_with_a_value_and_without() {
    let valid = sealed(&[], b"payload");
    let opened = open(&valid, KEY, identity()).unwrap();
    assert_eq!(opened.lease, None);
    assert_eq!(stamp(&valid), Some(opened.stamp));
    assert_eq!(lease(&valid), None);

    let taken = Lease {
        kind: LeaseKind::Intent,
        token: Token([7; 16]),
        deadline_ms: 99,
    };
    let mut leased = valid.to_vec();
    put_lease(leased.first_chunk_mut().unwrap(), Some(&taken));
    let leased = Bytes::from(leased);
    let opened = open(&leased, KEY, identity()).unwrap();
    assert_eq!(opened.lease, Some(taken));
    assert_eq!(lease(&leased), Some((identity(), taken)));
    assert_eq!(stamp(&leased), stamp(&valid), "a lease is no new version");

    let bare = Bytes::copy_from_slice(&only_lease(identity(), &taken));
    assert_eq!(bare.len(), HEADER);
    assert_eq!(open(&bare, KEY, identity()), Err(Rejected::NoValue));
    assert_eq!(lease(&bare), Some((identity(), taken)));
    assert_eq!(stamp(&bare), None);
}

#[test]
fn leases_of_newer_formats_are_read_and_those_of_strangers_are_not() {
    let taken = Lease {
        kind: LeaseKind::Load,
        token: Token([7; 16]),
        deadline_ms: 99,
    };
    let bare = only_lease(identity(), &taken);
    let changed = |at: usize, byte: u8| {
        let mut bytes = bare.to_vec();
        bytes[at] = byte;
        lease(&Bytes::from(bytes)).map(|(_, lease)| lease)
    };
    assert_eq!(changed(3, 2), Some(taken));
    assert_eq!(changed(0, b'c'), None);
    assert_eq!(changed(12, 0), None);
    assert_eq!(changed(12, 9), None, "a kind of a newer format");
    assert_eq!(lease(&Bytes::copy_from_slice(&bare[..HEADER - 1])), None);
}

/// What scripts write in place.
#[test]
fn a_lease_taken_in_place_leaves_the_value_readable() {
    let valid = sealed(&[[1; 16]], b"payload");
    let mut leased = valid.to_vec();
    leased[12] = 1;
    leased[16..40].fill(0xee);
    let leased = Bytes::from(leased);
    let opened = open(&leased, KEY, identity()).unwrap();
    let without = open(&valid, KEY, identity()).unwrap();
    assert!(opened.lease.is_some());
    let lease = without.lease;
    assert_eq!(Opened { lease, ..opened }, without);
}

proptest! {
    #[test]
    fn round_trip(
        key in ".{0,40}",
        number in any::<u64>(),
        generations in proptest::collection::vec(any::<[u8; 16]>(), 0..4),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        created_ms in any::<u64>(),
        fresh in any::<u64>(),
        stale in any::<u64>(),
        cost in any::<u32>(),
        codec_id in any::<u8>(),
    ) {
        let identity = TypeIdentity::from_u64(number);
        let meta = Meta {
            created_ms,
            spans: Spans { fresh: Duration::from_millis(fresh), stale: Duration::from_millis(stale) },
            load_cost: Duration::from_millis(cost.into()),
            codec_id,
        };
        let mut buffer = start();
        buffer.extend_from_slice(&payload);
        tag(&mut buffer, &generations);
        let bytes = seal(buffer, &key, identity, &meta);
        let opened = open(&bytes, &key, identity).unwrap();
        prop_assert_eq!(opened.payload, &payload[..]);
        prop_assert_eq!(opened.generations, generations);
        prop_assert_eq!(opened.meta, meta);
    }

    #[test]
    fn random_bytes_are_rejected(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        head in 0..4usize,
    ) {
        for (place, byte) in bytes.iter_mut().zip(b"CRE\x01".iter().take(head + 1)) {
            *place = *byte;
        }
        prop_assert!(open(&Bytes::from(bytes), KEY, identity()).is_err());
    }

    #[test]
    fn every_truncation_is_rejected(
        generations in proptest::collection::vec(any::<[u8; 16]>(), 0..3),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = sealed(&generations, &payload);
        for length in 0..bytes.len() {
            let error = open(&bytes.slice(..length), KEY, identity()).unwrap_err();
            prop_assert!(matches!(error, Rejected::Truncated | Rejected::Corrupt));
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert_eq!(open(&longer, KEY, identity()), Err(Rejected::Corrupt));
    }

    /// Each is rejected, or lies in what changes in place and leaves the value as it is.
    #[test]
    fn every_flipped_bit_is_rejected_or_harmless(
        generations in proptest::collection::vec(any::<[u8; 16]>(), 0..3),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = sealed(&generations, &payload);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let lease = bit / 8 == 12 || (16..40).contains(&(bit / 8));
            let created = (48..56).contains(&(bit / 8));
            match open(&Bytes::from(flipped), KEY, identity()) {
                Err(_) => prop_assert!(!lease && !created, "bit {}", bit),
                Ok(opened) => {
                    prop_assert!(lease || created, "bit {}", bit);
                    prop_assert_eq!(opened.payload, &payload[..]);
                    prop_assert_eq!(&opened.generations, &generations);
                    let created_ms = opened.meta.created_ms;
                    prop_assert_eq!(created_ms != meta().created_ms, created);
                    prop_assert_eq!(opened.meta, Meta { created_ms, ..meta() });
                }
            }
        }
    }

    #[test]
    fn other_keys_and_types_are_rejected(
        key in ".{0,40}",
        number in any::<u64>(),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = sealed(&[], &payload);
        if key != KEY {
            prop_assert_eq!(open(&bytes, &key, identity()), Err(Rejected::Corrupt));
        }
        let other = TypeIdentity::from_u64(number);
        if other != identity() {
            prop_assert_eq!(open(&bytes, KEY, other), Err(Rejected::OtherType));
        }
    }

    /// Nothing moves between the key, the tags and the payload.
    #[test]
    fn parts_do_not_run_into_each_other(payload in proptest::collection::vec(any::<u8>(), 16..64)) {
        let bytes = sealed(&[], &payload);
        let mut shifted = bytes.to_vec();
        shifted[76] = 1;
        prop_assert_eq!(open(&shifted, KEY, identity()), Err(Rejected::Corrupt));
    }
}
