//! Graphs that try to leave the sandbox. `reach` tries every way to files, sockets, processes and the environment that
//! std and WASI have, and returns what came of each. `exit` asks the host to end the process.

use std::collections::BTreeMap;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// An address where somebody listens: `127.0.0.1:4711`.
    address: Option<String>,
    /// An absolute path that exists on the host.
    path: Option<String>,
    /// What came of each attempt: `refused: …`, or what was got.
    attempts: Option<BTreeMap<String, String>>,
}

pub fn reach() -> StateGraph<Reach> {
    let node = |state: Reach, _: &Context| {
        let (address, path) = (
            state.address.unwrap_or_default(),
            state.path.unwrap_or_default(),
        );
        let mut attempts = through_std(&address, &path);
        attempts.extend(through_wasi(&address));
        Ok(Reach::update().attempts(attempts))
    };
    StateGraph::new()
        .node("reach", node)
        .edge(START, "reach")
        .edge("reach", END)
}

pub fn exit() -> StateGraph<Reach> {
    StateGraph::new()
        .node("exit", |_: Reach, _: &Context| {
            end_the_process();
            Ok(Reach::update())
        })
        .edge(START, "exit")
        .edge("exit", END)
}

type Attempts = BTreeMap<String, String>;

fn outcome<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(got) => format!("got {got:?}"),
        Err(error) => format!("refused: {error:?}"),
    }
}

fn through_std(address: &str, path: &str) -> Attempts {
    use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
    use std::{env, fs, process, thread};

    let child = process::Command::new("/bin/true").spawn();
    let names = "localhost:80"
        .to_socket_addrs()
        .map(Iterator::collect::<Vec<_>>);
    [
        ("std read file", outcome(fs::read(path))),
        ("std write file", outcome(fs::write(path, "mine"))),
        ("std remove file", outcome(fs::remove_file(path))),
        ("std make directory", outcome(fs::create_dir("here"))),
        (
            "std list directory",
            outcome(fs::read_dir("/").map(Iterator::count)),
        ),
        ("std variable", outcome(env::var("PATH"))),
        ("std current directory", outcome(env::current_dir())),
        ("std connect", outcome(TcpStream::connect(address))),
        ("std listen", outcome(TcpListener::bind("127.0.0.1:0"))),
        ("std datagram", outcome(UdpSocket::bind("127.0.0.1:0"))),
        ("std resolve", outcome(names)),
        ("std process", outcome(child.map(|child| child.id()))),
        ("std thread", outcome(thread::Builder::new().spawn(|| ()))),
    ]
    .map(|(name, outcome)| (name.to_owned(), outcome))
    .into()
}

#[cfg(target_arch = "wasm32")]
fn through_wasi(address: &str) -> Attempts {
    use wasip2::cli::{environment, terminal_stdin};
    use wasip2::filesystem::preopens::get_directories;
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use wasip2::sockets::{tcp_create_socket, udp_create_socket};

    /// What a list holds; an empty one is a refusal.
    fn listed<T: std::fmt::Debug>(items: Vec<T>) -> String {
        outcome(if items.is_empty() {
            Err("empty")
        } else {
            Ok(items)
        })
    }

    let network = instance_network();
    let peer: Option<std::net::SocketAddrV4> = address.parse().ok();
    let peer = peer.map(|peer| Ipv4SocketAddress {
        port: peer.port(),
        address: peer.ip().octets().into(),
    });
    let to = |address| IpSocketAddress::Ipv4(address);
    let any = to(Ipv4SocketAddress {
        port: 0,
        address: (127, 0, 0, 1),
    });
    let family = IpAddressFamily::Ipv4;
    let tcp = || tcp_create_socket::create_tcp_socket(family);
    let udp = || udp_create_socket::create_udp_socket(family);
    let directories = get_directories().into_iter().map(|(_, name)| name);
    let connected = peer.map(|peer| {
        let socket = tcp()?;
        socket.start_connect(&network, to(peer))?;
        socket.subscribe().block();
        socket.finish_connect().map(|_| ())
    });
    let sent = peer.map(|peer| {
        let socket = udp()?;
        socket.start_bind(&network, any)?;
        socket.finish_bind()?;
        socket.stream(Some(to(peer))).map(|_| ())
    });
    let listening = tcp().and_then(|socket| {
        socket.start_bind(&network, any)?;
        socket.finish_bind()
    });
    let name = resolve_addresses(&network, "localhost").and_then(|addresses| {
        addresses.subscribe().block();
        addresses.resolve_next_address()
    });
    [
        ("wasi directories", listed(directories.collect())),
        ("wasi variables", listed(environment::get_environment())),
        ("wasi arguments", listed(environment::get_arguments())),
        (
            "wasi current directory",
            outcome(environment::initial_cwd().ok_or("none")),
        ),
        (
            "wasi terminal",
            outcome(terminal_stdin::get_terminal_stdin().ok_or("none")),
        ),
        ("wasi connect", outcome(connected.unwrap_or(Ok(())))),
        ("wasi datagram", outcome(sent.unwrap_or(Ok(())))),
        ("wasi listen", outcome(listening)),
        ("wasi resolve", outcome(name)),
    ]
    .map(|(name, outcome)| (name.to_owned(), outcome))
    .into()
}

#[cfg(not(target_arch = "wasm32"))]
fn through_wasi(_: &str) -> Attempts {
    Attempts::new()
}

#[cfg(target_arch = "wasm32")]
fn end_the_process() {
    wasip2::cli::exit::exit(Ok(()));
}

#[cfg(not(target_arch = "wasm32"))]
fn end_the_process() {}
