//! What the user configures, checked before anything is contacted.
//!
//! A URL often carries a password, so the text of a URL never reaches an error, a log or a
//! `Debug` output: errors name the part that is wrong, and [`RedisConfig`] shows the address.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use crate::error::ConfigError;

/// Lanes of a store unless configured otherwise.
///
/// Callers on one lane read together, and the fewer lanes the more do. Hits on values of 256
/// bytes, as a multiple of a `GET` over one connection with decoding, at 16, 64 and 256 callers
/// on two cores: 0.89, 1.32 and 1.57 with one lane; 1.01, 1.26 and 1.56 with two; 0.73, 1.06 and
/// 1.34 with four.
pub(crate) const DEFAULT_LANES: usize = 1;

/// Connections for the user's own commands unless configured otherwise.
pub(crate) const DEFAULT_POOL_SIZE: usize = 8;

/// How long a connection may idle before the kernel asks whether the peer is still there. Finds
/// the links that firewalls forget without a word.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Which store a URL names.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The embedded store of this process: `memory://`.
    Memory,
    /// A Redis server.
    Redis(Box<RedisConfig>),
}

impl Backend {
    /// Reads a cache URL: `memory://`, `redis://`, `rediss://` (feature `tls`) or `unix://`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the text is no URL, names no known store, or names one that this
    /// build cannot reach.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        match scheme(url)? {
            "memory" => match url.strip_prefix("memory://") {
                Some("" | "/") => Ok(Self::Memory),
                _ => Err(ConfigError::Url {
                    reason: "`memory://` takes neither a host nor a path".to_owned(),
                }),
            },
            "redis" | "rediss" | "unix" => {
                let config = RedisConfig::parse(url)?;
                Ok(Self::Redis(Box::new(config)))
            }
            scheme @ ("redis-cluster" | "redis-sentinel") => Err(ConfigError::NotYetSupported {
                scheme: scheme.to_owned(),
            }),
            scheme => Err(ConfigError::UnknownScheme {
                scheme: scheme.to_owned(),
            }),
        }
    }
}

fn scheme(url: &str) -> Result<&str, ConfigError> {
    let (scheme, _) = url.split_once("://").ok_or(ConfigError::UrlSyntax)?;
    let plain = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    // Anything else in front of `://` may be part of a password.
    if plain {
        Ok(scheme)
    } else {
        Err(ConfigError::UrlSyntax)
    }
}

/// How to reach one Redis server.
#[derive(Clone)]
pub struct RedisConfig {
    connection: ConnectionInfo,
    lanes: usize,
    pool_size: usize,
}

impl RedisConfig {
    /// Reads `redis://[user][:password@]host[:port][/db]`, the same with `rediss` (feature
    /// `tls`), or `unix:///path[?db=1&user=..&pass=..]`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the URL does not parse or asks for TLS or RESP2, which are not there.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        let scheme = scheme(url)?;
        if scheme == "rediss" && !cfg!(feature = "tls") {
            return Err(ConfigError::TlsDisabled);
        }
        let url = redis::parse_redis_url(url).ok_or(ConfigError::UrlSyntax)?;
        if let Some((_, version)) = url.query_pairs().find(|(name, _)| name == "protocol")
            && !matches!(&*version, "3" | "resp3")
        {
            return Err(ConfigError::Url {
                reason: "only `protocol=resp3` is spoken, which Redis knows since 6.0".to_owned(),
            });
        }
        let info = url
            .into_connection_info()
            .map_err(|error| ConfigError::Url {
                // The detail may repeat a part of the URL; the category and description do not.
                reason: error.detail().map_or_else(
                    || error.to_string(),
                    |detail| error.to_string().replace(detail, "…"),
                ),
            })?;
        Ok(Self {
            connection: tuned(info),
            lanes: DEFAULT_LANES,
            pool_size: DEFAULT_POOL_SIZE,
        })
    }

    /// Sets the number of lanes, which all callers share: each is a connection for reads and another
    /// for everything else. Default: 1.
    ///
    /// Reads that wait on one lane at the same moment share a command, so few lanes carry more
    /// than many. More keep small replies from queueing behind large ones, and spread the work
    /// of parsing where there are many cores.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Zero`] for 0.
    pub fn with_lanes(mut self, lanes: usize) -> Result<Self, ConfigError> {
        self.lanes = at_least_one("lanes", lanes)?;
        Ok(self)
    }

    /// Sets the most connections lent at a time for the user's own commands. Default: 8.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Zero`] for 0.
    pub fn with_pool_size(mut self, size: usize) -> Result<Self, ConfigError> {
        self.pool_size = at_least_one("pool_size", size)?;
        Ok(self)
    }

    /// Number of lanes.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Most connections lent at a time.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool_size
    }

    /// Where the server is, free of credentials.
    #[must_use]
    pub fn address(&self) -> String {
        let scheme = match self.connection.addr() {
            ConnectionAddr::Tcp(..) => "redis",
            ConnectionAddr::TcpTls { .. } => "rediss",
            _ => "unix",
        };
        let db = self.connection.redis_settings().db();
        format!("{scheme}://{}/{db}", self.connection.addr())
    }

    pub(crate) fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("address", &self.address())
            .field("lanes", &self.lanes)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// RESP3 for the pushes of lost connections and, later, of invalidations; no Nagle, since
/// commands are small and awaited.
fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE));
    info.set_redis_settings(redis).set_tcp_settings(tcp)
}

fn at_least_one(setting: &'static str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 {
        Err(ConfigError::Zero { setting })
    } else {
        Ok(number)
    }
}

/// The first part of every key, which keeps applications on one server apart.
///
/// 1 to 128 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`: nothing that separates keys and nothing that
/// means something in a pattern, and short enough to stay whole in a key that is shortened.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Namespace`] if it is empty, too long or has other characters.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if !(1..=128).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(ConfigError::Namespace {
                namespace: text.to_owned(),
            });
        }
        Ok(Self(text.into()))
    }

    /// The namespace as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("cache".into())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> RedisConfig {
        RedisConfig::parse(url).unwrap()
    }

    #[test]
    fn every_scheme_finds_its_store() {
        assert!(matches!(Backend::parse("memory://"), Ok(Backend::Memory)));
        assert_eq!(
            redis("redis://example.org").address(),
            "redis://example.org:6379/0"
        );
        assert_eq!(
            redis("redis://example.org:7000/3").address(),
            "redis://example.org:7000/3"
        );
        assert_eq!(
            redis("unix:///run/redis.sock?db=2").address(),
            "unix:///run/redis.sock/2"
        );
    }

    #[test]
    fn planned_schemes_say_so() {
        for url in ["redis-cluster://a,b", "redis-sentinel://a,b/main"] {
            let error = Backend::parse(url).unwrap_err();
            assert!(matches!(error, ConfigError::NotYetSupported { .. }));
            assert!(error.to_string().contains("not supported yet"), "{error}");
        }
    }

    #[test]
    fn unusable_urls_are_refused() {
        for url in [
            "",
            "localhost:6379",
            "redis://",
            "redis://host:port",
            "redis://host/database",
            "redis://0.0.0.0",
            "redis://host?protocol=resp2",
            "memory://host",
            "http://host",
            "://host",
        ] {
            assert!(Backend::parse(url).is_err(), "{url}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_names_its_feature() {
        assert_eq!(
            Backend::parse("rediss://host").unwrap_err(),
            ConfigError::TlsDisabled
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        let good = redis("redis://amy:hunter2@example.org/1");
        assert_eq!(good.connection().redis_settings().username(), Some("amy"));
        assert_eq!(
            good.connection().redis_settings().password(),
            Some("hunter2")
        );
        let shown = format!(
            "{good:?} {good:#?} {:?}",
            Backend::Redis(Box::new(good.clone()))
        );
        assert!(
            !shown.contains("hunter2") && !shown.contains("amy"),
            "{shown}"
        );

        for bad in [
            "redis://amy:hunter2@",
            "redis://amy:hunter2@host:port",
            "redis://amy:hunter2@host/hunter2",
            "redis://amy:hunter2@host?protocol=hunter2",
            "redis://amy:hunter2@host:6379:hunter2",
            "amy:hunter2@host://x",
            "amy:hunter2@host",
            "redis-cluster://amy:hunter2@a,b",
            "memory://amy:hunter2@host",
            "ftp://amy:hunter2@host",
            "rediss://amy:hunter2@host#hunter2",
        ] {
            let Err(error) = Backend::parse(bad) else {
                panic!("{bad} was taken")
            };
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("amy"),
                "{shown}"
            );
        }
    }

    #[test]
    fn sizes_start_at_one() {
        let config = redis("redis://host");
        assert_eq!(
            (config.lanes(), config.pool_size()),
            (DEFAULT_LANES, DEFAULT_POOL_SIZE)
        );
        let zero = config.clone().with_lanes(0).unwrap_err();
        assert_eq!(zero.to_string(), "`lanes` must be at least 1");
        assert!(config.clone().with_pool_size(0).is_err());
        assert_eq!(config.with_lanes(5).unwrap().lanes(), 5);
    }

    #[test]
    fn namespaces_keep_out_of_keys_and_patterns() {
        let longest = "n".repeat(128);
        for good in ["cache", "shop-2.eu_west", "A", &longest] {
            assert_eq!(Namespace::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "a:b", "a*", "a b", "a?", "[a]", "ä", "a\n", "a%", "{a}", "a\\",
        ] {
            assert!(Namespace::new(bad).is_err(), "{bad:?}");
        }
        assert!(Namespace::new(&(longest + "n")).is_err());
    }
}
