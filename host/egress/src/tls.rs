//! Whom encrypted connections trust.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The operating system's authorities; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    #[default]
    System,
    /// Only these.
    Only(Vec<CertificateDer<'static>>),
}

/// The configuration of TLS 1.2 and 1.3 with ring, passed by hand: no process-wide default is installed.
///
/// HTTP/1.1 alone is offered: the bounds of [`crate::gate::response`] are bounds of that version, and a hostile answer over
/// HTTP/2 would need bounds and tests of its own.
pub(crate) fn config(roots: &Roots) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn store(roots: &Roots) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Only(certificates) => {
            for certificate in certificates {
                store.add(certificate.clone())?;
            }
        }
        Roots::System => {
            // Systems ship authorities that rustls cannot use; the others are what counts.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                tracing::warn!(
                    "no trusted certificate authorities found: every https request will fail"
                );
            }
        }
    }
    Ok(store)
}
