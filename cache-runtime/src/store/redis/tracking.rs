//! [`Tracking`]: a connection on which the server tells of every change of keys that begin alike.
//!
//! `CLIENT TRACKING ON BCAST PREFIX …`, as in
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>. It is a connection of its own:
//! others cost the server nothing, and what it tells is in the order of the changes.

use std::sync::Arc;

use redis::{
    AsyncConnectionConfig, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, SendError},
};

use super::{
    RedisStore,
    reply::{self, FromReply, Pong},
};
use crate::error::StoreError;

/// What the server tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// These keys may have changed.
    Changed(Vec<Vec<u8>>),
    /// Anything may have changed.
    Everything,
    /// The connection has ended: nothing more is told.
    Lost,
}

/// Hears what the server tells, while the connection lives.
pub(crate) type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// A connection on which the server tells. Dropping it ends that.
pub(crate) struct Tracking {
    connection: MultiplexedConnection,
}

impl RedisStore {
    /// Connects, and has the server tell of keys that begin with one of these heads, none of which is
    /// the beginning of another.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server cannot be reached, or refuses to tell.
    pub(crate) async fn track(&self, heads: &[String], tell: Tell) -> Result<Tracking, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                match push.kind {
                    PushKind::Disconnection => tell(Told::Lost),
                    PushKind::Invalidate => tell(match reply::changed_keys(push.data) {
                        Some(keys) => Told::Changed(keys),
                        None => Told::Everything,
                    }),
                    _ => {}
                }
                Ok::<(), SendError>(())
            });
        let client = &self.inner.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let info = client.get_connection_info();
        let connection = connection.await;
        let connection = connection.map_err(|error| reply::connect_error(&error, info))?;
        let tracking = Tracking { connection };
        tracking.add(heads).await?;
        Ok(tracking)
    }
}

impl Tracking {
    /// Has the server tell of keys, too, that begin with one of these heads, none of which is the
    /// beginning of another, or of one that it tells of, or the other way round.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server does not answer, or refuses.
    pub(crate) async fn add(&self, heads: &[String]) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("CLIENT");
        command.arg("TRACKING").arg("ON").arg("BCAST");
        for head in heads {
            command.arg("PREFIX").arg(head);
        }
        match connection.send_packed_command(&command).await {
            Ok(Value::Okay) => Ok(()),
            Ok(Value::ServerError(error)) => Err(reply::store_error(&error.into())),
            Ok(_) => Err(reply::out_of_step()),
            Err(error) => Err(reply::store_error(&error)),
        }
    }

    /// Whether the server answers. Once it has, everything that it told before has been heard.
    pub(crate) async fn answers(&self) -> bool {
        let mut connection = self.connection.clone();
        let pong = connection.send_packed_command(&redis::cmd("PING")).await;
        pong.is_ok_and(|reply| Pong::from_reply(reply).is_ok())
    }
}
