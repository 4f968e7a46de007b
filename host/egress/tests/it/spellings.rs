//! URL spellings by the thousand. The oracle is not another reading of the text but the address at which a request
//! arrives: whatever the policy makes of a spelling, nothing may arrive anywhere but in the one network that is open.
//!
//! `PROPTEST_CASES=5000000 cargo test -p selvedge-egress --test it spellings` tries more than the sample of every run.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use selvedge_egress::{Client, ClientOptions, EgressError, Host, PolicyOptions, Resolver};
use tokio::net::TcpListener;

use crate::support::{client, ok, send, text};

/// How many spellings are tried when nobody asks for more.
const CASES: u32 = 20_000;

/// What is open, and what of it is closed again.
const OPEN: &str = "127.66.0.0/16";
const DENIED: &str = "127.66.9.0/24";
/// Open too, and nobody can be reached there: a broadcast address. Whoever has another address is tried there next.
const UNREACHABLE: &str = "127.255.255.255";

fn is_open(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let within = |network: &str| {
        let network: ipnet::IpNet = network.parse().unwrap();
        network.contains(&address)
    };
    (within(OPEN) && !within(DENIED)) || within(&format!("{UNREACHABLE}/32"))
}

/// Names for every kind of answer; what looks like a number is read as the system does, without asking anybody.
struct Names;

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let answers: &[&str] = match bare.as_str() {
            "open.example.com" => &["127.66.0.1"],
            "inside.example.com" | "localhost" => &["127.0.0.1"],
            "mixed.example.com" => &[UNREACHABLE, "127.0.0.1"],
            "reversed.example.com" => &["127.0.0.1", "127.66.0.1"],
            "denied.example.com" => &["127.66.9.1"],
            "six.example.com" => &["::1"],
            "mapped.example.com" => &["::ffff:127.0.0.1"],
            _ => &[],
        };
        let numeric = |byte: u8| byte.is_ascii_hexdigit() || b"xX.:".contains(&byte);
        let answers = if name.bytes().all(numeric) && !name.is_empty() {
            (name, 0)
                .to_socket_addrs()
                .map(|found| found.map(|address| address.ip()).collect())
        } else if answers.is_empty() {
            Err(io::Error::other("no such name"))
        } else {
            Ok(answers.iter().map(|text| text.parse().unwrap()).collect())
        };
        Box::pin(async move { answers })
    }
}

/// A server on every address of this machine. It says at which of them a request arrived, and remembers every connection to
/// one that is not open, whatever the client says of it.
struct Everywhere {
    port: u16,
    strays: Arc<Mutex<Vec<IpAddr>>>,
}

async fn everywhere() -> Everywhere {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await {
        Ok(both) => both,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap(),
    };
    let server = Everywhere {
        port: listener.local_addr().unwrap().port(),
        strays: Arc::default(),
    };
    let strays = Arc::clone(&server.strays);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let at = stream.local_addr().unwrap().ip().to_canonical();
            if !is_open(at) {
                strays.lock().unwrap().push(at);
            }
            let service = service_fn(move |_| async move {
                let mut answer = ok(at.to_string());
                let close = http::HeaderValue::from_static("close");
                answer.headers_mut().insert("connection", close);
                Ok::<_, io::Error>(answer)
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    server
}

impl Everywhere {
    /// Fails when anybody connected where nobody may. Connections are accepted in the order in which they were made, so
    /// one that is answered comes after all that were made before.
    async fn has_no_strays(&self, client: &Client) -> Result<(), TestCaseError> {
        let open = format!("http://127.66.0.1:{}/", self.port);
        prop_assert_eq!(text(send(client, &open).await.unwrap()).await, "127.66.0.1");
        let strays = self.strays.lock().unwrap();
        prop_assert!(strays.is_empty(), "connections to {:?}", strays);
        Ok(())
    }
}

/// Picks one of these texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

/// Most often nothing special, so that a spelling has one or two oddities and not only them.
fn seldom(plain: &'static str, odd: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(plain.to_owned()), 2 => one_of(odd)]
}

fn address() -> impl Strategy<Value = u32> {
    let known = [
        [127, 66, 0, 1],
        [127, 66, 9, 1],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
        [169, 254, 169, 254],
        [10, 0, 0, 1],
        [192, 168, 0, 1],
        [100, 100, 100, 200],
    ];
    prop_oneof![
        4 => prop::sample::select(known.map(u32::from_be_bytes).to_vec()),
        2 => any::<u16>().prop_map(|low| u32::from_be_bytes([127, 66, 0, 0]) + u32::from(low)),
        1 => (0..1_u32 << 24).prop_map(|low| (127 << 24) + low),
        1 => any::<u32>(),
    ]
}

/// One part of an IPv4 address as some reader takes it.
fn part(value: u32, form: u8) -> String {
    match form {
        0 => format!("{value:#x}"),
        1 => format!("0X{value:08X}"),
        2 => format!("0{value:o}"),
        3 => format!("0000{value:o}"),
        4 => format!("{value:03}"),
        _ => value.to_string(),
    }
}

/// An IPv4 address in one to four parts, each written in a way of its own; the last takes what is left.
fn inet_aton() -> impl Strategy<Value = String> {
    (address(), 1..=4_u32, prop::array::uniform4(0..12_u8)).prop_map(|(address, parts, forms)| {
        let mut texts = Vec::new();
        for at in 1..parts {
            texts.push(part((address >> (32 - 8 * at)) & 0xff, forms[at as usize]));
        }
        let rest = 32 - 8 * (parts - 1);
        let last = u64::from(address) & ((1 << rest) - 1);
        texts.push(part(u32::try_from(last).unwrap(), forms[0]));
        texts.join(".")
    })
}

fn dotted() -> impl Strategy<Value = String> {
    address().prop_map(|address| Ipv4Addr::from(address).to_string())
}

/// An IPv6 address that carries an IPv4 address, or that stands for loopback.
fn six() -> impl Strategy<Value = String> {
    (address(), 0..12_u8, any::<bool>()).prop_map(|(address, form, upper)| {
        let v4 = Ipv4Addr::from(address);
        let (high, low) = (address >> 16, address & 0xffff);
        let text = match form {
            0 => format!("::ffff:{v4}"),
            1 => format!("::ffff:{high:x}:{low:x}"),
            2 => format!("::{v4}"),
            3 => format!("64:ff9b::{v4}"),
            4 => format!("64:ff9b::{high:x}:{low:x}"),
            5 => format!("2002:{high:x}:{low:x}::1"),
            6 => format!("2a00::5efe:{v4}"),
            7 => format!("0:0:0:0:0:ffff:{high:04x}:{low:04x}"),
            8 => format!("::ffff:0:{high:x}:{low:x}"),
            9 => "::1".to_owned(),
            10 => "0:0:0:0:0:0:0:1".to_owned(),
            _ => "::1%25lo".to_owned(),
        };
        format!("[{}]", if upper { text.to_uppercase() } else { text })
    })
}

/// ASCII characters in the forms that parsers map back to them.
fn disguised(text: &str, disguises: Vec<(prop::sample::Index, u8)>) -> String {
    let mut characters: Vec<String> = text.chars().map(String::from).collect();
    for (index, form) in disguises {
        let at = index.index(characters.len());
        let Some(plain) = characters[at].chars().next().filter(char::is_ascii) else {
            continue;
        };
        let code = u32::from(plain);
        characters[at] = match form {
            0 => format!("%{code:02x}"),
            1 => format!("%25{code:02x}"),
            2 => char::from_u32(0xfee0 + code).map_or_else(String::new, String::from),
            3 if plain == '.' => "\u{3002}".to_owned(),
            4 if plain.is_ascii_digit() => char::from_u32(0x1d7ce + code - 48).unwrap().into(),
            5 => format!("{plain}\u{ad}"),
            _ => plain.to_ascii_uppercase().into(),
        };
    }
    characters.concat()
}

fn host() -> impl Strategy<Value = String> {
    let names = one_of(&[
        "open.example.com",
        "inside.example.com",
        "mixed.example.com",
        "reversed.example.com",
        "denied.example.com",
        "six.example.com",
        "mapped.example.com",
        "localhost",
        "metadata.google.internal",
    ]);
    let disguise = prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..3);
    let plain = prop_oneof![3 => names, 3 => dotted(), 3 => inet_aton(), 2 => six()];
    prop_oneof![
        3 => plain.clone(),
        1 => (plain, disguise).prop_map(|(host, disguises)| disguised(&host, disguises)),
    ]
}

const SCHEMES: &[&str] = &[
    "https", "HTTP", "hTTp", "ftp", "ws", "", " http", "http\t", "h\nttp",
];
const SLASHES: &[&str] = &[
    ":", ":/", ":///", ":\\\\", ":/\\", ":/\t/", "//", "%3a//", ":////",
];
const BEFORE: &[&str] = &[
    "user@",
    "user:password@",
    "@",
    ":@",
    "open.example.com@",
    "open.example.com:80@",
    "open.example.com#@",
    "open.example.com?@",
    "open.example.com/@",
    "open.example.com\\@",
    "open.example.com%00@",
    "open.example.com ",
    "open.example.com,",
    "0",
    "\t",
    "[",
];
const BEHIND: &[&str] = &[
    ".",
    "..",
    "\u{3002}",
    "%00",
    "%2f",
    "%23",
    "\\",
    "#",
    "?",
    ";",
    ",",
    " ",
    "\n",
    "@open.example.com",
    "\\@open.example.com",
    "#@open.example.com",
    "%40open.example.com",
    ".open.example.com",
    "]",
];
const PATHS: &[&str] = &[
    "",
    "?q",
    "#f",
    "//127.0.0.1/",
    "/@127.0.0.1/",
    "\\x",
    "/../..",
    "/%2e%2e",
    "/x?u=http://127.0.0.1/#",
];

/// A URL; `port` is where everybody listens.
fn spelling(port: u16) -> impl Strategy<Value = String> {
    let ports = (0..24_u8).prop_map(move |form| match form {
        0 => format!(":0{port}"),
        1 => format!(":+{port}"),
        2 => format!(":{}", u32::from(port) + 65_536),
        3 => format!(":{port}:80"),
        4 => ":".to_owned(),
        5 => String::new(),
        6 => format!(":{port}@open.example.com:{port}"),
        _ => format!(":{port}"),
    });
    let odd = prop_oneof![
        any::<char>(),
        prop::sample::select(b"\\@#?/:.%[]\t\n\0 ".map(char::from).to_vec())
    ];
    let insertion = prop::option::weighted(0.1, (any::<prop::sample::Index>(), odd));
    let parts = (
        seldom("http", SCHEMES),
        seldom("://", SLASHES),
        seldom("", BEFORE),
        host(),
        seldom("", BEHIND),
        ports,
        seldom("/", PATHS),
    );
    (parts, insertion).prop_map(
        |((scheme, slashes, before, host, behind, port, path), insertion)| {
            let mut text = format!("{scheme}{slashes}{before}{host}{behind}{port}{path}");
            if let Some((index, odd)) = insertion {
                let at = text.char_indices().nth(index.index(text.chars().count()));
                text.insert(at.map_or(0, |(at, _)| at), odd);
            }
            text
        },
    )
}

/// What became of the spellings, so that the test cannot pass by refusing everything.
#[derive(Default)]
struct Tally {
    admitted: AtomicU32,
    arrived: AtomicU32,
}

async fn try_out(
    server: &Everywhere,
    client: &Client,
    url: &str,
    tally: &Tally,
) -> Result<(), TestCaseError> {
    let Ok(target) = client.policy().check_url(url) else {
        return Ok(());
    };
    tally.admitted.fetch_add(1, Ordering::Relaxed);
    prop_assert_eq!(
        target.host().to_string().to_lowercase(),
        read_by_hand(url),
        "two readings of one text"
    );
    // A translator would connect to the address inside, somewhere else: it is judged, and not called.
    if let Host::Ip(IpAddr::V6(address)) = target.host()
        && let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments()
    {
        let inside = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
        prop_assert!(is_open(inside.into()), "{} would be called", inside);
        return Ok(());
    }
    let address = match send(client, url).await {
        Ok(response) => {
            tally.arrived.fetch_add(1, Ordering::Relaxed);
            let address = response.address.ip();
            let arrived = text(response).await;
            prop_assert_eq!(arrived, address.to_string());
            Some(address)
        }
        Err(EgressError::Refused(_)) => None,
        Err(error) => error.address().map(|address| address.ip()),
    };
    if let Some(address) = address {
        prop_assert!(is_open(address), "{} was called", address);
    }
    server.has_no_strays(client).await
}

/// The host as RFC 3986, appendix B, takes a URL apart.
fn read_by_hand(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or_default(),
    };
    host.to_lowercase()
}

#[test]
fn whatever_the_spelling_a_request_arrives_only_where_it_may() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(everywhere());
    let policy = PolicyOptions {
        require_https: false,
        allowed_ports: vec![server.port],
        allowed_networks: vec![OPEN.to_owned(), UNREACHABLE.to_owned()],
        denied_networks: vec![DENIED.to_owned()],
        methods: Vec::new(),
        ..PolicyOptions::webhooks()
    };
    // Every request connects, so that each is judged there too.
    let options = ClientOptions {
        max_idle_per_host: 0,
        resolver: Arc::new(Names),
        ..ClientOptions::default()
    };
    let client = {
        let _inside = runtime.enter();
        client(&policy, &options)
    };
    let defaults = ProptestConfig::default();
    let cases = defaults.cases.max(CASES);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..defaults
    });
    let tally = Tally::default();
    let result = runner.run(&spelling(server.port), |url| {
        runtime.block_on(try_out(&server, &client, &url, &tally))
    });
    if let Err(TestError::Fail(reason, url)) = &result {
        panic!("{url:?}: {reason}");
    }
    result.unwrap();
    let Tally { admitted, arrived } = tally;
    let (admitted, arrived) = (admitted.into_inner(), arrived.into_inner());
    println!("{cases} spellings: {admitted} admitted, {arrived} arrived");
    assert!(
        admitted > cases / 25 && arrived > cases / 100,
        "{admitted} admitted, {arrived} arrived"
    );
}
