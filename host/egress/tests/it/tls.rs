//! Encrypted connections: trust is in the name of the URL, although the connection goes to a judged address.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use selvedge_egress::{ClientOptions, EgressError, PolicyOptions, Roots};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Script, client, open_loopback, resolving, send, text};

/// A server for `name` that answers one request after another, and its certificate.
async fn server(name: &str) -> (SocketAddr, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = [0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            assert!(read > 0, "the client sent nothing");
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    });
    (address, cert.der().clone())
}

fn trusting(certificate: CertificateDer<'static>) -> ClientOptions {
    ClientOptions {
        roots: Roots::Only(vec![certificate]),
        ..resolving(Script::new(&[&["127.0.0.1"]]))
    }
}

#[tokio::test]
async fn a_certificate_for_the_name_is_trusted() {
    let (address, certificate) = server("hooks.example.com").await;
    let client = client(&https_only(), &trusting(certificate));
    let response = send(
        &client,
        &format!("https://hooks.example.com:{}/", address.port()),
    )
    .await
    .unwrap();
    assert_eq!(response.address, address);
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_an_unknown_authority_is_not() {
    let (address, certificate) = server("other.example.com").await;
    let url = format!("https://hooks.example.com:{}/", address.port());
    for options in [
        trusting(certificate),
        resolving(Script::new(&[&["127.0.0.1"]])),
    ] {
        let error = send(&client(&https_only(), &options), &url)
            .await
            .unwrap_err();
        assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
        assert_eq!(error.address(), Some(address));
    }
}

fn https_only() -> PolicyOptions {
    PolicyOptions {
        require_https: true,
        ..open_loopback()
    }
}
