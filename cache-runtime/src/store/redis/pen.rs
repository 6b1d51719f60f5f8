//! [`Pen`]: the right to write to a connection, and what is still to be written.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_write_buf;

use super::{
    batch::Batch,
    lane::{Failure, broken},
    resp,
};

/// The right to write to a connection.
pub(super) struct Pen {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    outgoing: BytesMut,
    unflushed: bool,
    failure: Option<Failure>,
}

impl Pen {
    pub(super) fn new(writer: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            writer,
            outgoing: BytesMut::new(),
            unflushed: false,
            failure: None,
        }
    }

    /// Adds a batch to what is to be written.
    pub(super) fn load(&mut self, batch: &Batch) {
        match (batch.apart, batch.keys) {
            (true, _) => {}
            (false, 1) => resp::put_get_head(&mut self.outgoing),
            (false, keys) => resp::put_get_many_head(&mut self.outgoing, keys),
        }
        self.outgoing.extend_from_slice(&batch.arguments);
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.outgoing.is_empty() && !self.unflushed
    }

    /// Writes what the connection takes; ready if that is everything, or if it has failed.
    pub(super) fn write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_idle() {
            let writer = Pin::new(&mut self.writer);
            let written = match self.outgoing.is_empty() {
                true => writer.poll_flush(context).map_ok(|()| {
                    self.unflushed = false;
                }),
                false => poll_write_buf(writer, context, &mut self.outgoing).map(|written| {
                    self.unflushed = true;
                    match written? {
                        0 => Err(io::ErrorKind::WriteZero.into()),
                        _ => Ok(()),
                    }
                }),
            };
            match written {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.failure = Some(broken(&error));
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Why writing has failed.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen")
            .field("outgoing", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}
