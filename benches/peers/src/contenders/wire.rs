//! As little as can be: GETs written by hand on one TCP connection, many in flight. It knows no
//! timeouts and no reconnecting: something to measure against, not a client.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

use super::Contender;
use super::by_hand::key;
use super::format::Format;
use crate::origin::Failure;
use crate::page::Page;

const FORMAT: Format = Format::MessagePack;

/// Reads what [`ByHand`](super::by_hand::ByHand) has stored.
pub struct Wire(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    work: Notify,
    stream: OwnedWriteHalf,
}

#[derive(Default)]
struct Queue {
    unsent: Vec<u8>,
    waiting: VecDeque<oneshot::Sender<Bytes>>,
    is_closed: bool,
}

impl Wire {
    /// `address` is a host and a port.
    pub async fn open(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(Failure::of)?;
        stream.set_nodelay(true).map_err(Failure::of)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Notify::new(),
            stream: write,
        });
        tokio::spawn(send(Arc::clone(&shared)));
        tokio::spawn(receive(Arc::clone(&shared), read));
        Ok(Self(shared))
    }
}

impl Contender for Wire {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        let key = key(FORMAT, id);
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.0.queue();
            if queue.is_closed {
                return Err(Failure::of("the connection has ended"));
            }
            let length = key.len();
            write!(queue.unsent, "*2\r\n$3\r\nGET\r\n${length}\r\n{key}\r\n")
                .map_err(Failure::of)?;
            queue.waiting.push_back(reply);
            if queue.waiting.len() == 1 {
                // Nobody else is there to share a write with.
                self.0.try_send(&mut queue);
            }
            if !queue.unsent.is_empty() {
                self.0.work.notify_one();
            }
        }
        FORMAT.decode(&answer.await.map_err(Failure::of)?)
    }

    async fn remove(&self, _: u64) -> Result<(), Failure> {
        Err(Failure::of("it only reads"))
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what the socket takes.
    fn try_send(&self, queue: &mut Queue) {
        let sent = self.stream.try_write(&queue.unsent).unwrap_or(0);
        queue.unsent.drain(..sent);
    }
}

/// Sends all that waits at once.
async fn send(shared: Arc<Shared>) -> io::Result<()> {
    loop {
        shared.work.notified().await;
        // Whoever can run now gets on board.
        tokio::task::yield_now().await;
        while !shared.queue().unsent.is_empty() {
            shared.try_send(&mut shared.queue());
            if !shared.queue().unsent.is_empty() {
                shared.stream.writable().await?;
            }
        }
    }
}

/// Hands out replies; when that ends, whoever waits has an error.
async fn receive(shared: Arc<Shared>, stream: OwnedReadHalf) {
    if let Err(error) = replies(&shared, stream).await {
        eprintln!("RESP by hand: {error}");
    }
    let mut queue = shared.queue();
    queue.is_closed = true;
    queue.waiting.clear();
}

async fn replies(shared: &Shared, mut stream: OwnedReadHalf) -> io::Result<()> {
    let mut received = BytesMut::with_capacity(1 << 16);
    while stream.read_buf(&mut received).await? > 0 {
        while let Some(reply) = bulk(&mut received) {
            let reply = reply?;
            let waiting = shared.queue().waiting.pop_front();
            // A caller that is gone does not want its reply.
            let _ = waiting.map(|waiting| waiting.send(reply));
        }
    }
    Ok(())
}

/// Takes a whole bulk string off the front: `$5\r\nhello\r\n`. Anything else is an error.
fn bulk(received: &mut BytesMut) -> Option<io::Result<Bytes>> {
    let line = received.iter().position(|byte| *byte == b'\n')?;
    let head = received
        .get(..line)
        .and_then(|head| str::from_utf8(head).ok());
    let length = head.and_then(|head| head.strip_prefix('$')?.trim_end().parse().ok());
    let Some(length): Option<usize> = length else {
        return Some(Err(io::ErrorKind::InvalidData.into()));
    };
    if received.len() < line + 1 + length + 2 {
        return None;
    }
    received.advance(line + 1);
    let reply = received.split_to(length).freeze();
    received.advance(2);
    Some(Ok(reply))
}
