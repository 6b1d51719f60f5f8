//! A TCP proxy in front of a server that refuses, hangs, strands or garbles on request.

use std::{io, net::Ipv4Addr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What a proxy does with its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards.
    Forward,
    /// Closes every connection and does not listen, so that connecting is refused.
    Refuse,
    /// Accepts and reads, and forwards nothing until the mode changes.
    Hang,
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
    /// Connections of earlier eras are stranded.
    era: u64,
}

impl Proxy {
    /// Starts a proxy to a port of this machine.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn start(target: u16) -> Self {
        let listener = listen(0).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let (state, _) = watch::channel(State {
            mode: Mode::Forward,
            era: 0,
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
        self.state.send_modify(|state| state.era += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Refuse);
        self.listener.abort();
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(1024)
}

async fn serve(listener: TcpListener, port: u16, target: u16, state: Arc<watch::Sender<State>>) {
    let mut listener = Some(listener);
    let mut changes = state.subscribe();
    loop {
        if changes.borrow_and_update().mode == Mode::Refuse {
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

async fn relay(client: TcpStream, target: u16, mut state: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else {
        return;
    };
    let era = state.borrow().era;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let requests = pump(client_reads, server_writes, state.clone(), era, false);
    let replies = pump(server_reads, client_writes, state.clone(), era, true);
    tokio::select! {
        () = requests => {}
        () = replies => {}
        _ = state.wait_for(|state| state.mode == Mode::Refuse) => {}
    }
}

/// Moves bytes one way, as the mode says when they arrive.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    era: u64,
    to_client: bool,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let going_on = state.wait_for(|state| state.era == era && state.mode != Mode::Hang);
        let mode = match going_on.await {
            Ok(state) => state.mode.clone(),
            Err(_) => return,
        };
        let bytes = match &mode {
            Mode::Garble(garbage) if to_client => garbage.as_slice(),
            _ => buffer.get(..read).unwrap_or_default(),
        };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
