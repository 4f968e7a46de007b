//! The certificate that the server shows: `http.tls`. It is read again when it was renewed, so that nobody has to start
//! the server anew for that; what cannot be used is told of, and the old one goes on being shown.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// How often is looked whether the files are others. A renewed certificate has weeks until the old one ends.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Where certificate and key are, as PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// They cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("http.tls: {path}: {message}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why; nothing of what is in it.
        message: String,
    },
    /// They do not belong together, or are not what they should be.
    #[error("http.tls: {0}")]
    Unusable(rustls::Error),
}

/// The certificate that is shown at the moment.
pub(crate) struct Shown {
    files: Tls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files looked like when it was read.
    seen: Mutex<Seen>,
}

/// When certificate and key were changed; what cannot be asked is none.
type Seen = [Option<SystemTime>; 2];

impl Shown {
    pub(crate) fn read(files: &Tls) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let seen = files.seen();
        let current = files.pair(&provider)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            provider,
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(seen),
        }))
    }

    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again when they were changed, and whenever the process is sent SIGHUP. Does not return.
    pub(crate) async fn stay_current(self: Arc<Self>) {
        let mut hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "cannot listen for SIGHUP"))
            .ok();
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_asked = tokio::select! {
                _ = hung_up => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let shown = self.clone();
            // Files may lie on a disk that is far away.
            let looking = tokio::task::spawn_blocking(move || shown.look(is_asked));
            if let Err(error) = looking.await {
                tracing::error!(%error, "http.tls cannot be looked at");
            }
        }
    }

    fn look(&self, is_asked: bool) {
        // Before they are read: what changes meanwhile is seen at the next look.
        let seen = self.files.seen();
        if !is_asked && seen == *self.seen.lock() {
            return;
        }
        match self.files.pair(&self.provider) {
            Ok(pair) => {
                *self.current.write() = Arc::new(pair);
                *self.seen.lock() = seen;
                tracing::info!("http.tls: the certificate was read again");
            }
            // The other file may be about to follow: they are read again at the next look.
            Err(error) => tracing::warn!(%error, "the certificate from before is still shown"),
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

/// Nothing of the key.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    fn seen(&self) -> Seen {
        [&self.certificate, &self.key].map(|path| {
            let file = std::fs::metadata(path).ok()?;
            file.modified().ok()
        })
    }

    fn pair(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = CertificateDer::pem_reader_iter(open(&self.certificate)?);
        let chain: Vec<_> = chain
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(&self.certificate, &error))?;
        let key = PrivateKeyDer::from_pem_reader(open(&self.key)?)
            .map_err(|error| unreadable(&self.key, &error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
    }
}

fn open(path: &Path) -> Result<io::BufReader<File>, TlsError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(io::BufReader::new(file))
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::generate_simple_self_signed;

    use super::*;

    /// Replaces both files by a new pair, as of a moment of its own, and returns the certificate.
    fn renew(files: &Tls, changed: SystemTime) -> CertificateDer<'static> {
        let pair = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let put = |path: &Path, what: &str, der: &[u8]| {
            let text = STANDARD.encode(der);
            let pem = format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n");
            std::fs::write(path, pem).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(changed).unwrap();
        };
        put(&files.certificate, "CERTIFICATE", pair.cert.der());
        put(&files.key, "PRIVATE KEY", &pair.signing_key.serialize_der());
        pair.cert.der().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_shown_after_the_next_look_at_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let files = Tls {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        let began = SystemTime::now();
        let old = renew(&files, began);
        let shown = Shown::read(&files).unwrap();
        let certificate = || shown.current.read().cert[0].clone();
        let looking = tokio::spawn(shown.clone().stay_current());
        let new = renew(&files, began + Duration::from_secs(1));
        tokio::time::sleep(LOOK_INTERVAL / 2).await;
        assert_eq!(certificate(), old);
        // Files are read on a thread of their own, while which the clock of a test stands still.
        tokio::time::sleep(LOOK_INTERVAL).await;
        assert_eq!(certificate(), new);
        looking.abort();
    }
}
