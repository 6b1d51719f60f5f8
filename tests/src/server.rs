//! A Redis server of the test's own, on a free port, in a folder of its own, gone when dropped.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use redis::{Client, aio::MultiplexedConnection, cmd};
use tokio::time::sleep;

use crate::process;
use crate::wait::eventually;

/// A running `redis-server`.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts a server that answers.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with further options, as on its command line.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed or does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let mut server = Self::stopped(options);
        // Another process may take the port between our look and the server's.
        for _ in 0..5 {
            if server.try_start().await {
                return server;
            }
            server.port = free_port();
        }
        panic!("redis-server does not start:\n{}", server.log());
    }

    /// A server that is not started yet; its port is taken by nobody.
    #[must_use]
    pub fn stopped(options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cache-tests-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self {
            port: free_port(),
            folder,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            process: None,
        }
    }

    /// Starts the server on its port, after [`stopped`](Self::stopped) or [`kill`](Self::kill).
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        // The port may linger for a moment after a kill.
        for _ in 0..50 {
            if self.try_start().await {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not start again:\n{}", self.log());
    }

    /// Kills the server without a chance to save or to say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the server's process in its tracks: connections stay, nothing is answered.
    pub fn pause(&self) {
        process::pause(self.process_id());
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        process::resume(self.process_id());
    }

    /// The server's port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `unix://<folder>/redis.sock`
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }

    /// The server's folder, removed with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection of the test's own, with the credentials of `user` (`"user:password@"` or
    /// empty).
    ///
    /// # Panics
    ///
    /// If the server does not let it in.
    pub async fn connection_as(&self, user: &str) -> MultiplexedConnection {
        let client = Client::open(format!("redis://{user}127.0.0.1:{}", self.port));
        client
            .expect("a URL")
            .get_multiplexed_async_connection()
            .await
            .expect("a connection")
    }

    /// A connection of the test's own.
    ///
    /// # Panics
    ///
    /// If the server does not let it in.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.connection_as("").await
    }

    /// Runs a command and reads its reply.
    ///
    /// # Panics
    ///
    /// If the server refuses it or replies with something else.
    pub async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.connection().await;
        let mut command = cmd(words.first().expect("a command"));
        command.arg(words.get(1..).unwrap_or_default());
        command
            .query_async(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Counts of commands, from now on.
    ///
    /// # Panics
    ///
    /// If the server does not let the test in.
    pub async fn commands(&self) -> Commands {
        let mut commands = Commands {
            connection: self.connection().await,
        };
        commands.reset().await;
        commands
    }

    async fn try_start(&mut self) -> bool {
        let socket = self.folder.join("redis.sock");
        let _ = fs::remove_file(&socket);
        let log = fs::File::create(self.folder.join("redis.log")).expect("a log file");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(&self.folder)
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("redis-server is missing; install it: apt-get install redis-server")
            }
            Err(error) => panic!("redis-server cannot be run: {error}"),
        };
        self.process = Some(process);
        let client = Client::open(self.url()).expect("a URL");
        eventually("redis-server answers or ends", async || {
            let ended = self
                .process
                .as_mut()
                .is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if ended {
                return Some(false);
            }
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let pong = cmd("PING").query_async::<String>(&mut connection).await;
            // A server that asks for a password is up as well, one that loads its data is not.
            match pong {
                Ok(_) => Some(true),
                Err(error) => (error.code() == Some("NOAUTH")).then_some(true),
            }
        })
        .await
    }

    fn process_id(&self) -> u32 {
        self.process.as_ref().expect("a running server").id()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default()
    }
}

/// How often a server ran each command.
#[derive(Debug)]
pub struct Commands {
    connection: MultiplexedConnection,
}

impl Commands {
    /// Forgets what was counted.
    ///
    /// # Panics
    ///
    /// If the server is gone.
    pub async fn reset(&mut self) {
        cmd("CONFIG")
            .arg("RESETSTAT")
            .exec_async(&mut self.connection)
            .await
            .expect("CONFIG RESETSTAT");
    }

    /// The counts since the last reset, by name as in `INFO commandstats`, without those of this
    /// counter.
    ///
    /// # Panics
    ///
    /// If the server is gone.
    pub async fn counts(&mut self) -> BTreeMap<String, u64> {
        let text: String = cmd("INFO")
            .arg("commandstats")
            .query_async(&mut self.connection)
            .await
            .expect("INFO commandstats");
        text.lines()
            .filter_map(|line| {
                let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(':')?;
                let calls = counts.strip_prefix("calls=")?.split(',').next()?;
                Some((name.to_owned(), calls.parse().ok()?))
            })
            .filter(|(name, _)| !matches!(name.as_str(), "info" | "config|resetstat"))
            .collect()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}
