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

/// A server for `name` that speaks HTTP/2 too, answers one request after another with the protocol that was agreed on, and
/// its certificate.
async fn server(name: &str) -> (SocketAddr, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let protocol = stream.get_ref().1.alpn_protocol().unwrap_or_default();
            let body = String::from_utf8_lossy(protocol).into_owned();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            assert!(read > 0, "the client sent nothing");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
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
async fn a_certificate_for_the_name_is_trusted_and_http_1_is_spoken() {
    let (address, certificate) = server("hooks.example.com").await;
    let client = client(&https_only(), &trusting(certificate));
    let response = send(
        &client,
        &format!("https://hooks.example.com:{}/", address.port()),
    )
    .await
    .unwrap();
    assert_eq!(response.address, address);
    assert_eq!(text(response).await, "http/1.1");
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
