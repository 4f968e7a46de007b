//! `hoard`: asks the host for sockets and for timers, as many as it gets, and keeps them all; says how many sockets it has.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Hoard {
    /// More timers than any honest graph needs, when given; otherwise sockets.
    timers: Option<u64>,
    sockets: Option<usize>,
}

pub fn graph() -> StateGraph<Hoard> {
    let node = |state: Hoard, _: &Context| {
        match state.timers {
            Some(count) => keep_timers(count),
            None => return Ok(Hoard::update().sockets(keep_sockets())),
        }
        Ok(Hoard::update())
    };
    StateGraph::new()
        .node("hoard", node)
        .edge(START, "hoard")
        .edge("hoard", END)
}

#[cfg(target_arch = "wasm32")]
fn keep_timers(count: u64) {
    const YEAR_NANOS: u64 = 365 * 24 * 3_600 * 1_000_000_000;
    let timers: Vec<_> = (0..count)
        .map(|_| wasip2::clocks::monotonic_clock::subscribe_duration(YEAR_NANOS))
        .collect();
    std::hint::black_box(timers);
}

/// Beyond what any process may open, so that only a refusal ends it.
#[cfg(target_arch = "wasm32")]
fn keep_sockets() -> usize {
    use wasip2::sockets::network::IpAddressFamily::Ipv4;
    use wasip2::sockets::{tcp_create_socket, udp_create_socket};
    const MOST: usize = 1 << 20;
    let tcp = (0..MOST).map_while(|_| tcp_create_socket::create_tcp_socket(Ipv4).ok());
    let udp = (0..MOST).map_while(|_| udp_create_socket::create_udp_socket(Ipv4).ok());
    let hoard = (tcp.collect::<Vec<_>>(), udp.collect::<Vec<_>>());
    hoard.0.len() + hoard.1.len()
}

#[cfg(not(target_arch = "wasm32"))]
fn keep_timers(_: u64) {}

#[cfg(not(target_arch = "wasm32"))]
fn keep_sockets() -> usize {
    0
}
