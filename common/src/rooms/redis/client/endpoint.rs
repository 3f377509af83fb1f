//! Redis URLs: the servers to begin with, whether they are a cluster, TLS, and the user to log in as.

use std::{fmt, sync::Arc};

use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::{config::SecretUrl, rooms::RoomError};

/// The port of a URL without one.
const DEFAULT_PORT: u16 = 6379;

/// A server's host and port. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: host.into(), port }
    }

    /// Parses `host:port`. Without a host, as a server that knows no name of its own writes it, it is `host`.
    pub(super) fn parse(text: &str, host: &str) -> Option<Self> {
        let (named, port) = text.rsplit_once(':')?;
        Some(Self::new(if named.is_empty() { host } else { named }, port.parse().ok()?))
    }
}

/// Whom to log in as.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// What a Redis URL says.
pub(in super::super) struct Endpoint {
    /// Any of a cluster's servers, or the one there is.
    pub(super) seeds: Vec<Address>,
    pub(super) clustered: bool,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) login: Option<Login>,
    /// The number of the database on a single server.
    pub(super) database: u32,
}

impl Endpoint {
    /// Parses `redis[s][-cluster]://[[user]:password@]host[:port][/database][?node=host:port…]`.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] that says what is wrong, without the password.
    pub(in super::super) fn parse(url: &SecretUrl) -> Result<Self, RoomError> {
        let wrong = |what: &str| RoomError::Unavailable(format!("the URL {what}"));
        let url = Url::parse(url.expose()).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let (tls, clustered) = match url.scheme() {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis-cluster" => (false, true),
            "rediss-cluster" => (true, true),
            _ => return Err(wrong("is none of redis://…, rediss://…, redis-cluster://…, rediss-cluster://…")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?;
        let mut seeds = vec![Address::new(host, url.port().unwrap_or(DEFAULT_PORT))];
        for (_, node) in url.query_pairs().filter(|(name, _)| name.as_ref() == "node") {
            seeds.push(Address::parse(&node, host).ok_or_else(|| wrong("has a node that is not host:port"))?);
        }
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            path => path.parse().map_err(|_| wrong("has a path that is no number of a database"))?,
        };
        if clustered && database != 0 {
            return Err(wrong("names a database, and a cluster has only the first"));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = url.password().map(|password| Login {
            user: if url.username().is_empty() { "default".to_owned() } else { decoded(url.username()) },
            password: decoded(password),
        });
        let tls = if tls { Some(Arc::new(client_config()?)) } else { None };
        Ok(Self { seeds, clustered, tls, login, database })
    }
}

/// TLS with the certificate authorities that the system trusts.
fn client_config() -> Result<ClientConfig, RoomError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(RoomError::Unavailable(format!("the system trusts no certificate authority{reason}")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| RoomError::Unavailable(format!("TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Endpoint, RoomError> {
        Endpoint::parse(&SecretUrl::new(url))
    }

    #[test]
    fn urls_say_where_and_as_whom() {
        for (url, seeds, clustered, login, database) in [
            ("redis://localhost", "localhost:6379", false, None, 0),
            ("redis://10.0.0.7:7000/3", "10.0.0.7:7000", false, None, 3),
            ("redis://[::1]:7000", "::1:7000", false, None, 0),
            ("redis://:p%40ss@host", "host:6379", false, Some(("default", "p@ss")), 0),
            ("redis-cluster://mina:secret@a:1?node=b:2&node=:3", "a:1 b:2 a:3", true, Some(("mina", "secret")), 0),
        ] {
            let parsed = parse(url).map_err(|error| error.to_string()).expect(url);
            let found: Vec<String> = parsed.seeds.iter().map(Address::to_string).collect();
            assert_eq!(found.join(" "), seeds, "{url}");
            let user = parsed.login.as_ref().map(|login| (login.user.as_str(), login.password.as_str()));
            assert_eq!((parsed.clustered, user, parsed.database), (clustered, login, database), "{url}");
        }
    }

    #[test]
    fn urls_that_cannot_be_used_say_why_and_not_the_password() {
        for url in [
            "http://:secret@host",
            "redis://:secret@",
            "redis://:secret@host/x",
            "redis-cluster://:secret@host/1",
            "redis-cluster://:secret@host?node=other",
            "redis//:secret@host",
        ] {
            let error = parse(url).err().expect(url).to_string();
            assert!(error.contains("the URL ") && !error.contains("secret"), "{url}: {error}");
        }
    }
}
