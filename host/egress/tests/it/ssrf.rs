//! The list of URL spellings that a strict policy refuses: each by the gate that is named beside it, alone, and by
//! some gate from end to end.

use std::net::IpAddr;

use selvedge_egress::domain::DomainRule;
use selvedge_egress::gate::name::Scope;
use selvedge_egress::gate::{address, connect, name, raw, shape};
use selvedge_egress::{ClientOptions, EgressError, Gate, Policy, PolicyOptions};
use url::{Host, Url};

use crate::support::{Script, Server, client, ok, open_loopback, resolving, send};

/// What a hostile name server would say.
const INSIDE: [&str; 2] = ["8.8.8.8", "127.0.0.1"];

#[derive(Debug)]
struct Row {
    url: String,
    gate: String,
}

/// The two tables: what a strict policy has to refuse, and more of the same.
fn rows() -> Vec<Row> {
    let tables = [
        include_str!("../data/ssrf.tsv"),
        include_str!("../data/spellings.tsv"),
    ];
    let rows: Vec<Row> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .flat_map(|line| {
            let mut columns = line.split('\t');
            let (url, gate) = (columns.next().unwrap(), columns.next().unwrap());
            both_readings(url).into_iter().map(|url| Row {
                url,
                gate: gate.to_owned(),
            })
        })
        .collect();
    assert!(rows.len() > 600, "{} rows", rows.len());
    rows
}

/// `\n` in a table is a backslash and a letter, and stands for the character too; both must be refused.
fn both_readings(url: &str) -> Vec<String> {
    let escapes = [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t")];
    let unescaped = escapes
        .iter()
        .fold(url.to_owned(), |url, (escape, character)| {
            url.replace(escape, character)
        });
    let mut readings = vec![url.to_owned(), unescaped];
    readings.dedup();
    readings
}

fn raw_refuses(url: &str) -> bool {
    raw::check(url, 2048).is_err()
        || Url::parse(url).is_ok_and(|parsed| raw::reads_back(url, &parsed).is_err())
}

fn shape_refuses(url: &str) -> bool {
    let rules = shape::Rules {
        require_https: true,
        allowed_ports: vec![443],
        other_ports: false,
    };
    shape::parse(url)
        .and_then(|parsed| shape::check(&parsed, &rules))
        .is_err()
}

fn name_refuses(url: &str) -> bool {
    let rules = address::Rules::default();
    match Url::parse(url).unwrap().host().unwrap() {
        Host::Domain(host) => name::check(host, &name::Rules::default()).is_err(),
        Host::Ipv4(host) => connect::literal(host.into(), &rules).is_err(),
        Host::Ipv6(host) => connect::literal(host.into(), &rules).is_err(),
    }
}

fn address_refuses(url: &str) -> bool {
    let rules = address::Rules::default();
    match Url::parse(url).unwrap().host().unwrap() {
        Host::Domain(_) => {
            let answers: Vec<IpAddr> = INSIDE.iter().map(|text| text.parse().unwrap()).collect();
            connect::resolved(&answers, Scope::Public, &rules).is_err()
        }
        Host::Ipv4(host) => address::check(host.into(), &rules).is_err(),
        Host::Ipv6(host) => address::check(host.into(), &rules).is_err(),
    }
}

#[test]
fn every_row_is_refused_by_its_own_gate_alone() {
    let is_admitted = |Row { url, gate }: &Row| match gate.as_str() {
        "raw text" => !raw_refuses(url),
        "shape" => !shape_refuses(url),
        "name" => !name_refuses(url),
        "address" => !address_refuses(url),
        // These need a connection: see below.
        "connect" | "response" => false,
        other => panic!("unknown gate {other}"),
    };
    let admitted: Vec<Row> = rows().into_iter().filter(is_admitted).collect();
    assert!(admitted.is_empty(), "{admitted:#?}");
}

/// The gates in the order in which a URL passes them.
fn order(gate: &str) -> usize {
    let gates = [
        Gate::RawText,
        Gate::Shape,
        Gate::Name,
        Gate::Address,
        Gate::Connect,
        Gate::Response,
    ];
    let found = gates.iter().position(|other| other.as_str() == gate);
    found.unwrap_or_else(|| panic!("unknown gate {gate}"))
}

#[tokio::test]
async fn every_row_is_refused_end_to_end_by_its_gate_or_one_before_it() {
    for require_https in [true, false] {
        let options = PolicyOptions {
            require_https,
            allowed_ports: if require_https {
                vec![443]
            } else {
                vec![80, 443]
            },
            ..PolicyOptions::webhooks()
        };
        let client = client(&options, &resolving(Script::new(&[&INSIDE])));
        for Row { url, gate } in rows() {
            // Plain http is what this row is about.
            if url == "http://hooks.example.com/" && !require_https {
                continue;
            }
            let refusal = match client.policy().check_url(&url) {
                Err(refusal) => refusal,
                Ok(target) => match send(&client, &url).await {
                    Err(EgressError::Refused(refusal)) => refusal,
                    other => panic!("{gate}: {target}: {other:?}"),
                },
            };
            let refused_by = refusal.gate.as_str();
            assert!(
                order(refused_by) <= order(&gate),
                "{gate}: {url}: {refused_by}: {refusal}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_is_rebound_between_two_connections_is_refused_at_the_second() {
    let server = Server::start(async |request: crate::support::ServerRequest| {
        let mut answer = ok("one");
        // No connection is kept, so that the second request has to connect.
        answer
            .headers_mut()
            .insert("connection", "close".parse().unwrap());
        drop(request);
        answer
    })
    .await;
    for Row { url, .. } in rows().into_iter().filter(|row| row.gate == "connect") {
        let name = Url::parse(&url).unwrap().host_str().unwrap().to_owned();
        let script = Script::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
        let client = client(&open_loopback(), &resolving(script));
        let url = server.url_as(&name, "/");
        let first = send(&client, &url).await.unwrap();
        assert_eq!(crate::support::text(first).await, "one");
        let Err(EgressError::Refused(refusal)) = send(&client, &url).await else {
            panic!("{url} was not refused");
        };
        assert_eq!(refusal.gate, Gate::Address);
    }
}

#[tokio::test]
async fn answers_that_redirect_swell_or_do_not_end_stay_within_bounds() {
    const BOMB: &[u8] = b"\x1f\x8b\x08\x00 not unpacked";
    let inside = Server::start(async |_| ok("secret")).await;
    let location = inside.url("/latest/meta-data");
    let server = Server::start(move |request: crate::support::ServerRequest| {
        let location = location.clone();
        async move {
            let mut answer = ok("");
            match request.uri().path() {
                "/redirect-307-to-metadata" => {
                    *answer.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
                }
                "/redirect-308-to-attacker" => {
                    *answer.status_mut() = http::StatusCode::PERMANENT_REDIRECT;
                }
                "/gzip-bomb" => {
                    answer = ok(BOMB);
                    answer
                        .headers_mut()
                        .insert("content-encoding", "gzip".parse().unwrap());
                }
                _ => answer = ok(vec![0; 1 << 20]),
            }
            answer
                .headers_mut()
                .insert("location", location.parse().unwrap());
            answer
        }
    })
    .await;
    let options = PolicyOptions {
        allowed_domains: vec!["allowed.example".to_owned()],
        ..open_loopback()
    };
    let limited = ClientOptions {
        max_response_bytes: 1000,
        ..resolving(Script::new(&[&["127.0.0.1"]]))
    };
    let client = client(&options, &limited);
    for Row { url, .. } in rows().into_iter().filter(|row| row.gate == "response") {
        let path = Url::parse(&url).unwrap().path().to_owned();
        let mut answer = send(&client, &server.url_as("allowed.example", &path))
            .await
            .unwrap();
        let mut bytes = Vec::new();
        let read = answer.body.read_at_most(1 << 30, &mut bytes).await;
        match path.as_str() {
            "/gzip-bomb" => assert_eq!(bytes, BOMB),
            "/10GiB-body" => assert!(matches!(
                read,
                Err(EgressError::BodyTooLarge { limit: 1000 })
            )),
            _ => assert!(answer.status.is_redirection()),
        }
    }
    assert_eq!(inside.connections(), 0);
}

#[test]
fn no_spelling_of_a_closed_address_is_admitted_as_a_name_or_number() {
    let policy = Policy::new(&PolicyOptions {
        require_https: false,
        ..PolicyOptions::webhooks()
    })
    .unwrap();
    proptest::proptest!(|(number in proptest::prelude::any::<u32>(), form in 0..6_usize)| {
        let [a, b, c, d] = number.to_be_bytes();
        let host = match form {
            0 => format!("{number}"),
            1 => format!("{number:#x}"),
            2 => format!("0{a:o}.{b}.{c}.{d}"),
            3 => format!("{a}.{}", number & 0xff_ffff),
            4 => format!("{a:#x}.{b}.{c}.{d}"),
            _ => format!("{a}.{b}.{c}.{d}"),
        };
        let (url, literal) = (format!("http://{host}/"), format!("{a}.{b}.{c}.{d}"));
        proptest::prop_assert!(policy.check_url(&url).is_err());
        proptest::prop_assert!(DomainRule::parse(&literal).is_err());
    });
}
