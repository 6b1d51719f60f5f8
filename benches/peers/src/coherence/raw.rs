//! [`Raw`]: one connection without a client, as `redis-cli` has it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::PATIENCE;
use crate::origin::Failure;

pub struct Raw(TcpStream);

impl Raw {
    pub fn open(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).map_err(Failure::of)?;
        stream.set_nodelay(true).map_err(Failure::of)?;
        let patience = stream.set_read_timeout(Some(PATIENCE));
        patience.map_err(Failure::of)?;
        Ok(Self(stream))
    }

    /// Sends a command and waits for its reply, which is this line.
    pub fn send(&mut self, words: &[&str], expected: &str) -> Result<(), Failure> {
        let encoded: String = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()))
            .collect();
        let command = format!("*{}\r\n{encoded}", words.len());
        self.0.write_all(command.as_bytes()).map_err(Failure::of)?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).map_err(Failure::of)?;
            reply.extend(byte);
        }
        match reply.trim_ascii() == expected.as_bytes() {
            true => Ok(()),
            false => Err(Failure(format!(
                "the server says {}",
                String::from_utf8_lossy(&reply)
            ))),
        }
    }
}
