//! Commands over the client library's connection, and what becomes of their replies.

use std::iter;
use std::sync::atomic::Ordering::Relaxed;

use redis::{Cmd, RedisResult, Value};

use super::{
    super::Found,
    lane::{Failure, Shared, Wire},
    reply::{self, First, FromReply, OutOfStep, Stored},
};
use crate::key::Key;

impl Shared {
    /// Sends a command and reads its reply.
    pub(super) async fn exchange<R: FromReply>(
        &self,
        wire: &Wire,
        command: &Cmd,
    ) -> Result<R, Failure> {
        let mut connection = wire.connection.clone();
        let reply = connection.send_packed_command(command).await;
        self.settle(wire, reply, R::from_reply)
    }

    /// Reads a key and its tags; also whether the server will tell of the next change of the key.
    pub(super) async fn read_tracked(
        &self,
        wire: &Wire,
        key: &Key,
        tags: &[Key],
    ) -> Result<(bool, Found), Failure> {
        let mut commands = redis::pipe();
        // Holds for the next command.
        commands.cmd("CLIENT").arg("CACHING").arg("YES");
        for key in iter::once(key).chain(tags) {
            commands.cmd("GET").arg(key.as_bytes());
        }
        let mut connection = wire.connection.clone();
        let replies = connection.send_packed_commands(&commands, 0, 2 + tags.len());
        let replies = replies.await.map(Value::Array);
        let First(caching, gets) = self.settle(wire, replies, First::from_reply)?;
        let tracked = self.settle(wire, Ok(caching), Stored::from_reply).is_ok();
        let gets = self.settle(wire, Ok(Value::Array(gets)), |gets| {
            reply::gets(gets, 1 + tags.len())
        });
        Ok((tracked, reply::found(gets?, self.clock.now())?))
    }

    /// What a reply means for the link, and for the caller.
    fn settle<R>(
        &self,
        wire: &Wire,
        reply: RedisResult<Value>,
        read: impl FnOnce(Value) -> Result<R, OutOfStep>,
    ) -> Result<R, Failure> {
        if reply.is_ok() {
            self.answered.fetch_add(1, Relaxed);
        }
        let error = match reply {
            Ok(Value::ServerError(error)) => {
                self.breaker().succeeded();
                return Err(reply::store_error(&error.into()).into());
            }
            Ok(value) => match read(value) {
                Ok(reply) => {
                    self.breaker().succeeded();
                    return Ok(reply);
                }
                Err(OutOfStep) => {
                    let error = reply::out_of_step();
                    self.lose(wire.number);
                    self.failed(error.clone());
                    return Err(error.into());
                }
            },
            Err(error) => error,
        };
        let lost = error.is_unrecoverable_error();
        let error = reply::store_error(&error);
        match lost {
            true => self.broke(wire.number, &wire.lost, &error),
            false => self.failed(error.clone()),
        }
        Err(Failure { error, again: lost })
    }
}
