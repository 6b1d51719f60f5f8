//! What Redis and the client library say, in the words of this crate.

use bytes::Bytes;
use redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::error::{StoreError, StoreErrorKind};

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
pub(super) struct OutOfStep;

/// Reads the reply to a command that can be told from others by its shape.
pub(super) trait FromReply: Sized {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep>;
}

/// The reply to `GET`.
impl FromReply for Option<Bytes> {
    fn from_reply(reply: Value) -> Result<Self, OutOfStep> {
        match reply {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            _ => Err(OutOfStep),
        }
    }
}

/// The reply to `DEL`.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server's error line becomes.
    fn kind_of(line: &str) -> StoreErrorKind {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let error = reply.extract_error().unwrap_err();
        store_error(&error).kind()
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
        assert_eq!(
            Option::<Bytes>::from_reply(Value::BulkString(vec![0, 255])),
            Ok(Some(Bytes::from_static(&[0, 255])))
        );
        assert_eq!(Option::<Bytes>::from_reply(Value::Nil), Ok(None));
        assert_eq!(Option::<Bytes>::from_reply(Value::Int(1)), Err(OutOfStep));
        assert_eq!(Option::<Bytes>::from_reply(Value::Okay), Err(OutOfStep));
        assert_eq!(u64::from_reply(Value::Int(3)), Ok(3));
        assert_eq!(u64::from_reply(Value::Int(-1)), Err(OutOfStep));
        assert!(Stored::from_reply(Value::Nil).is_err());
        assert!(Pong::from_reply(Value::Okay).is_err());
    }
}
