//! Requests that a web page made a browser send, where nobody has to say who they are.
//!
//! Two ways lead from a page on the internet to a server on its reader's machine. The page sends requests across origins
//! and does not care for the answers (CSRF): browsers name the page's `Origin`, or say in `Sec-Fetch-Site` that it is another's. Or
//! the page's own name begins to mean this machine (DNS rebinding): then nothing is across origins any more, and `Host`
//! still has the page's name. Addresses cannot be rebound, so that any address may stand there.

use std::net::{IpAddr, Ipv6Addr};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tower_http::cors::AllowOrigin;

use crate::Options;

/// LangGraph's studio, a page that `selvedge dev` is looked at with.
const STUDIO: [&str; 2] = [
    "https://smith.langchain.com",
    "https://eu.smith.langchain.com",
];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whose pages may call.
#[derive(Clone, Debug)]
pub(crate) struct Visitors {
    origins: Origins,
    /// `None`: a request is believed for its credentials, and not for where it comes from.
    hosts: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
enum Origins {
    Any,
    /// Those of this machine, and these.
    Named(Vec<String>),
}

impl Visitors {
    pub(crate) fn new(options: &Options, authenticated: bool) -> Self {
        let listed = |origins: &[String]| match origins.iter().any(|origin| origin == "*") {
            true => Origins::Any,
            false => Origins::Named(origins.iter().map(|origin| origin.to_lowercase()).collect()),
        };
        let origins = match &options.allowed_origins {
            Some(origins) => listed(origins),
            None if authenticated => Origins::Any,
            None if options.development => Origins::Named(STUDIO.map(str::to_owned).to_vec()),
            None => Origins::Named(Vec::new()),
        };
        let hosts = options.allowed_hosts.iter().map(|host| host.to_lowercase());
        Self {
            origins,
            hosts: (!authenticated).then(|| hosts.collect()),
        }
    }

    /// Why a request is not answered, if it is not.
    pub(crate) fn refuse(&self, request: &Parts) -> Option<String> {
        let hosts = self.hosts.as_ref()?;
        let headers = &request.headers;
        // A request without one was not sent by a browser.
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let host = match request.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => host.map(|host| std::str::from_utf8(host).unwrap_or_default()),
        };
        if let Some(host) = host
            && !may_be_called(host, hosts)
        {
            return Some(format!(
                "Host {host:?} is not this server's: name it in http.allowed_hosts if it is"
            ));
        }
        let may_call = match headers.get(header::ORIGIN) {
            Some(origin) => self.allows(origin) || is_own(origin, host),
            None => !is_across_sites(headers),
        };
        (!may_call).then(|| {
            "A page of another origin may not call this server: name the origin in http.cors.allow_origins if it may"
                .to_owned()
        })
    }

    /// Whether a page of this origin may read answers.
    fn allows(&self, origin: &HeaderValue) -> bool {
        let Origins::Named(named) = &self.origins else {
            return true;
        };
        let origin = origin.to_str().unwrap_or_default().to_lowercase();
        named.contains(&origin) || authority(&origin).is_some_and(is_loopback)
    }

    /// The same, for the headers that tell browsers.
    pub(crate) fn cors(&self) -> AllowOrigin {
        match self.origins {
            Origins::Any => AllowOrigin::any(),
            Origins::Named(_) => {
                let visitors = self.clone();
                AllowOrigin::predicate(move |origin, _| visitors.allows(origin))
            }
        }
    }
}

/// Pictures, frames and scripts of another site, or of another name of the same one, which browsers send without an
/// `Origin` when they only read. A link that somebody follows is none of them.
fn is_across_sites(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    let is_link = says(FETCH_MODE, "navigate") && says(FETCH_DEST, "document");
    (says(FETCH_SITE, "cross-site") || says(FETCH_SITE, "same-site")) && !is_link
}

/// Whether the page is this server's own, on a host that may be called.
fn is_own(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().unwrap_or_default().to_lowercase();
    let own = authority(&origin).zip(host);
    own.is_some_and(|(origin, host)| origin == host.to_lowercase())
}

fn authority(origin: &str) -> Option<&str> {
    let http = origin.strip_prefix("http://");
    http.or_else(|| origin.strip_prefix("https://"))
}

fn may_be_called(host: &str, named: &[String]) -> bool {
    let name = without_port(host).to_lowercase();
    let is_named = named
        .iter()
        .any(|allowed| allowed == "*" || *allowed == name);
    is_named || address(&name).is_some() || is_local_name(&name)
}

fn is_loopback(authority: &str) -> bool {
    let name = without_port(authority);
    match address(name) {
        Some(address) => address.is_loopback(),
        None => is_local_name(name),
    }
}

/// Names that mean this machine everywhere.
fn is_local_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn address(name: &str) -> Option<IpAddr> {
    let in_brackets = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    match in_brackets {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok(),
    }
}

fn without_port(authority: &str) -> &str {
    let (name, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    match port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => name,
        // The last colon is inside the brackets of an address.
        false => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors(authenticated: bool, change: impl FnOnce(&mut Options)) -> Visitors {
        let mut options = Options::default();
        change(&mut options);
        Visitors::new(&options, authenticated)
    }

    fn passes(visitors: &Visitors, headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::builder().uri("/runs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (request, ()) = request.body(()).unwrap().into_parts();
        visitors.refuse(&request).is_none()
    }

    #[test]
    fn a_host_is_an_address_or_a_name_that_nobody_else_can_have() {
        let visitors = visitors(false, |options| {
            options.allowed_hosts = vec!["Agents.internal".to_owned()];
        });
        for host in [
            "localhost",
            "localhost:8123",
            "LOCALHOST:1",
            "a.localhost:8123",
            "127.0.0.1:8123",
            "10.1.2.3",
            "[::1]:8123",
            "[fe80::1]",
            "agents.internal",
            "agents.Internal:80",
        ] {
            assert!(passes(&visitors, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8123",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "sub.agents.internal",
            "",
            "127.1",
            "2130706433",
        ] {
            assert!(!passes(&visitors, &[("host", host)]), "{host}");
        }
        assert!(passes(&visitors, &[]));
    }

    #[test]
    fn a_page_calls_from_this_machine_or_from_a_configured_origin() {
        let named = visitors(false, |options| {
            options.allowed_origins = Some(vec!["https://ui.example".to_owned()]);
        });
        let host = ("host", "127.0.0.1:8123");
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "https://[::1]:3000",
            "https://ui.example",
            "HTTPS://UI.example",
        ] {
            assert!(passes(&named, &[host, ("origin", origin)]), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example:3000",
            "https://ui.example.evil.example",
            "http://ui.example",
            "https://ui.example:444",
            "file://",
            "http://10.0.0.1",
        ] {
            assert!(!passes(&named, &[host, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn what_a_page_of_another_site_loads_without_an_origin_is_refused_and_a_link_is_not() {
        let visitors = visitors(false, |_| {});
        let navigate = ("sec-fetch-mode", "navigate");
        for site in ["cross-site", "same-site"] {
            let site = ("sec-fetch-site", site);
            assert!(!passes(&visitors, &[site, ("sec-fetch-mode", "no-cors")]));
            let link = [site, navigate, ("sec-fetch-dest", "document")];
            assert!(passes(&visitors, &link));
            for frame in ["iframe", "frame", "object", "embed"] {
                let frame = [site, navigate, ("sec-fetch-dest", frame)];
                assert!(!passes(&visitors, &frame));
            }
        }
        let own = ("sec-fetch-site", "same-origin");
        assert!(passes(&visitors, &[own, ("sec-fetch-mode", "cors")]));
        // Node's `fetch` says so much and no more.
        assert!(passes(&visitors, &[("sec-fetch-mode", "cors")]));
    }

    #[test]
    fn a_page_of_the_server_itself_calls_it_under_whatever_name_it_has() {
        let visitors = visitors(false, |options| {
            options.allowed_hosts = vec!["agents.internal".to_owned()];
        });
        let own = [
            ("host", "agents.internal:80"),
            ("origin", "http://agents.internal:80"),
        ];
        assert!(passes(&visitors, &own));
        let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
        assert!(!passes(&visitors, &rebound));
    }

    #[test]
    fn only_dev_lets_the_studio_in() {
        let studio = [("host", "localhost"), ("origin", STUDIO[0])];
        assert!(!passes(&visitors(false, |_| {}), &studio));
        assert!(passes(
            &visitors(false, |options| options.development = true),
            &studio
        ));
    }

    #[test]
    fn with_credentials_it_does_not_matter_where_a_request_comes_from() {
        let visitors = visitors(true, |_| {});
        let from_anywhere = [
            ("host", "agents.example"),
            ("origin", "https://evil.example"),
        ];
        assert!(passes(&visitors, &from_anywhere));
        assert!(visitors.allows(&HeaderValue::from_static("https://ui.example")));
    }
}
