//! The embedded store and Redis give the same answers, whatever is asked in whatever order.

use cache_runtime::test_util::{
    Acquire, Acquired, Grant, Meta, Release, Spans, Store, Token, TypeIdentity, seal, stamp, start,
};

use super::*;

/// Over before the next step.
const SOON: Duration = Duration::from_millis(1);
/// Not over before the test is.
const HOUR: Duration = Duration::from_secs(3_600);

const SEQUENCES: u64 = 150;
const STEPS: usize = 40;

/// Times in replies and entries are told apart by the hour, the clocks being two.
const SLACK_MS: u64 = 600_000;

#[tokio::test(flavor = "multi_thread")]
async fn random_sequences_of_operations() {
    let server = RedisServer::start().await;
    let redis = Store::Redis(store_on(&server.url()));
    let memory = Store::Memory(MemoryStore::new(64 << 20));
    let sequences: Vec<_> = (0..SEQUENCES)
        .map(|seed| {
            let pair = Pair {
                key: key(seed),
                stores: [memory.clone(), redis.clone()],
            };
            tokio::spawn(pair.run(Random(seed)))
        })
        .collect();
    let mut seen = BTreeMap::<&str, u64>::new();
    for sequence in sequences {
        for name in within("a sequence", sequence).await.unwrap() {
            *seen.entry(name).or_default() += 1;
        }
    }
    // Each kind of answer was compared many times.
    for name in [
        "granted",
        "value",
        "load",
        "intent",
        "filled",
        "not filled",
        "renewed",
        "not renewed",
        "committed",
        "not committed",
    ] {
        assert!(
            seen.get(name).copied().unwrap_or(0) >= 20,
            "{name}: {seen:?}"
        );
    }
}

/// One key on both stores.
struct Pair {
    key: Key,
    stores: [Store; 2],
}

#[derive(Debug)]
enum Step {
    Acquire { request: Acquire, rejecting: bool },
    Intend(Acquire),
    Fill(Grants, Bytes),
    Renew(Grants, Duration),
    Release(Token, Release),
    Commit(Grants, Bytes),
    Expire,
    HoldOff(Duration),
    Put(Bytes, Duration),
    Delete,
}

/// The same grant by each store.
type Grants = [Grant; 2];

impl Pair {
    async fn run(self, mut random: Random) -> Vec<&'static str> {
        let mut grants: Vec<Grants> = Vec::new();
        let mut seen = Vec::new();
        for _ in 0..STEPS {
            let step = random.step(&self.key, &grants);
            let [memory, redis] = &self.stores;
            let (mut ours, mut theirs) = (
                self.take(memory, 0, &step).await,
                self.take(redis, 1, &step).await,
            );
            if let (Some(ours), Some(theirs)) = (ours.grant.take(), theirs.grant.take()) {
                grants.push([ours, theirs]);
            }
            assert!(ours.agrees(&theirs), "{step:?}: {ours:?} {theirs:?}");
            seen.push(ours.said);
            sleep(3 * SOON).await;
            let [ours, theirs] = [memory, redis].map(|store| store.get(&self.key));
            let (ours, theirs) = (ours.await.unwrap(), theirs.await.unwrap());
            assert!(
                alike(ours.as_ref(), theirs.as_ref()),
                "{step:?}: {ours:?} {theirs:?}"
            );
        }
        seen
    }

    async fn take(&self, store: &Store, side: usize, step: &Step) -> Said {
        let key = &self.key;
        let said = |yes, one, other| Said::plainly(if yes { one } else { other });
        match step {
            Step::Acquire { request, rejecting } => {
                let entry = store.get(key).await.unwrap();
                let rejected = entry
                    .as_ref()
                    .and_then(|entry| stamp(entry))
                    .filter(|_| *rejecting);
                let request = Acquire {
                    rejected,
                    ..request.clone()
                };
                Said::from(store.acquire(key, &request).await.unwrap())
            }
            Step::Intend(request) => Said {
                grant: Some(store.intend(key, request).await.unwrap()),
                ..Said::plainly("intends")
            },
            Step::Fill(grants, value) => {
                let filled = store.fill(key, &grants[side], value.clone(), HOUR).await;
                said(filled.unwrap(), "filled", "not filled")
            }
            Step::Renew(grants, lease) => {
                let renewed = store.renew(key, &grants[side], *lease).await;
                said(renewed.unwrap(), "renewed", "not renewed")
            }
            Step::Release(token, how) => {
                store.release(key, token, *how).await.unwrap();
                Said::plainly("released")
            }
            Step::Commit(grants, value) => {
                let committed = store.commit(key, &grants[side], value.clone(), HOUR).await;
                said(committed.unwrap(), "committed", "not committed")
            }
            Step::Expire => {
                store.expire(key).await.unwrap();
                Said::plainly("expired")
            }
            Step::HoldOff(span) => {
                let identity = TypeIdentity::from_u64(1);
                store.hold_off(key, identity, *span).await.unwrap();
                Said::plainly("held off")
            }
            Step::Put(bytes, ttl) => {
                store.put(key, bytes.clone(), *ttl).await.unwrap();
                Said::plainly("put")
            }
            Step::Delete => {
                let there = store.delete(std::slice::from_ref(key)).await.unwrap() == 1;
                said(there, "deleted", "not there")
            }
        }
    }
}

/// What a store answered.
#[derive(Debug)]
struct Said {
    said: &'static str,
    grant: Option<Grant>,
    value: Option<Bytes>,
    token: Option<Token>,
    left: Duration,
}

impl Said {
    fn plainly(said: &'static str) -> Self {
        Self {
            said,
            grant: None,
            value: None,
            token: None,
            left: Duration::ZERO,
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        // Of a hold-off that only one of the stores can know.
        let strangers = self.said == "intent";
        self.said == other.said
            && alike(self.value.as_ref(), other.value.as_ref())
            && (self.token == other.token || strangers)
            && self.left.abs_diff(other.left) < Duration::from_millis(SLACK_MS)
    }
}

impl From<Acquired> for Said {
    fn from(answer: Acquired) -> Self {
        match answer {
            Acquired::Granted(grant) => Self {
                grant: Some(grant),
                ..Self::plainly("granted")
            },
            Acquired::Value(value) => Self {
                value: Some(value),
                ..Self::plainly("value")
            },
            Acquired::Busy { kind, token, left } => Self {
                token: Some(token),
                left,
                ..Self::plainly(match kind {
                    cache_runtime::test_util::LeaseKind::Load => "load",
                    cache_runtime::test_util::LeaseKind::Intent => "intent",
                    cache_runtime::test_util::LeaseKind::Ended => "ended",
                })
            },
        }
    }
}

/// The same bytes, but for times that differ by the time between two calls, and for the token of
/// a hold-off, which each store makes up.
fn alike(one: Option<&Bytes>, other: Option<&Bytes>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    if one.len() < 80 || one.len() != other.len() || one[..3] != *b"CRE" {
        return one == other;
    }
    let time = |bytes: &Bytes, at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let near = |at| {
        let (one, other) = (time(one, at), time(other, at));
        (one == 0) == (other == 0) && one.abs_diff(other) < SLACK_MS
    };
    let held_off = one[12] == 2 && one.len() == 80;
    one[..16] == other[..16]
        && (one[16..32] == other[16..32] || held_off)
        && near(32)
        && one[40..48] == other[40..48]
        && near(48)
        && one[56..] == other[56..]
}

/// SplitMix64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn step(&mut self, key: &Key, grants: &[Grants]) -> Step {
        // The latest ones are the likeliest to stand.
        let recent = &grants[grants.len().saturating_sub(3)..];
        let granted = (!recent.is_empty()).then(|| self.of(recent));
        let token = granted.map_or_else(Token::random, |[ours, _]| ours.token);
        match (self.below(20), granted) {
            (0..=5, _) | (6..=13, None) => Step::Acquire {
                request: self.request(),
                rejecting: self.of(&[true, false]),
            },
            (6..=8, Some(grants)) => Step::Fill(grants, self.value(key)),
            (9, Some(grants)) => Step::Renew(grants, self.of(&[SOON, HOUR])),
            (10..=11, Some(grants)) => Step::Commit(grants, self.value(key)),
            (12..=13, Some(_)) => {
                let ended = Release::Ended(self.of(&[SOON, HOUR]));
                Step::Release(
                    token,
                    self.of(&[
                        Release::Abandoned,
                        ended,
                        Release::Emptied,
                        Release::Withdrawn,
                    ]),
                )
            }
            (14..=15, _) => Step::Intend(self.request()),
            (16, _) => Step::Expire,
            (17, _) => Step::HoldOff(self.of(&[SOON, HOUR])),
            (18, _) => {
                let ttl = self.of(&[SOON, HOUR, HOUR, HOUR]);
                Step::Put(self.bytes(key), ttl)
            }
            _ => Step::Delete,
        }
    }

    fn request(&mut self) -> Acquire {
        Acquire {
            token: Token::random(),
            identity: TypeIdentity::from_u64(self.of(&[1, 1, 1, 2])),
            lease: self.of(&[SOON, HOUR]),
            hold: HOUR,
            rejected: None,
            force: self.below(6) == 0,
            has_old: self.below(2) == 0,
        }
    }

    /// A value that is fresh, stale or dead at the next step.
    fn value(&mut self, key: &Key) -> Bytes {
        let mut buffer = start();
        buffer.extend_from_slice(&vec![7; self.below(200)]);
        let meta = Meta {
            created_ms: 0,
            spans: Spans {
                fresh: self.of(&[SOON, HOUR, HOUR, Duration::MAX]),
                stale: self.of(&[Duration::ZERO, SOON, HOUR, Duration::MAX]),
            },
            load_cost: Duration::ZERO,
            codec_id: 0,
        };
        let identity = TypeIdentity::from_u64(self.of(&[1, 1, 1, 2]));
        seal(buffer, key.as_str(), identity, &meta)
    }

    /// An envelope, or one with a header full of garbage, or anything.
    fn bytes(&mut self, key: &Key) -> Bytes {
        let mut bytes = self.value(key).to_vec();
        match self.below(4) {
            0 => {}
            1 => {
                let length = self.below(bytes.len());
                bytes.truncate(length);
            }
            2 => bytes[self.of(&[0, 3, 4, 13])] ^= 3,
            _ => {
                let extremes = [0, 1, 2, 3, 255];
                let from = self.of(&[12, 14, 32, 48, 56]);
                let one = self.of(&extremes);
                bytes[from..80].fill_with(|| {
                    if self.below(9) == 0 {
                        self.of(&extremes)
                    } else {
                        one
                    }
                });
            }
        }
        bytes.into()
    }
}
