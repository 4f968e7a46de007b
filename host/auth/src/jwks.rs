//! The keys that tokens are signed with. They are read again when they are old, and when a token names one that is not
//! among them, since issuers change their keys; both no more often than a bound, whoever sends tokens.
//!
//! An attempt to read them goes on when whoever was the cause of it goes away: nobody can use attempts up by not waiting
//! for them. And that there is no such key is said only of keys that were read after the token came.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use parking_lot::{Mutex, RwLock};
use selvedge_egress::{Body, Client, ClientOptions, Policy, PolicyOptions, Request, Target};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Denied;
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
    keys: Arc<Keys>,
    last: Mutex<Option<Attempt>>,
}

/// What an attempt to read them has to do with.
struct Keys {
    source: Source,
    read: RwLock<Option<Read>>,
}

struct Read {
    set: KeySet,
    /// When that began.
    at: Instant,
}

/// An attempt to read the keys.
struct Attempt {
    began: Instant,
    over: Over,
}

/// Closed at the end of an attempt.
type Over = watch::Receiver<()>;

/// What comes of the wish to read the keys again.
enum Turn {
    Begun(Over),
    UnderWay(Over),
    /// They were read, or that was tried, too lately.
    TooSoon,
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
            let at = Instant::now();
            let text = tokio::fs::read(path).await.map_err(failed)?;
            let set = KeySet::parse(&text).ok_or_else(|| StartError::NoKeys(path.clone()))?;
            jwks.keys.keep(set, at);
        }
        Ok(jwks)
    }

    fn over(source: Source) -> Self {
        let read = RwLock::new(None);
        Self {
            keys: Arc::new(Keys { source, read }),
            last: Mutex::new(None),
        }
    }

    /// The key that this token was signed with, if it tells the truth. Keys that are old, or among which it is not, are
    /// read again before; whoever knows an old one does not wait where somebody else does.
    pub(crate) async fn key(&self, token: &Token<'_>) -> Result<PublicKey, Denied> {
        let asked = Instant::now();
        if let Some(found) = self.keys.find(token, FRESH) {
            return found;
        }
        match self.read_again() {
            Turn::Begun(over) => end_of(over).await,
            Turn::UnderWay(over) if self.keys.find(token, USABLE).is_none() => end_of(over).await,
            Turn::UnderWay(_) | Turn::TooSoon => {}
        }
        match self.keys.find(token, USABLE) {
            Some(found) => found,
            None if self.keys.were_read_since(asked) => Err(Denied::Invalid),
            None => Err(Denied::Unavailable {
                retry_after: self.until_next_turn(),
            }),
        }
    }

    /// Begins to read the keys where nobody does and it is time for that.
    fn read_again(&self) -> Turn {
        let mut last = self.last.lock();
        if let Some(attempt) = &*last {
            let is_under_way = attempt.over.has_changed().is_ok();
            if is_under_way {
                return Turn::UnderWay(attempt.over.clone());
            }
            if attempt.began.elapsed() < MIN_INTERVAL {
                return Turn::TooSoon;
            }
        }
        let (ends, over) = watch::channel(());
        let (keys, began) = (self.keys.clone(), Instant::now());
        *last = Some(Attempt {
            began,
            over: over.clone(),
        });
        tokio::spawn(async move {
            match keys.source.fetch().await {
                Ok(set) => keys.keep(set, began),
                Err(error) => tracing::warn!(error, "auth.jwt.jwks cannot be read"),
            }
            drop(ends);
        });
        Turn::Begun(over)
    }

    fn until_next_turn(&self) -> Duration {
        let last = self.last.lock();
        last.as_ref().map_or(Duration::ZERO, |attempt| {
            MIN_INTERVAL.saturating_sub(attempt.began.elapsed())
        })
    }
}

async fn end_of(mut over: Over) {
    // Nothing is ever sent, so that this returns when the attempt has dropped its end.
    let _ = over.changed().await;
}

impl Keys {
    fn keep(&self, set: KeySet, at: Instant) {
        *self.read.write() = Some(Read { set, at });
    }

    fn find(&self, token: &Token<'_>, not_older: Duration) -> Option<Result<PublicKey, Denied>> {
        let read = self.read.read();
        let read = read.as_ref().filter(|read| read.at.elapsed() < not_older)?;
        read.set.find(token)
    }

    fn were_read_since(&self, moment: Instant) -> bool {
        let read = self.read.read();
        read.as_ref().is_some_and(|read| read.at >= moment)
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

    /// The key that a token names, or the only one that fits a token which names none; `None` where it may be that the
    /// issuer has one by now. A key of that name for another algorithm is not waited for.
    fn find(&self, token: &Token<'_>) -> Option<Result<PublicKey, Denied>> {
        let named = |id: &Option<String>| token.key_id.is_none() || *id == token.key_id;
        let mut fitting = self
            .0
            .iter()
            .filter(|(id, key)| key.algorithm() == token.algorithm && named(id));
        match (fitting.next(), fitting.next()) {
            (Some((_, key)), None) => Some(Ok(key.clone())),
            (None, _) if token.key_id.is_some() && self.0.iter().any(|(id, _)| named(id)) => {
                Some(Err(Denied::Invalid))
            }
            _ => None,
        }
    }
}

fn key(entry: Entry) -> Option<(Option<String>, PublicKey)> {
    let part = |part: &Option<String>| decoded(part.as_ref()?);
    let key = match (entry.kty.as_str(), entry.crv.as_deref()) {
        ("RSA", _) => PublicKey::rsa(part(&entry.n)?, part(&entry.e)?)?,
        ("EC", Some("P-256")) => PublicKey::p256(&part(&entry.x)?, &part(&entry.y)?)?,
        ("OKP", Some("Ed25519")) => PublicKey::ed25519(part(&entry.x)?)?,
        _ => return None,
    };
    let for_signatures = entry.purpose.is_none_or(|purpose| purpose == "sig");
    let for_this = entry.alg.is_none_or(|alg| alg == key.algorithm());
    (for_signatures && for_this).then_some((entry.kid, key))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    /// Whether a set of this one key can be used.
    fn is_usable(key: &Value) -> bool {
        KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).is_some()
    }

    #[test]
    fn keys_that_would_verify_nothing_are_not_taken_for_keys() {
        let bytes = |first: u8, len: usize| {
            let mut bytes = vec![0xab; len];
            bytes[0] = first;
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let rsa = |n: String, e: &str| is_usable(&json!({"kty": "RSA", "n": n, "e": e}));
        assert!(rsa(bytes(0x80, 256), "AQAB") && rsa(bytes(0x80, 1024), "Aw"));
        for (n, e) in [
            (bytes(0xff, 128), "AQAB"),
            (bytes(0x80, 1025), "AQAB"),
            (bytes(0, 256), "AQAB"),
            (bytes(0x80, 256), "AQ"),
            (bytes(0x80, 256), "AQAA"),
            (bytes(0x80, 256), "AAEAAQ"),
            (bytes(0x80, 256), ""),
            (String::new(), "AQAB"),
        ] {
            assert!(!rsa(n.clone(), e), "{n} {e}");
        }
        let ed25519 = |x: String| is_usable(&json!({"kty": "OKP", "crv": "Ed25519", "x": x}));
        assert!(ed25519(bytes(1, 32)));
        assert!(!ed25519(bytes(1, 31)) && !ed25519(bytes(1, 33)));
        let p256 =
            |y: String| is_usable(&json!({"kty": "EC", "crv": "P-256", "x": bytes(1, 32), "y": y}));
        assert!(p256(bytes(1, 32)) && !p256(bytes(1, 31)));
    }
}
