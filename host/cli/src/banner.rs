//! What a server says when it is ready: where it is, what it serves, what the operator has opened.

use std::net::SocketAddr;
use std::time::Duration;

use selvedge_egress::Mode as PolicyMode;

use crate::config::Config;
use crate::print;
use crate::serve::Mode;

/// Says that the server is ready.
pub fn show(config: &Config, mode: Mode, address: SocketAddr, took: Duration) {
    let graphs: Vec<&str> = config
        .graphs
        .iter()
        .map(|graph| graph.id.as_str())
        .collect();
    print::line(format_args!(
        "Selvedge {}, ready in {} ms\n",
        env!("CARGO_PKG_VERSION"),
        took.as_millis()
    ));
    let scheme = match config.http.tls {
        Some(_) => "https",
        None => "http",
    };
    print::line(format_args!("  API     {scheme}://{address}"));
    print::line(format_args!("  Graphs  {}", graphs.join(", ")));
    print::line(format_args!("  Data    {}", config.storage.path.display()));
    if mode == Mode::Dev {
        for warning in opened(config) {
            print::warning(warning);
        }
        print::line(try_it(
            scheme,
            address,
            graphs.first().copied().unwrap_or("agent"),
        ));
    }
}

/// What is open that is closed by default.
fn opened(config: &Config) -> Vec<String> {
    let url = &config.webhooks.url;
    let rules = [
        (
            !url.disable_loopback,
            "webhooks may go to this machine (webhooks.url.disable_loopback: false)",
        ),
        (
            !url.disable_private_ips,
            "webhooks may go to private networks (webhooks.url.disable_private_ips: false)",
        ),
        (
            !url.require_https,
            "webhooks may go over plain http (webhooks.url.require_https: false)",
        ),
        (
            url.mode == PolicyMode::Report,
            "what https, ports and domains of webhooks break is only reported (webhooks.url.mode: report)",
        ),
        (
            !url.allowed_networks.is_empty(),
            "webhooks may go to the networks in webhooks.url.allowed_networks",
        ),
        (
            !config.egress.policy.require_https,
            "graphs may call over plain http (egress.require_https: false)",
        ),
        (
            !config.egress.policy.allowed_networks.is_empty(),
            "graphs may call the networks in egress.allowed_networks",
        ),
    ];
    rules
        .into_iter()
        .filter(|(open, _)| *open)
        .map(|(_, text)| text.to_owned())
        .collect()
}

fn try_it(scheme: &str, address: SocketAddr, graph: &str) -> String {
    format!(
        "\nTry it:\n\n  curl -s {scheme}://{address}/runs/wait --json \\\n    '{{\"assistant_id\": \"{graph}\", \
         \"input\": {{\"messages\": [{{\"role\": \"user\", \"content\": \"hello\"}}]}}}}'\n"
    )
}
