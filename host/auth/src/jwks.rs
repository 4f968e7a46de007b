//! The keys that tokens are signed with. They are read again when they are old, and when a token names one that is not
//! among them, since issuers change their keys; both no more often than a bound, whoever sends tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use parking_lot::RwLock;
use selvedge_egress::{Body, Client, ClientOptions, Policy, PolicyOptions, Request, Target};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::options::{KeySource, StartError};
use crate::token::{PublicKey, Token, decoded};

/// Keys that are older are read again, while the old ones are still used.
const FRESH: Duration = Duration::from_secs(300);
/// Keys that are older are not used any more, when they cannot be read again.
const USABLE: Duration = Duration::from_secs(3_600);
/// Between two attempts to read them.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// For reading them once.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest set that is read.
const MAX_BYTES: usize = 1 << 20;
/// Keys of a set that are looked at.
const MAX_KEYS: usize = 256;

/// The keys of one source, as they were read last.
pub(crate) struct Jwks {
    source: Source,
    read: RwLock<Option<Read>>,
    /// Who holds this reads the keys; inside, when they were read last or that was tried.
    turn: Mutex<Option<Instant>>,
}

struct Read {
    set: Arc<KeySet>,
    at: Instant,
}

enum Source {
    File(PathBuf),
    Url(Box<(Client, Target)>),
}

impl Jwks {
    pub(crate) async fn open(source: &KeySource) -> Result<Self, StartError> {
        let jwks = match source {
            KeySource::Url(url) => Self::over(Source::url(url)?),
            KeySource::File(path) => Self::over(Source::File(path.clone())),
        };
        if let KeySource::File(path) = source {
            // A file that is wrong now is a mistake of the operator's, who is there now.
            let failed = |source| StartError::File {
                path: path.clone(),
                source,
            };
            let text = tokio::fs::read(path).await.map_err(failed)?;
            let set = KeySet::parse(&text).ok_or_else(|| StartError::NoKeys(path.clone()))?;
            jwks.keep(set);
        }
        Ok(jwks)
    }

    fn over(source: Source) -> Self {
        Self {
            source,
            read: RwLock::new(None),
            turn: Mutex::new(None),
        }
    }

    /// The keys as they are known, read again before if they are old and nobody else is about that.
    pub(crate) async fn current(&self) -> Option<Arc<KeySet>> {
        let known = self.known(FRESH);
        if known.is_some() {
            return known;
        }
        if let Ok(mut last) = self.turn.try_lock() {
            self.read_again(&mut last).await;
        }
        self.known(USABLE)
    }

    /// The keys as they are after they were read again, or lately enough.
    pub(crate) async fn newer(&self) -> Option<Arc<KeySet>> {
        self.read_again(&mut *self.turn.lock().await).await;
        self.known(USABLE)
    }

    fn known(&self, not_older: Duration) -> Option<Arc<KeySet>> {
        let read = self.read.read();
        let read = read.as_ref().filter(|read| read.at.elapsed() < not_older)?;
        Some(read.set.clone())
    }

    async fn read_again(&self, last: &mut Option<Instant>) {
        if last.is_some_and(|last| last.elapsed() < MIN_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        match self.source.fetch().await {
            Ok(set) => self.keep(set),
            Err(error) => tracing::warn!(error, "auth.jwt.jwks cannot be read"),
        }
    }

    fn keep(&self, set: KeySet) {
        *self.read.write() = Some(Read {
            set: Arc::new(set),
            at: Instant::now(),
        });
    }
}

impl Source {
    /// The operator names the URL, so that its host may be anywhere, and nothing else is called by this client.
    fn url(url: &str) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Url(error.to_string());
        let policy = PolicyOptions {
            require_https: !is_on_loopback(url),
            allowed_ports: Vec::new(),
            disable_loopback: false,
            disable_private_ips: false,
            methods: vec!["GET".to_owned()],
            default_deny: false,
            ..PolicyOptions::graphs()
        };
        let policy = Arc::new(Policy::new(&policy).map_err(|error| failed(&error))?);
        let target = policy.check_url(url).map_err(|error| failed(&error))?;
        let options = ClientOptions {
            max_concurrent: 1,
            ..ClientOptions::default()
        };
        let client = Client::new(policy, &options).map_err(|error| failed(&error))?;
        Ok(Self::Url(Box::new((client, target))))
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let text = match self {
            Self::File(path) => tokio::fs::read(path)
                .await
                .map_err(|error| error.to_string())?,
            Self::Url(remote) => {
                let (client, url) = remote.as_ref();
                download(client, url.clone()).await?
            }
        };
        KeySet::parse(&text).ok_or_else(|| "there is no key in it that can be used".to_owned())
    }
}

/// Keys that come over a network in the clear could be anybody's.
fn is_on_loopback(url: &str) -> bool {
    [
        "http://127.0.0.1:",
        "http://127.0.0.1/",
        "http://[::1]:",
        "http://[::1]/",
    ]
    .iter()
    .any(|start| url.starts_with(start))
}

async fn download(client: &Client, url: Target) -> Result<Vec<u8>, String> {
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Body::empty(),
        deadline: Instant::now() + PATIENCE,
    };
    let mut answer = client.send(request).await.map_err(|e| e.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("the answer is {}", answer.status));
    }
    let mut text = Vec::new();
    let is_whole = answer.body.read_at_most(MAX_BYTES, &mut text).await;
    match is_whole.map_err(|e| e.to_string())? {
        true => Ok(text),
        false => Err(format!("it is larger than {MAX_BYTES} bytes")),
    }
}

/// Keys by their ids.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<(Option<String>, PublicKey)>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Entry {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys that can be used, if there are any. Others are passed over: sets hold keys for other purposes too.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(text).ok()?;
        let entries = document.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<_> = entries
            .filter_map(|entry| serde_json::from_value(entry).ok().and_then(key))
            .collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key that a token names, or the only one that fits a token which names none.
    pub(crate) fn find(&self, token: &Token<'_>) -> Option<&PublicKey> {
        let mut fitting = self.0.iter().filter(|(id, key)| {
            key.algorithm() == token.algorithm && (token.key_id.is_none() || *id == token.key_id)
        });
        let (_, key) = fitting.next()?;
        let is_the_only_one = fitting.next().is_none();
        is_the_only_one.then_some(key)
    }
}

fn key(entry: Entry) -> Option<(Option<String>, PublicKey)> {
    let part = |part: &Option<String>| decoded(part.as_ref()?);
    let key = match (entry.kty.as_str(), entry.crv.as_deref()) {
        ("RSA", _) => PublicKey::Rsa {
            n: part(&entry.n)?,
            e: part(&entry.e)?,
        },
        ("EC", Some("P-256")) => {
            let (x, y) = (part(&entry.x)?, part(&entry.y)?);
            let is_whole = x.len() == 32 && y.len() == 32;
            is_whole.then(|| PublicKey::P256([vec![4], x, y].concat()))?
        }
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(part(&entry.x)?),
        _ => return None,
    };
    let for_signatures = entry.purpose.is_none_or(|purpose| purpose == "sig");
    let for_this = entry.alg.is_none_or(|alg| alg == key.algorithm());
    (for_signatures && for_this).then_some((entry.kid, key))
}
