//! [`Load`]: `SET`s at full speed, written by hand so that the server is what is measured.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::sites;
use crate::ids::Ids;
use crate::origin::Failure;

/// Keys that are written, at random.
pub const KEYS: Range<u64> = 0..10_000;

/// One in so many is that of a function with copies.
pub const ONE_IN: u64 = 10;

/// The length of the values, in bytes.
pub const LENGTH: usize = 64;

/// Commands that each connection has prepared, and sends again and again.
const PREPARED: usize = 4096;

const REPLY: &[u8] = b"+OK\r\n";

/// How commands are sent.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub connections: usize,
    /// Commands that a connection sends before it waits for their replies.
    pub together: usize,
}

/// Connections that write until they are told to end.
pub struct Load {
    writers: JoinSet<Result<(), Failure>>,
    sets: Arc<AtomicU64>,
    has_ended: Arc<AtomicBool>,
}

impl Load {
    pub async fn start(address: &str, shape: Shape) -> Result<Self, Failure> {
        let mut load = Self {
            writers: JoinSet::new(),
            sets: Arc::default(),
            has_ended: Arc::default(),
        };
        for number in 0..shape.connections {
            let stream = TcpStream::connect(address).await.map_err(Failure::of)?;
            stream.set_nodelay(true).map_err(Failure::of)?;
            let batches = batches(number, shape.together);
            let (sets, has_ended) = (Arc::clone(&load.sets), Arc::clone(&load.has_ended));
            load.writers.spawn(async move {
                write(stream, &batches, shape.together, &sets, &has_ended).await
            });
        }
        Ok(load)
    }

    /// `SET`s that the server has confirmed so far.
    pub fn sets(&self) -> u64 {
        self.sets.load(Relaxed)
    }

    /// Fails if a connection has failed, or the server has refused anything.
    pub async fn end(mut self) -> Result<(), Failure> {
        self.has_ended.store(true, Relaxed);
        while let Some(writer) = self.writers.join_next().await {
            writer.map_err(Failure::of)??;
        }
        Ok(())
    }
}

async fn write(
    mut stream: TcpStream,
    batches: &[Vec<u8>],
    together: usize,
    sets: &AtomicU64,
    has_ended: &AtomicBool,
) -> Result<(), Failure> {
    let mut replies = vec![0; together * REPLY.len()];
    for batch in batches.iter().cycle() {
        if has_ended.load(Relaxed) {
            break;
        }
        stream.write_all(batch).await.map_err(Failure::of)?;
        stream.read_exact(&mut replies).await.map_err(Failure::of)?;
        if !replies
            .chunks_exact(REPLY.len())
            .all(|reply| reply == REPLY)
        {
            return Err(Failure::of("the server refuses a `SET`"));
        }
        sets.fetch_add(together as u64, Relaxed);
    }
    Ok(())
}

fn batches(number: usize, together: usize) -> Vec<Vec<u8>> {
    let mut ids = Ids::new(&KEYS, number);
    let value = "v".repeat(LENGTH);
    let mut set = || {
        let id = ids.next();
        let key = match id % ONE_IN {
            0 => sites::key(id),
            _ => format!("other:{id}"),
        };
        format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${LENGTH}\r\n{value}\r\n",
            key.len()
        )
    };
    (0..PREPARED / together.max(1))
        .map(|_| {
            (0..together)
                .map(|_| set())
                .collect::<String>()
                .into_bytes()
        })
        .collect()
}
