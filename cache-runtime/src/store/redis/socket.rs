//! The bytes to and from a server, as a user of it.

use std::io;

use redis::{ConnectionAddr, ConnectionInfo, Pipeline, Value, io::tcp::socket2::SockRef};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::reply;
use crate::error::{StoreError, StoreErrorKind};

/// The two halves of an open connection.
pub(super) struct Socket {
    pub(super) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Connects and logs in, and hears that the server answers. It does so in RESP2.
///
/// # Errors
///
/// [`StoreError`] if the server cannot be reached, turns the connection away, or refuses the
/// credentials.
pub(super) async fn open(info: &ConnectionInfo) -> Result<Socket, StoreError> {
    let mut socket = connect(info).await.map_err(|error| unreachable(&error))?;
    let settings = settings(info);
    let ping = redis::cmd("PING").get_packed_command();
    let bytes = [settings.get_packed_pipeline(), ping.repeat(2)].concat();
    let sent = socket.writer.write_all(&bytes).await;
    sent.map_err(|error| unreachable(&error))?;
    let mut decoder = Default::default();
    let mut reply = async || redis::parse_redis_value_async(&mut decoder, &mut socket.reader).await;
    for _ in settings.cmd_iter() {
        match reply().await.and_then(Value::extract_error) {
            Ok(Value::Okay) => {}
            Ok(_) => return Err(reply::out_of_step()),
            Err(error) => return Err(reply::connect_error(&error, info)),
        }
    }
    // Asked twice: who turns a connection away says so once, whatever was asked, and hangs up.
    // Otherwise it may answer what it likes, also an error: it may be busy, or the user may not ask.
    let first = reply().await;
    if let Err(end) = reply().await {
        let error = first.and_then(Value::extract_error).err().unwrap_or(end);
        return Err(reply::connect_error(&error, info));
    }
    Ok(socket)
}

/// What a connection begins with, each of which is to be answered by `OK`.
fn settings(info: &ConnectionInfo) -> Pipeline {
    let mut commands = redis::pipe();
    let settings = info.redis_settings();
    if let Some(password) = settings.password() {
        commands.cmd("AUTH").arg(settings.username()).arg(password);
    }
    if settings.db() != 0 {
        commands.cmd("SELECT").arg(settings.db());
    }
    commands
}

async fn connect(info: &ConnectionInfo) -> io::Result<Socket> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let (reader, writer) = tcp(host, *port, info).await?.into_split();
            Ok(Socket::new(reader, writer))
        }
        #[cfg(feature = "tls")]
        ConnectionAddr::TcpTls { host, port, .. } => {
            let stream = tcp(host, *port, info).await?;
            let (reader, writer) = tokio::io::split(tls::connect(host, stream).await?);
            Ok(Socket::new(reader, writer))
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            let (reader, writer) = tokio::net::UnixStream::connect(path).await?.into_split();
            Ok(Socket::new(reader, writer))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

impl Socket {
    fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }
}

async fn tcp(host: &str, port: u16, info: &ConnectionInfo) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    let settings = info.tcp_settings();
    stream.set_nodelay(settings.nodelay())?;
    if let Some(keepalive) = settings.keepalive() {
        SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
    }
    Ok(stream)
}

fn unreachable(error: &io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error.to_string())
}

#[cfg(feature = "tls")]
mod tls {
    //! As the client library does it for the other connections: the system's certificates.

    use std::{io, sync::Arc};

    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio::net::TcpStream;
    use tokio_rustls::{TlsConnector, client::TlsStream};

    pub(super) async fn connect(host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        // Named, since a program with several providers has no default one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}
