//! TCP and TLS connections to the system under test. Only to this machine, unless other machines are allowed.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::UserError;
use crate::failure::{Outcome, While};

/// Scheme, host and port that a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// Origin of a URL with one of the schemes http, https, ws and wss.
    #[must_use]
    pub fn of(url: &url::Url) -> Option<Self> {
        let tls = matches!(url.scheme(), "https" | "wss");
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default()?;
        Some(Self { tls, host: host.into(), port })
    }

    /// Value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long the steps of connecting took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Looking up the name.
    pub dns: Duration,
    /// TCP handshake.
    pub tcp: Duration,
    /// TLS handshake, if there was one.
    pub tls: Option<Duration>,
}

/// Maker of connections.
pub struct Connector {
    tls: TlsConnector,
    allow_remote: bool,
}

impl Connector {
    /// A connector that checks certificates with the system's if `verify`.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(verify: bool, allow_remote: bool) -> Outcome<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // The verifier of the platform uses the provider of the process.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            rustls::crypto::CryptoProvider::install_default((*provider).clone()).unwrap_or_default();
        }
        let config = if verify {
            ClientConfig::with_platform_verifier().doing("reading the system's certificates")?
        } else {
            ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth()
        };
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), allow_remote })
    }

    /// Connects, within `limit`.
    ///
    /// # Errors
    /// Under Artillery's names; also when the address is not this machine's and others are not allowed.
    pub async fn connect(&self, origin: &Origin, limit: Duration) -> Result<(Stream, Timings), UserError> {
        tokio::time::timeout(limit, self.try_connect(origin)).await.map_err(|_| UserError::TIMED_OUT)?
    }

    async fn try_connect(&self, origin: &Origin) -> Result<(Stream, Timings), UserError> {
        let began = Instant::now();
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((&*origin.host, origin.port))
            .await
            .map_err(|_| UserError::known("ENOTFOUND"))?
            .collect();
        let dns = began.elapsed();
        let mut outcome = Err(UserError::known("ENOTFOUND"));
        for address in addresses {
            if !self.allow_remote && !address.ip().is_loopback() {
                return Err(UserError::new(format!("{} is not this machine: --allow-remote", address.ip())));
            }
            let began = Instant::now();
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    outcome = Ok((stream, began.elapsed()));
                    break;
                }
                Err(error) => outcome = Err(UserError::from(&error)),
            }
        }
        let (stream, tcp) = outcome?;
        stream.set_nodelay(true).map_err(|error| UserError::from(&error))?;
        if !origin.tls {
            return Ok((Stream::Plain(stream), Timings { dns, tcp, tls: None }));
        }
        let name = ServerName::try_from(origin.host.to_string()).map_err(|_| UserError::known("ENOTFOUND"))?;
        let began = Instant::now();
        let stream = self.tls.connect(name, stream).await.map_err(|error| UserError::from(&error))?;
        Ok((Stream::Tls(Box::new(stream)), Timings { dns, tcp, tls: Some(began.elapsed()) }))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Takes every certificate, as `-k` asks for. Signatures are still checked.
#[derive(Debug)]
struct Unverified(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
