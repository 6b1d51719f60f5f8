//! What must hold for any bytes. Each function panics where it does not.
//!
//! ```text
//! cd fuzz
//! cargo run --release --target x86_64-unknown-linux-gnu --bin open_envelope -- -max_total_time=60
//! ```

use bytes::{Bytes, BytesMut};
use cache_runtime::test_util::{
    Acquire, Acquired, Key, MemoryStore, Meta, Part, Received, Rejected, Release, Spans, Stamp, Token,
    TypeIdentity, lease, open, receive, seal, stamp, start, tag, type_identity,
};
use cache_runtime::{Bincode, Codec, CodecErrorKind, Json, MessagePack, Postcard};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

const KEY: &str = "shop:user:42";

/// Bytes from the store are the value of the key, or are rejected.
pub fn open_envelope(data: &[u8]) {
    let identity = TypeIdentity::from_u64(7);
    let raw = Bytes::copy_from_slice(data);
    if let Ok(opened) = open(&raw, KEY, identity) {
        assert!(data.ends_with(opened.payload));
    }

    // The fuzzer does not find a matching beginning by itself often.
    let mut begun = seal(start(), KEY, identity, &meta(data)).to_vec();
    let from = begun.len().min(data.len());
    begun[14..from.max(14)].copy_from_slice(&data[14.min(from)..from]);
    begun.extend_from_slice(&data[from..]);
    let _ = open(&begun, KEY, identity);

    let mut buffer = start();
    buffer.extend_from_slice(data);
    let generations = vec![[data.len() as u8; 16]; number(data) as usize % 4];
    tag(&mut buffer, &generations);
    let meta = meta(data);
    let sealed = seal(buffer, KEY, identity, &meta);
    let opened = open(&sealed, KEY, identity).expect("what was sealed opens");
    assert_eq!(opened.payload, data);
    assert_eq!(opened.generations, generations);
    assert_eq!(opened.meta, meta);
    assert_eq!(open(&sealed, "shop:user:43", identity), Err(Rejected::Corrupt));
    let other = TypeIdentity::from_u64(8);
    assert_eq!(open(&sealed, KEY, other), Err(Rejected::OtherType));
    let cut = number(data) as usize % sealed.len();
    open(&sealed.slice(..cut), KEY, identity).expect_err("cut");
    let bit = number(data) as usize % (sealed.len() * 8);
    let mut flipped = sealed.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    if let Ok(opened) = open(&flipped, KEY, identity) {
        assert_eq!(opened.payload, data, "bit {bit}");
        assert_eq!(opened.meta.spans, meta.spans, "bit {bit}");
    }
}

/// What a server says comes to the same parts however it is cut, each no longer than what was said.
pub fn receive_replies(data: &[u8]) {
    let parts = |pieces: &[&[u8]]| {
        let (mut received, mut parts) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            received.extend_from_slice(piece);
            loop {
                match receive(&mut received) {
                    Ok(Received::Part(part)) => parts.push(part),
                    Ok(Received::Wanting(bytes)) => {
                        assert!(bytes > 0);
                        break;
                    }
                    Err(_) => return (parts, true),
                }
            }
        }
        (parts, false)
    };
    let whole = parts(&[data]);
    let (first, second) = data.split_at(number(data) as usize % (data.len() + 1));
    assert_eq!(parts(&[first, second]), whole);
    let length = |part: &Part| match part {
        Part::Value(Some(bytes)) | Part::Error(bytes) => bytes.len(),
        Part::Value(None) | Part::Row(_) => 0,
    };
    assert!(whole.0.iter().map(length).sum::<usize>() <= data.len());
}

/// Whatever an entry holds, a lease that is granted stands until something else happens to it, and
/// nothing panics.
pub fn decide_leases(data: &[u8]) {
    const MINUTE: Duration = Duration::from_secs(60);
    let identity = TypeIdentity::from_u64(7);
    let value = seal(start(), KEY, identity, &meta(data));
    // Bytes of the fuzzer's own, and a header of the right type with the rest of its own.
    let raw = Bytes::copy_from_slice(data);
    let mut begun = value.to_vec();
    let from = begun.len().min(data.len());
    begun[12..from.max(12)].copy_from_slice(&data[12.min(from)..from]);
    for entry in [raw, Bytes::from(begun)] {
        let found = stamp(&entry);
        let request = |seen: Option<Stamp>, force| Acquire {
            token: Token::random(),
            identity,
            lease: MINUTE,
            hold: MINUTE,
            rejected: seen,
            force,
            has_old: data.len() % 2 == 0,
        };
        for release in [
            Release::Abandoned,
            Release::Ended(MINUTE),
            Release::Emptied,
            Release::Withdrawn,
        ] {
            let store = MemoryStore::new(1 << 20);
            let key = Key::raw("fuzz", "k");
            let put = || store.put(&key, entry.clone(), MINUTE).expect("there is room");
            put();
            if let Ok(Acquired::Granted(grant)) = store.acquire(&key, &request(found, false)) {
                assert!(store.renew(&key, &grant, MINUTE));
                store.release(&key, &grant.token, release);
                assert!(!store.renew(&key, &grant, MINUTE) || release == Release::Abandoned);
            }
            let forced = store.acquire(&key, &request(None, true));
            let Ok(Acquired::Granted(grant)) = forced else {
                panic!("a refresh is refused: {forced:?}")
            };
            assert!(store.fill(&key, &grant, &value, MINUTE).expect("there is room"));
            assert_eq!(lease(&store.look_up(&key, &[]).envelope.expect("filled")), None);
            put();
            let intent = store.intend(&key, &request(None, false));
            assert!(store.commit(&key, &intent.expect("there is room"), &value, MINUTE));
            put();
            store.expire(&key);
            store.hold_off(&key, identity, MINUTE);
            let held = store.acquire(&key, &request(found, false));
            assert!(matches!(held, Ok(Acquired::Busy { .. })), "{held:?}");
        }
    }
}

fn meta(data: &[u8]) -> Meta {
    let number = number(data);
    Meta {
        created_ms: number,
        spans: Spans {
            fresh: Duration::from_millis(number.rotate_left(16)),
            stale: Duration::from_millis(number.rotate_left(32)),
        },
        load_cost: Duration::from_millis(number >> 32),
        codec_id: number as u8,
    }
}

fn number(data: &[u8]) -> u64 {
    data.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Any bytes decode to a value that can be stored and reads back, or are an error.
pub fn decode_each_codec(data: &[u8]) {
    each_type::<MessagePack>(data);
    each_type::<Json>(data);
    each_type::<Postcard>(data);
    each_type::<Bincode>(data);
}

fn each_type<C: Codec>(data: &[u8]) {
    decode::<User, C>(data);
    decode::<Vec<Expression>, C>(data);
    decode::<BTreeMap<i64, (Option<bool>, char)>, C>(data);
    decode::<(u128, i128, f32, [u8; 3], Option<String>), C>(data);
    if !C::POSITIONAL {
        decode::<serde_json::Value, C>(data);
        decode::<Flat, C>(data);
        decode::<Internal, C>(data);
        decode::<Untagged, C>(data);
    }
}

fn decode<T: Serialize + DeserializeOwned + Debug + 'static, C: Codec>(data: &[u8]) {
    let Ok(value) = C::decode::<T>(data) else {
        return;
    };
    // With the shape known, positional codecs check all they write against it.
    type_identity::<T, C>().expect("the type is supported");
    let Some(bytes) = encode::<T, C>(&value) else {
        return;
    };
    let again: T = C::decode(&bytes).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    // Not the values, as NaN is not equal to itself.
    assert_eq!(encode::<T, C>(&again), Some(bytes), "{value:?}");
}

fn encode<T: Serialize, C: Codec>(value: &T) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match C::encode(value, &mut bytes) {
        Ok(()) => Some(bytes),
        Err(error) => {
            assert_eq!(error.kind(), CodecErrorKind::Unfaithful, "{error}");
            None
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    tags: Vec<String>,
    #[serde(default)]
    score: Option<f64>,
    address: IpAddr,
    avatar: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Expression {
    Nothing,
    Literal(i16),
    Negative(Box<Expression>),
    Sum(Vec<Expression>),
    Maybe(Option<Box<Expression>>),
    Pair(Box<Expression>, u8),
    Named { name: String, inner: Box<Expression> },
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    user: Option<User>,
    #[serde(flatten)]
    rest: BTreeMap<String, Untagged>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Internal {
    Unit,
    User(User),
    Deep { inner: Option<Box<Internal>> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    Number(i64),
    Float(f64),
    Text(String),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}
