//! A connection without a client on it, for what no client does.

use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use super::Server;
use super::wait::PATIENCE;

/// Connects.
pub async fn connect(server: &Server) -> TcpStream {
    connect_from(Ipv4Addr::LOCALHOST, server).await
}

/// Connects from one of the many addresses of this machine.
pub async fn connect_from(own: Ipv4Addr, server: &Server) -> TcpStream {
    let address = server.base.strip_prefix("http://").expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    // The system takes as little as it may into its own buffer.
    socket
        .set_recv_buffer_size(4 << 10)
        .expect("a small buffer");
    socket.bind((own, 0).into()).expect("an own address");
    let address = address.parse().expect("an address");
    socket.connect(address).await.expect("a connection")
}

/// What comes until the server closes.
pub async fn rest_of(mut connection: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let reading = connection.read_to_end(&mut rest);
    let read = tokio::time::timeout(PATIENCE, reading).await;
    // A connection that is reset has ended as well.
    let _ = read.expect("the server closes the connection");
    rest
}
