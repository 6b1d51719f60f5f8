//! A Redis server for one run.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, io, thread};

/// A `redis-server` on a free port that keeps nothing and ends with this value.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<Child>,
    port: u16,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// If `redis-server` is not there, ends, or does not answer within five seconds.
    pub fn start() -> io::Result<Self> {
        let mut server = Self::absent()?;
        if server.restart().is_err() {
            // Another process may take the port between our look and the server's.
            server = Self::absent()?;
            server.restart()?;
        }
        Ok(server)
    }

    /// A server that is not there yet: its port is free.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn absent() -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        Ok(Self {
            process: None,
            port,
        })
    }

    /// Starts the server, empty, where it was before, and waits until it answers.
    ///
    /// # Errors
    ///
    /// If it ends, because its port is taken, or does not answer within five seconds.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let port = self.port.to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(env::temp_dir())
            .stdout(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        for _ in 0..5000 {
            if self.has_ended()? {
                // Whoever answers is another one.
                return Err(io::Error::other(format!(
                    "redis-server has ended: is port {port} taken?"
                )));
            }
            if self.answers() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "redis-server does not answer",
        ))
    }

    /// Ends the server without a warning.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing can be done about a server that is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the server where it is: its connections stay open, and nobody answers.
    ///
    /// # Errors
    ///
    /// If there is no program `kill`, or no server.
    pub fn pause(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// If there is no program `kill`, or no server.
    pub fn resume(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    /// The server's address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let process = self.process.as_ref().map(Child::id);
        let id = process.ok_or_else(|| io::Error::other("the server is not running"))?;
        let status = Command::new("kill")
            .args([signal, &id.to_string()])
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("`kill {signal}` failed")))
        }
    }

    fn has_ended(&mut self) -> io::Result<bool> {
        match &mut self.process {
            Some(process) => Ok(process.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Whether this server answers, and not another one on its port.
    fn answers(&self) -> bool {
        let process = self.process.as_ref().map_or(0, Child::id);
        let ask = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"INFO server\r\nQUIT\r\n")?;
            io::read_to_string(stream)
        };
        let told = ask().unwrap_or_default();
        told.contains(&format!("\nprocess_id:{process}\r\n"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
