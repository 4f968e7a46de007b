//! A name server that says what a test wants: names that lead elsewhere at the next look-up, answers that are mixed,
//! empty, late or never come.
//!
//! The system's resolver asks port 53 and no other, so this listens there, on a loopback address of its own. That takes
//! root, or the kernel's `net.ipv4.ip_unprivileged_port_start` at 53 or below.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;

/// What a look-up comes to.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These addresses, each for the question about its family. None at all is an answer too.
    Addresses(Vec<IpAddr>),
    /// The name is another name for the first of these, that for the next, and the last has these addresses.
    Alias(&'static [&'static str], Vec<IpAddr>),
    /// There is no such name.
    Unknown,
    /// The addresses, but only then.
    Late(Duration, Vec<IpAddr>),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    pub fn addresses(texts: &[&str]) -> Self {
        Self::Addresses(parsed(texts))
    }

    pub fn alias(names: &'static [&'static str], texts: &[&str]) -> Self {
        Self::Alias(names, parsed(texts))
    }

    pub fn late(after: Duration, texts: &[&str]) -> Self {
        Self::Late(after, parsed(texts))
    }
}

fn parsed(texts: &[&str]) -> Vec<IpAddr> {
    let address = |text: &&str| text.parse().expect("an address");
    texts.iter().map(address).collect()
}

/// A running name server; it stops with the test.
pub struct Dns {
    pub address: IpAddr,
    lookups: Lookups,
}

/// How often each name was looked up.
type Lookups = Arc<Mutex<HashMap<String, usize>>>;

/// The types of questions and answers, RFC 1035 section 3.2.2 and RFC 3596 section 2.1.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

impl Dns {
    /// One that decides by the name and by how many look-ups of it came before.
    pub async fn saying(reply: impl Fn(&str, usize) -> Reply + Send + 'static) -> Self {
        let socket = Arc::new(on_port_53().await);
        let dns = Self {
            address: socket.local_addr().expect("an address").ip(),
            lookups: Lookups::default(),
        };
        let lookups = dns.lookups.clone();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
                let Some(question) = Question::read(&packet[..length]) else {
                    continue;
                };
                let reply = reply(&question.name, nth_lookup(&lookups, &question));
                tokio::spawn(answer(socket.clone(), asker, question, reply));
            }
        });
        dns
    }

    /// How often a name was looked up.
    pub fn lookups(&self, name: &str) -> usize {
        let lookups = self.lookups.lock().expect("not poisoned");
        lookups.get(name).copied().unwrap_or_default()
    }
}

/// Other test processes may have taken some.
async fn on_port_53() -> UdpSocket {
    let mut refusal = None;
    for n in 1..=u8::MAX {
        let address = Ipv4Addr::new(127, 53, 0, n);
        match UdpSocket::bind((address, 53)).await {
            Ok(socket) => return socket,
            Err(error) => refusal = Some(error),
        }
    }
    panic!(
        "no loopback address to serve names on: {refusal:?}; port 53 takes root, or \
         `sysctl net.ipv4.ip_unprivileged_port_start=53`"
    )
}

/// The system asks for the A and the AAAA records of a name at once, the former first.
fn nth_lookup(lookups: &Lookups, question: &Question) -> usize {
    let mut lookups = lookups.lock().expect("not poisoned");
    let count = lookups.entry(question.name.clone()).or_default();
    if question.kind == A {
        *count += 1;
    }
    count.saturating_sub(1)
}

async fn answer(socket: Arc<UdpSocket>, asker: SocketAddr, question: Question, reply: Reply) {
    let packet = match reply {
        Reply::Addresses(addresses) => question.answered(&[], &addresses),
        Reply::Alias(names, addresses) => question.answered(names, &addresses),
        Reply::Unknown => question.unknown(),
        Reply::Late(after, addresses) => {
            tokio::time::sleep(after).await;
            question.answered(&[], &addresses)
        }
        Reply::Silence => return,
    };
    let _ = socket.send_to(&packet, asker).await;
}

/// The one question of a packet (RFC 1035 section 4.1.2).
struct Question {
    id: [u8; 2],
    name: String,
    kind: u16,
}

impl Question {
    fn read(packet: &[u8]) -> Option<Self> {
        let (head, mut rest) = packet.split_at_checked(12)?;
        let mut labels = Vec::new();
        loop {
            let (length, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            if label.is_empty() {
                break;
            }
            labels.push(String::from_utf8(label.to_ascii_lowercase()).ok()?);
        }
        Some(Self {
            id: [head[0], head[1]],
            name: labels.join("."),
            kind: u16::from_be_bytes([*rest.first()?, *rest.get(1)?]),
        })
    }

    fn unknown(&self) -> Vec<u8> {
        // A response to a recursive question, with "name error".
        self.packet(0x8183, &[])
    }

    fn answered(&self, aliases: &[&str], addresses: &[IpAddr]) -> Vec<u8> {
        let mut records = Vec::new();
        let mut owner = self.name.as_str();
        for alias in aliases {
            records.push(record(owner, CNAME, &wire(alias)));
            owner = alias;
        }
        for address in addresses {
            match address {
                IpAddr::V4(v4) if self.kind == A => records.push(record(owner, A, &v4.octets())),
                IpAddr::V6(v6) if self.kind == AAAA => {
                    records.push(record(owner, AAAA, &v6.octets()));
                }
                _ => {}
            }
        }
        self.packet(0x8180, &records)
    }

    fn packet(&self, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(records.len()).expect("a few records");
        let mut packet = self.id.to_vec();
        for number in [flags, 1, count, 0, 0] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend(wire(&self.name));
        packet.extend(self.kind.to_be_bytes());
        packet.extend(INTERNET);
        packet.extend(records.concat());
        packet
    }
}

/// The class of all questions and answers here.
const INTERNET: [u8; 2] = [0, 1];

/// A record that nobody may keep (RFC 1035 section 4.1.3).
fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a short record");
    let mut record = wire(owner);
    record.extend(kind.to_be_bytes());
    record.extend(INTERNET);
    record.extend([0; 4]);
    record.extend(length.to_be_bytes());
    record.extend(data);
    record
}

/// A name as its labels, each behind its length.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("a label"));
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}
