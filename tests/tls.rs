//! Encrypted connections.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Setup, eventually};

fn pem(what: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

#[tokio::test]
async fn with_a_certificate_connections_are_encrypted_and_no_others_are_answered() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let setup = Setup::probes(&["two"]);
    let file = |name: &str, text: String| {
        let path = setup.data_dir().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let certificate = file("cert.pem", pem("CERTIFICATE", cert.der()));
    let key = file("key.pem", pem("PRIVATE KEY", &signing_key.serialize_der()));
    let tls = serde_json::json!({"certificate": certificate, "key": key});
    let setup = setup.set("http.tls", tls);
    let mut child = setup.command().spawn().expect("selvedge starts");
    let address = eventually("an address", async || {
        let log = setup.log();
        let rest = &log[log.find("https://")? + "https://".len()..];
        Some(rest[..rest.find('\n')?].trim().to_owned())
    })
    .await;

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(&address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("TLS");
    let request = b"GET /ok HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is sent");
    let mut answer = String::new();
    // A server that closes without a farewell has still said everything.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer}"
    );

    let mut plain = TcpStream::connect(&address).await.expect("a connection");
    plain.write_all(request).await.expect("it is sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    child.kill().expect("the process can be killed");
    child.wait().expect("the process ends");
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let setup = Setup::probes(&["two"]);
    let file = setup.data_dir().join("empty.pem");
    std::fs::write(&file, "nothing").expect("a file");
    let file = file.display().to_string();
    let tls = serde_json::json!({"certificate": file, "key": file});
    let setup = setup.set("http.tls", tls);
    assert_eq!(setup.exit_code(), Some(1));
    assert!(setup.log().contains("http.tls"), "{}", setup.log());
}
