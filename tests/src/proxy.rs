//! A TCP proxy in front of a server that refuses, hangs, dawdles, cuts, strands or garbles on request.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// What a proxy does with its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards.
    Forward,
    /// Closes every connection and does not listen, so that connecting is refused.
    Refuse,
    /// Accepts and reads, and holds back what it has read until the mode changes.
    Hang,
    /// Forwards what it has read after this time at the earliest.
    Dawdle(Duration),
    /// Answers everything with these bytes.
    Garble(Vec<u8>),
}

/// A proxy on a free port, gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    listener: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct State {
    mode: Mode,
    /// In which connections are accepted now.
    era: u64,
    /// Connections of earlier eras are stranded.
    stranded: u64,
    /// Connections of earlier eras are closed.
    cut: u64,
}

/// What is behind a proxy.
#[derive(Clone, Copy, Debug)]
struct Target {
    port: u16,
    /// Which connections the proxy does anything to but forward: those on which this was sent.
    sign: Option<&'static str>,
}

impl Proxy {
    /// Starts a proxy to a port of this machine.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn start(target: u16) -> Self {
        Self::start_to(Target {
            port: target,
            sign: None,
        })
    }

    /// Starts a proxy that always listens, and forwards whatever its mode, but for the connections
    /// whose client has sent these bytes, in one piece.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn start_against(target: u16, sign: &'static str) -> Self {
        Self::start_to(Target {
            port: target,
            sign: Some(sign),
        })
    }

    fn start_to(target: Target) -> Self {
        let listener = listen(0).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let (state, _) = watch::channel(State {
            mode: Mode::Forward,
            era: 0,
            stranded: 0,
            cut: 0,
        });
        let state = Arc::new(state);
        let serving = serve(listener, port, target, Arc::clone(&state));
        Self {
            port,
            state,
            listener: tokio::spawn(serving),
        }
    }

    /// `redis://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Changes what happens to connections, those that exist included.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Strands every connection there is: open, and silent for good, as when a firewall forgets
    /// it. New ones are not affected.
    pub fn strand(&self) {
        self.state.send_modify(|state| {
            state.era += 1;
            state.stranded = state.era;
        });
    }

    /// Closes every connection there is, and drops what it holds back of them. New ones are not
    /// affected.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.era += 1;
            state.cut = state.era;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Refuse);
        self.listener.abort();
    }
}

impl State {
    fn closes(&self, era: u64) -> bool {
        self.mode == Mode::Refuse || era < self.cut
    }

    fn holds(&self, era: u64) -> bool {
        self.mode == Mode::Hang || era < self.stranded
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(1024)
}

async fn serve(listener: TcpListener, port: u16, target: Target, state: Arc<watch::Sender<State>>) {
    let mut listener = Some(listener);
    let mut changes = state.subscribe();
    loop {
        let refuses = changes.borrow_and_update().mode == Mode::Refuse;
        if refuses && target.sign.is_none() {
            listener = None;
        } else if listener.is_none() {
            listener = Some(listen(port).expect("the proxy's port again"));
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok((client, _)) = accepted => {
                tokio::spawn(relay(client, target, state.subscribe()));
            }
            Ok(()) = changes.changed() => {}
        }
    }
}

/// One connection of a client, and the one to the server that is its other half.
struct Relay {
    era: u64,
    sign: Option<&'static str>,
    /// Whether the mode is for this one.
    is_meant: AtomicBool,
}

async fn relay(client: TcpStream, target: Target, mut state: watch::Receiver<State>) {
    let relay = Relay {
        era: state.borrow().era,
        sign: target.sign,
        is_meant: AtomicBool::new(target.sign.is_none()),
    };
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port)).await else {
        return;
    };
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::select! {
        () = relay.pump(client_reads, server_writes, state.clone(), false) => {}
        () = relay.pump(server_reads, client_writes, state.clone(), true) => {}
        _ = state.wait_for(|state| relay.is_meant() && state.closes(relay.era)) => {}
    }
}

impl Relay {
    /// Moves bytes one way, as the mode says when they arrive.
    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        mut state: watch::Receiver<State>,
        to_client: bool,
    ) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            if !to_client {
                self.look_at(bytes);
            }
            let Some(mut mode) = self.lets_through(&mut state).await else {
                return;
            };
            if let Mode::Dawdle(time) = mode {
                sleep(time).await;
                // Meanwhile it may have been stranded.
                let Some(later) = self.lets_through(&mut state).await else {
                    return;
                };
                mode = later;
            }
            let bytes = match &mode {
                Mode::Garble(garbage) if to_client => garbage.as_slice(),
                _ => bytes,
            };
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Waits until bytes may go on; the mode then, or none if they never may.
    async fn lets_through(&self, state: &mut watch::Receiver<State>) -> Option<Mode> {
        if !self.is_meant() {
            return Some(Mode::Forward);
        }
        let decided = state.wait_for(|state| state.closes(self.era) || !state.holds(self.era));
        let state = decided.await.ok()?;
        // Who watches the state does not hear when it is meant only now.
        (!state.closes(self.era)).then(|| state.mode.clone())
    }

    /// Looks for the sign in what the client sends.
    fn look_at(&self, bytes: &[u8]) {
        let shows = |sign: &str| {
            bytes
                .windows(sign.len())
                .any(|part| part == sign.as_bytes())
        };
        if !self.is_meant() && self.sign.is_some_and(shows) {
            self.is_meant.store(true, SeqCst);
        }
    }

    fn is_meant(&self) -> bool {
        self.is_meant.load(SeqCst)
    }
}
