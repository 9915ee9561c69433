//! TLS of a listener: the certificate that it shows, and how a connection begins.
//!
//! Who renews a certificate writes its files anew: they are looked at once a minute, and open connections keep what they began with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::FIRST_BYTES;
use super::connection::Connection;
use super::guarded::Guarded;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    #[error("{key}: cannot read {path}: {cause}")]
    Read { key: &'static str, path: PathBuf, cause: io::Error },
    #[error("{key}: {path} is not {expected} in PEM form: {cause}")]
    Pem { key: &'static str, path: PathBuf, expected: &'static str, cause: pem::Error },
    #[error("server.tls_certificate: {path} has no certificate in PEM form")]
    Empty { path: PathBuf },
    #[error("server.tls_key: {key} is not a key that can be used with the certificate of {certificate}: {cause}")]
    Key { key: PathBuf, certificate: PathBuf, cause: rustls::Error },
}

/// What TLS needs, shared by all connections. Clones are the same.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// The certificate that is shown, and the files that it is from.
#[derive(Debug)]
struct Shown {
    files: Files,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Current {
    certificate: Arc<CertifiedKey>,
    changed: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads a certificate, with those that lead to its authority after it, and its key.
    ///
    /// # Errors
    /// [`BadCertificate`], naming the setting.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, BadCertificate> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        // Before they are read: a change in between is read again.
        let changed = files.changed();
        let current = RwLock::new(Current { certificate: Arc::new(files.read()?), changed });
        let shown = Arc::new(Shown { files, current });
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self { config: Arc::new(config), shown })
    }

    /// Looks at the files regularly; aborted by whoever holds it.
    pub fn keep_reading(&self) -> JoinHandle<()> {
        let shown = Arc::clone(&self.shown);
        tokio::spawn(async move {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks.tick().await;
            loop {
                looks.tick().await;
                shown.read_if_changed();
            }
        })
    }

    /// Begins a connection, and says whether it speaks HTTP/2; `None` if it does not begin in time, or not with TLS.
    pub async fn accept(&self, socket: Guarded<tokio::net::TcpStream>) -> Option<(Connection, bool)> {
        let begun = timeout(FIRST_BYTES, TlsAcceptor::from(Arc::clone(&self.config)).accept(socket)).await;
        let stream: TlsStream<_> = begun.ok()?.ok()?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Some((Connection::Tls(Box::new(stream)), is_http2))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().certificate))
    }
}

impl Shown {
    /// Takes a new certificate, once both of its files fit each other: the old one is shown until then.
    fn read_if_changed(&self) {
        let changed = self.files.changed();
        if self.current.read().changed == changed {
            return;
        }
        match self.files.read() {
            Ok(certificate) => {
                *self.current.write() = Current { certificate: Arc::new(certificate), changed };
                info!("read the certificate of {} again", self.files.certificate.display());
            }
            // Looked at again next time: only one of the two may have been written yet.
            Err(bad) => warn!("the certificate from before is still shown: {bad}"),
        }
    }
}

impl Files {
    /// When each was written, as far as that is known.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
        [changed(&self.certificate), changed(&self.key)]
    }

    fn read(&self) -> Result<CertifiedKey, BadCertificate> {
        let (certificate, key) = ("server.tls_certificate", "server.tls_key");
        let chain = bytes_of(certificate, &self.certificate)?;
        let expected = |key, path: &Path, expected| {
            let path = path.to_owned();
            move |cause| BadCertificate::Pem { key, path, expected, cause }
        };
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(expected(certificate, &self.certificate, "a certificate"))?;
        if chain.is_empty() {
            return Err(BadCertificate::Empty { path: self.certificate.clone() });
        }
        let private = PrivateKeyDer::from_pem_slice(&bytes_of(key, &self.key)?);
        let private = private.map_err(expected(key, &self.key, "a private key"))?;
        CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|cause| BadCertificate::Key {
            key: self.key.clone(),
            certificate: self.certificate.clone(),
            cause,
        })
    }
}

fn bytes_of(key: &'static str, path: &Path) -> Result<Vec<u8>, BadCertificate> {
    std::fs::read(path).map_err(|cause| BadCertificate::Read { key, path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests;
