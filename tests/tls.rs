//! Encrypted connections.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::server::signal;
use crate::support::wait::PATIENCE;
use crate::support::{Setup, eventually};

const ASK: &[u8] = b"GET /ok HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A certificate for `localhost`, and its key.
struct Pair(CertifiedKey<rcgen::KeyPair>);

impl Pair {
    fn new() -> Self {
        let pair = generate_simple_self_signed(vec!["localhost".to_owned()]);
        Self(pair.expect("a certificate"))
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    fn certificate(&self) -> String {
        pem("CERTIFICATE", self.0.cert.der())
    }

    fn key(&self) -> String {
        pem("PRIVATE KEY", &self.0.signing_key.serialize_der())
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

/// A server with a certificate; it ends with the test.
struct Encrypted {
    setup: Setup,
    child: Child,
    /// On loopback, wherever it listens.
    address: String,
}

impl Encrypted {
    async fn start(setup: Setup, arguments: &[&str], pair: &Pair) -> Self {
        let files = [("certificate", "cert.pem"), ("key", "key.pem")];
        let files = files.map(|(name, file)| {
            let path = setup.data_dir().join(file).display().to_string();
            (name.to_owned(), serde_json::Value::from(path))
        });
        let setup = setup.set("http.tls", serde_json::Value::from_iter(files));
        show(&setup, pair.certificate(), pair.key());
        let mut command = setup.command();
        let child = command.args(arguments).spawn().expect("selvedge starts");
        let port = eventually("an address", async || {
            let log = setup.log();
            let rest = &log[log.find("https://")? + "https://".len()..];
            let address = rest[..rest.find('\n')?].trim();
            Some(address.rsplit_once(':')?.1.to_owned())
        });
        let address = format!("127.0.0.1:{}", port.await);
        Self {
            setup,
            child,
            address,
        }
    }

    /// What it answers to whoever trusts this certificate alone.
    async fn asked_by_who_trusts(&self, pair: &Pair) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(pair.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = self.connect().await;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(ASK).await?;
        let mut answer = String::new();
        // A server that closes without a farewell has still said everything.
        let _ = stream.read_to_string(&mut answer).await;
        Ok(answer)
    }

    async fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).await;
        connection.expect("a connection")
    }

    /// What comes until it closes, when this is all that is sent.
    async fn told(&self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = self.connect().await;
        plain.write_all(bytes).await.expect("it is sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await;
        let _ = read.expect("the server closes the connection");
        answer
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(setup: &Setup, certificate: String, key: String) {
    let file = |name: &str| -> PathBuf { setup.data_dir().join(name) };
    std::fs::write(file("cert.pem"), certificate).expect("a file");
    std::fs::write(file("key.pem"), key).expect("a file");
}

#[tokio::test]
async fn with_a_certificate_connections_are_encrypted_and_no_others_are_answered() {
    let pair = Pair::new();
    let server = Encrypted::start(Setup::probes(&["two"]), &[], &pair).await;
    let answer = server.asked_by_who_trusts(&pair).await.expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A browser would keep that for every other server on its machine.
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    let answer = server.told(ASK).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_others_reach_tells_browsers_to_come_back_encrypted() {
    let pair = Pair::new();
    let arguments = ["--host", "0.0.0.0", "--no-auth"];
    let server = Encrypted::start(Setup::probes(&["two"]), &arguments, &pair).await;
    let answer = server.asked_by_who_trusts(&pair).await.expect("TLS");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer}"
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_one_that_cannot_be_used_is_not() {
    let (old, new) = (Pair::new(), Pair::new());
    let server = Encrypted::start(Setup::probes(&["two"]), &[], &old).await;
    server.asked_by_who_trusts(&old).await.expect("the old one");
    let says = async |what: &str, times: usize| {
        signal(server.child.id(), "HUP");
        eventually(what, async || {
            let said = server.setup.log().matches(what).count();
            (said == times).then_some(())
        })
        .await;
    };
    let kept = "the certificate from before is still shown";
    // Of a pair that is half renewed, and of nonsense, nothing is shown.
    show(&server.setup, new.certificate(), old.key());
    says(kept, 1).await;
    server.asked_by_who_trusts(&old).await.expect("the old one");
    show(&server.setup, "nothing".to_owned(), new.key());
    says(kept, 2).await;
    server.asked_by_who_trusts(&old).await.expect("the old one");

    show(&server.setup, new.certificate(), new.key());
    says("the certificate was read again", 1).await;
    server.asked_by_who_trusts(&new).await.expect("the new one");
    assert!(server.asked_by_who_trusts(&old).await.is_err());
}

#[tokio::test]
async fn whoever_knows_only_tls_1_1_is_refused() {
    let server = Encrypted::start(Setup::probes(&["two"]), &[], &Pair::new()).await;
    // Version, random, no session, one cipher suite, no compression, and one extension: the algorithms of signatures.
    let algorithms = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let hello = [
        &[3, 2][..],
        &[7; 32],
        &[0],
        &[0, 2, 0xc0, 0x2b],
        &[1, 0],
        &algorithms,
    ]
    .concat();
    let length = u8::try_from(hello.len()).expect("it is short");
    let handshake = [&[1, 0, 0, length][..], &hello].concat();
    let record = [&[0x16, 3, 1, 0, length + 4][..], &handshake].concat();
    let answer = server.told(&record).await;
    // A fatal alert: protocol_version.
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
    assert!(answer.ends_with(&[2, 70]), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_or_go_on_is_given_up() {
    let setup = Setup::probes(&["two"]).set("http.request_timeout_secs", 1);
    let server = Encrypted::start(setup, &[], &Pair::new()).await;
    for beginning in [&b""[..], &[0x16, 3, 1, 0]] {
        assert_eq!(server.told(beginning).await, b"");
    }
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
