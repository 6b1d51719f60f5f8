//! What Redis and the client library say, in the words of this crate.

use std::time::Duration;

use bytes::Bytes;
use redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};

use super::super::Found;
use crate::{
    envelope::Generation,
    error::{StoreError, StoreErrorKind},
    lease::{LeaseKind, Token},
};

/// A failure in the words of this crate.
pub(super) fn store_error(error: &RedisError) -> StoreError {
    StoreError::new(kind(error), error.to_string())
}

/// A failure to connect. A server that does not know `HELLO` repeats its arguments, so user and
/// password are struck out.
pub(super) fn connect_error(error: &RedisError, info: &ConnectionInfo) -> StoreError {
    if error.is_timeout() {
        return StoreError::new(
            StoreErrorKind::Unavailable,
            "no connection within the time limit",
        );
    }
    if error.is_io_error() {
        // What the operating system says holds nothing of ours to strike out.
        return StoreError::new(kind(error), error.to_string());
    }
    let settings = info.redis_settings();
    let secrets = settings.password().into_iter().chain(settings.username());
    let detail = secrets
        .filter(|secret| !secret.is_empty())
        .fold(error.to_string(), |text, secret| {
            text.replace(secret, "<redacted>")
        });
    StoreError::new(kind(error), detail)
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => StoreErrorKind::ReadOnly,
            ServerErrorKind::BusyLoading => StoreErrorKind::Loading,
            ServerErrorKind::NoScript => StoreErrorKind::NoScript,
            ServerErrorKind::Moved | ServerErrorKind::Ask => StoreErrorKind::Moved,
            ServerErrorKind::NoPerm => StoreErrorKind::Auth,
            ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Other,
        },
        // Codes that the client library has no name for.
        ErrorKind::Extension => match error.code() {
            Some("OOM") => StoreErrorKind::OutOfMemory,
            Some("MISCONF") => StoreErrorKind::MisConf,
            Some("NOREPLICAS") => StoreErrorKind::NoReplicas,
            Some("BUSY") => StoreErrorKind::Busy,
            Some("NOAUTH" | "WRONGPASS") => StoreErrorKind::Auth,
            Some("WRONGTYPE") => StoreErrorKind::WrongType,
            _ => StoreErrorKind::Other,
        },
        ErrorKind::AuthenticationFailed => StoreErrorKind::Auth,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::RESP3NotSupported => {
            StoreErrorKind::Protocol
        }
        ErrorKind::Io if error.is_timeout() => StoreErrorKind::Timeout,
        ErrorKind::Io => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    }
}

/// A reply of the wrong shape. Replies are matched to commands by order alone, so from then on
/// nothing that the connection says can be trusted.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfStep;

/// What a caller hears of it.
pub(super) fn out_of_step() -> StoreError {
    StoreError::new(
        StoreErrorKind::Protocol,
        "a reply does not fit its command; the connection is replaced",
    )
}

/// The error in its whole line.
pub(super) fn line_error(line: &[u8]) -> Result<StoreError, OutOfStep> {
    match redis::parse_redis_value(line) {
        Ok(Value::ServerError(error)) => Ok(store_error(&error.into())),
        _ => Err(OutOfStep),
    }
}

/// Reads the reply to a command that can be told from others by its shape.
pub(super) trait FromReply: Sized {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep>;
}

/// The replies to this many `GET`s that were sent as one.
pub(super) fn gets(replies: Value, keys: usize) -> Result<Vec<Value>, OutOfStep> {
    let fits = |reply: &Value| {
        matches!(
            reply,
            Value::Nil | Value::BulkString(_) | Value::ServerError(_)
        )
    };
    match replies {
        Value::Array(replies) if replies.len() == keys && replies.iter().all(fits) => Ok(replies),
        _ => Err(OutOfStep),
    }
}

/// What the replies to a `GET` of an entry and of each of its tags say.
pub(super) fn found(replies: Vec<Value>, now: Option<u64>) -> Result<Found, StoreError> {
    let mut replies = replies.into_iter();
    let bytes = |reply| match reply {
        Value::ServerError(error) => Err(store_error(&error.into())),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        _ => Ok(None),
    };
    let envelope = replies.next().map(bytes).transpose()?.flatten();
    let generations: Result<Vec<_>, _> = replies.map(bytes).collect();
    Ok(Found::new(envelope, generations?, now))
}

/// The reply to `DEL`, and numbers within others.
impl FromReply for u64 {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match reply {
            Value::Int(count) => count.try_into().map_err(|_| OutOfStep),
            _ => Err(OutOfStep),
        }
    }
}

/// The reply to `SET`.
pub(super) struct Stored;

impl FromReply for Stored {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match reply {
            Value::Okay => Ok(Self),
            _ => Err(OutOfStep),
        }
    }
}

/// The reply to `PING`.
pub(super) struct Pong;

impl FromReply for Pong {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match reply {
            Value::SimpleString(text) if text == "PONG" => Ok(Self),
            _ => Err(OutOfStep),
        }
    }
}

/// The reply to `TIME`, in milliseconds since the Unix epoch.
pub(super) struct Time(pub(super) u64);

impl FromReply for Time {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        let [seconds, micros] = array(reply)?.map(|part| match part {
            Value::BulkString(text) => std::str::from_utf8(&text).ok()?.parse::<u64>().ok(),
            _ => None,
        });
        let millis = seconds
            .and_then(|seconds| seconds.checked_mul(1_000)?.checked_add(micros? / 1_000))
            .ok_or(OutOfStep)?;
        Ok(Self(millis))
    }
}

/// The replies to two commands that were sent as one.
pub(super) struct Pair(pub(super) Value, pub(super) Value);

impl FromReply for Pair {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        let [first, second] = array(reply)?;
        Ok(Self(first, second))
    }
}

/// The reply to a command, and those to what was sent with it.
pub(super) struct First(pub(super) Value, pub(super) Vec<Value>);

impl FromReply for First {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        let Value::Array(replies) = reply else {
            return Err(OutOfStep);
        };
        let mut replies = replies.into_iter();
        let first = replies.next().ok_or(OutOfStep)?;
        Ok(Self(first, replies.collect()))
    }
}

/// The reply of a script says what time it was.
pub(super) trait Timed: FromReply {
    /// In milliseconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// The reply of most scripts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) done: bool,
    now: u64,
}

impl FromReply for Verdict {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match array(reply)? {
            [Value::Int(done @ 0..=1), Value::Int(now)] => Ok(Self {
                done: done == 1,
                now: now.try_into().map_err(|_| OutOfStep)?,
            }),
            _ => Err(OutOfStep),
        }
    }
}

impl Timed for Verdict {
    fn now(&self) -> u64 {
        self.now
    }
}

/// The reply of the script that gives a generation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) generation: Generation,
    now: u64,
}

impl FromReply for Current {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match array(reply)? {
            [Value::BulkString(generation), Value::Int(now)] => Ok(Self {
                generation: generation.try_into().map_err(|_| OutOfStep)?,
                now: now.try_into().map_err(|_| OutOfStep)?,
            }),
            _ => Err(OutOfStep),
        }
    }
}

impl Timed for Current {
    fn now(&self) -> u64 {
        self.now
    }
}

/// The reply of the script that acquires.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) said: Said,
    now: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Granted,
    Value(Bytes),
    Busy {
        kind: LeaseKind,
        token: Token,
        left: Duration,
    },
}

impl FromReply for Answer {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        let Value::Array(parts) = reply else {
            return Err(OutOfStep);
        };
        let mut parts = parts.into_iter();
        let (Some(Value::BulkString(word)), Some(now)) = (parts.next(), parts.next()) else {
            return Err(OutOfStep);
        };
        let rest = (parts.next(), parts.next(), parts.next(), parts.next());
        let said = match (&word[..], rest) {
            (b"granted", (None, ..)) => Said::Granted,
            (b"value", (Some(Value::BulkString(envelope)), None, ..)) => {
                Said::Value(envelope.into())
            }
            (
                b"busy",
                (Some(Value::Int(kind)), Some(Value::BulkString(token)), Some(left), None),
            ) => Said::Busy {
                kind: u8::try_from(kind)
                    .ok()
                    .and_then(LeaseKind::from_byte)
                    .ok_or(OutOfStep)?,
                token: Token(token.try_into().map_err(|_| OutOfStep)?),
                left: Duration::from_millis(u64::from_reply(left)?),
            },
            _ => return Err(OutOfStep),
        };
        let now = u64::from_reply(now)?;
        Ok(Self { said, now })
    }
}

impl Timed for Answer {
    fn now(&self) -> u64 {
        self.now
    }
}

fn array<const N: usize>(reply: Value) -> Result<[Value; N], OutOfStep> {
    match reply {
        Value::Array(parts) => parts.try_into().map_err(|_| OutOfStep),
        _ => Err(OutOfStep),
    }
}

/// The keys in a push that says what has changed; none if everything may have.
pub(super) fn changed_keys(data: Vec<Value>) -> Option<Vec<Vec<u8>>> {
    let [Value::Array(keys)] = <[Value; 1]>::try_from(data).ok()? else {
        return None;
    };
    keys.into_iter()
        .map(|key| match key {
            Value::BulkString(key) => Some(key),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server's error line becomes.
    fn kind_of(line: &str) -> StoreErrorKind {
        let line = format!("-{line}\r\n");
        line_error(line.as_bytes()).unwrap().kind()
    }

    #[test]
    fn server_errors_keep_their_meaning() {
        for (line, kind) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                StoreErrorKind::OutOfMemory,
            ),
            (
                "READONLY You can't write against a read only replica.",
                StoreErrorKind::ReadOnly,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                StoreErrorKind::Loading,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                StoreErrorKind::MisConf,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                StoreErrorKind::NoReplicas,
            ),
            ("BUSY Redis is busy running a script.", StoreErrorKind::Busy),
            ("MOVED 3999 127.0.0.1:6381", StoreErrorKind::Moved),
            ("ASK 3999 127.0.0.1:6381", StoreErrorKind::Moved),
            ("NOSCRIPT No matching script.", StoreErrorKind::NoScript),
            ("NOAUTH Authentication required.", StoreErrorKind::Auth),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                StoreErrorKind::Auth,
            ),
            (
                "NOPERM this user has no permissions to run the 'get' command",
                StoreErrorKind::Auth,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                StoreErrorKind::WrongType,
            ),
            (
                "MASTERDOWN Link with MASTER is down",
                StoreErrorKind::Unavailable,
            ),
            ("ERR unknown command", StoreErrorKind::Other),
            ("TEAPOT short and stout", StoreErrorKind::Other),
        ] {
            assert_eq!(kind_of(line), kind, "{line}");
        }
    }

    #[test]
    fn a_server_that_repeats_the_credentials_is_not_quoted() {
        let line = b"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'amy' 'hunter2'\r\n";
        let error = redis::parse_redis_value(line)
            .unwrap()
            .extract_error()
            .unwrap_err();
        let info = "redis://amy:hunter2@host"
            .parse::<ConnectionInfo>()
            .unwrap();
        let shown = connect_error(&error, &info).to_string();
        assert!(shown.contains("unknown command"), "{shown}");
        assert!(
            !shown.contains("amy") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn what_the_operating_system_says_is_quoted_whole() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        let info = "redis://u:e@host".parse::<ConnectionInfo>().unwrap();
        let shown = connect_error(&RedisError::from(refused), &info).to_string();
        assert!(shown.contains("refused"), "{shown}");
    }

    #[test]
    fn broken_links_have_kinds_of_their_own() {
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(store_error(&refused).kind(), StoreErrorKind::Unavailable);

        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(store_error(&late).kind(), StoreErrorKind::Timeout);

        let garbage = redis::parse_redis_value(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
        assert_eq!(store_error(&garbage).kind(), StoreErrorKind::Protocol);
    }

    #[test]
    fn replies_of_another_command_are_out_of_step() {
        let gets = |parts| gets(Value::Array(parts), 2);
        let two = vec![Value::Nil, Value::BulkString(vec![0, 255])];
        assert_eq!(gets(two.clone()), Ok(two));
        assert_eq!(gets(vec![Value::Nil]), Err(OutOfStep));
        assert_eq!(gets(vec![Value::Nil, Value::Int(1)]), Err(OutOfStep));
        assert_eq!(gets(vec![Value::Nil, Value::Okay]), Err(OutOfStep));
        assert_eq!(u64::from_reply(Value::Int(3)), Ok(3));
        assert_eq!(u64::from_reply(Value::Int(-1)), Err(OutOfStep));
        assert!(Stored::from_reply(Value::Nil).is_err());
        assert!(Pong::from_reply(Value::Okay).is_err());
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn times_are_seconds_and_microseconds() {
        let time = |parts| Time::from_reply(Value::Array(parts)).map(|Time(millis)| millis);
        assert_eq!(time(vec![bulk("12"), bulk("345678")]), Ok(12_345));
        assert_eq!(time(vec![bulk("12")]), Err(OutOfStep));
        assert_eq!(time(vec![bulk("12"), bulk("-1")]), Err(OutOfStep));
        assert_eq!(time(vec![bulk("12"), Value::Int(1)]), Err(OutOfStep));
        assert!(Time::from_reply(bulk("12")).is_err());
    }

    #[test]
    fn scripts_reply_in_shapes_of_their_own() {
        let verdict = |parts| Verdict::from_reply(Value::Array(parts));
        let done = Verdict { done: true, now: 9 };
        assert_eq!(verdict(vec![Value::Int(1), Value::Int(9)]), Ok(done));
        assert_eq!(verdict(vec![Value::Int(2), Value::Int(9)]), Err(OutOfStep));
        assert_eq!(verdict(vec![Value::Int(1), Value::Int(-9)]), Err(OutOfStep));
        assert_eq!(verdict(vec![Value::Int(1)]), Err(OutOfStep));
        assert_eq!(Verdict::from_reply(Value::Int(1)), Err(OutOfStep));

        let answer = |parts| Answer::from_reply(Value::Array(parts)).map(|answer| answer.said);
        let (now, token) = (Value::Int(9), bulk("0123456789abcdef"));
        assert_eq!(
            answer(vec![bulk("granted"), now.clone()]),
            Ok(Said::Granted)
        );
        assert_eq!(
            answer(vec![bulk("value"), now.clone(), bulk("x")]),
            Ok(Said::Value(Bytes::from_static(b"x")))
        );
        let busy = |kind, token| {
            answer(vec![
                bulk("busy"),
                Value::Int(9),
                kind,
                token,
                Value::Int(7),
            ])
        };
        assert_eq!(
            busy(Value::Int(2), token.clone()),
            Ok(Said::Busy {
                kind: LeaseKind::Intent,
                token: Token(*b"0123456789abcdef"),
                left: Duration::from_millis(7),
            })
        );
        assert_eq!(busy(Value::Int(0), token.clone()), Err(OutOfStep));
        assert_eq!(busy(Value::Int(1), bulk("short")), Err(OutOfStep));
        assert_eq!(
            answer(vec![bulk("granted"), now.clone(), token]),
            Err(OutOfStep)
        );
        assert_eq!(answer(vec![bulk("value"), now.clone()]), Err(OutOfStep));
        assert_eq!(
            answer(vec![bulk("value"), now.clone(), Value::Nil]),
            Err(OutOfStep)
        );
        assert_eq!(answer(vec![bulk("else"), now]), Err(OutOfStep));
    }

    #[test]
    fn a_push_names_keys_or_says_that_all_are_gone() {
        let keys = Value::Array(vec![bulk("a"), bulk("b")]);
        assert_eq!(
            changed_keys(vec![keys.clone()]),
            Some(vec![b"a".to_vec(), b"b".to_vec()])
        );
        assert_eq!(changed_keys(vec![Value::Nil]), None, "a flush");
        assert_eq!(changed_keys(vec![keys, Value::Int(5)]), None, "garbage");
        assert_eq!(changed_keys(vec![Value::Array(vec![Value::Nil])]), None);
    }
}
