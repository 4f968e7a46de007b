//! What a client sends, what it gives back, and where it stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, Method};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use selvedge_egress::{
    Body, ClientOptions, EgressError, Gate, Phase, PolicyOptions, SecretOptions, Secrets, Share,
};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{
    Script, Server, ServerRequest, client, get, ok, open_loopback, resolving, send, text,
};

async fn echo(request: ServerRequest) -> http::Response<crate::support::ServerBody> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Vec<String> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    ok(format!(
        "{} {}\n{}\n\n{}",
        head.method,
        head.uri,
        headers.join("\n"),
        String::from_utf8_lossy(&body)
    ))
}

#[tokio::test]
async fn a_request_arrives_as_it_was_given_and_its_query_untouched() {
    let server = Server::start(echo).await;
    let client = client(&open_loopback(), &ClientOptions::default());
    let mut request = get(&client, &server.url("/a%20b?token='x'&y=%2f"));
    request.method = Method::POST;
    request
        .headers
        .insert("x-team", HeaderValue::from_static("a"));
    request.body = Body::from(b"hello".to_vec());
    let response = client.send(request).await.unwrap();
    assert_eq!(response.address, server.address);
    let text = text(response).await;
    assert!(text.starts_with("POST /a%20b?token='x'&y=%2f\n"), "{text}");
    for part in [
        "x-team: a",
        "content-length: 5",
        &format!("host: {}", server.address),
        "\n\nhello",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // Nothing that asks for compression, nothing that names us.
    assert!(
        !text.contains("accept-encoding") && !text.contains("user-agent"),
        "{text}"
    );
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let server = Server::start(async |request: ServerRequest| {
        let pieces = request
            .into_body()
            .into_data_stream()
            .map(|piece| Ok(Frame::data(piece.unwrap())));
        http::Response::new(StreamBody::new(pieces).boxed_unsync())
    })
    .await;
    let client = client(&open_loopback(), &ClientOptions::default());
    let (more, pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(pieces, async |mut pieces| {
        Some((Ok(pieces.recv().await?), pieces))
    });
    let mut request = get(&client, &server.url("/"));
    request.method = Method::POST;
    request.body = Body::stream(pieces);
    more.send(Bytes::from_static(b"one")).await.unwrap();
    let mut response = client.send(request).await.unwrap();
    // Each piece comes back before the next is sent, so neither side waits for the end of the other.
    assert_eq!(response.body.next().await.unwrap().unwrap(), "one");
    more.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(response.body.next().await.unwrap().unwrap(), "two");
    drop(more);
    assert!(response.body.next().await.is_none());
}

#[tokio::test]
async fn connections_are_kept_and_belong_to_one_client() {
    let server = Server::start(echo).await;
    let one = client(&open_loopback(), &ClientOptions::default());
    for _ in 0..3 {
        text(send(&one, &server.url("/")).await.unwrap()).await;
    }
    assert_eq!(server.connections(), 1);
    let other = client(&open_loopback(), &ClientOptions::default());
    text(send(&other, &server.url("/")).await.unwrap()).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn one_bad_answer_of_the_resolver_refuses_the_name() {
    let server = Server::start(echo).await;
    let script = Script::new(&[&["127.0.0.1", "10.0.0.1"]]);
    let client = client(&open_loopback(), &resolving(script));
    let refused = send(&client, &server.url_as("hooks.example.com", "/")).await;
    let Err(EgressError::Refused(refusal)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.gate, Gate::Address);
    assert_eq!(refusal.message, "Webhook host blocked: private IP range");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_target_of_another_policy_is_judged_again() {
    let server = Server::start(echo).await;
    let open = client(&open_loopback(), &ClientOptions::default());
    let closed = client(&PolicyOptions::graphs(), &ClientOptions::default());
    let refused = closed.send(get(&open, &server.url("/"))).await;
    assert!(
        matches!(refused, Err(EgressError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_that_does_not_answer_does_not_hide_one_that_does() {
    let server = Server::start(echo).await;
    // Nobody listens at the first address on this port.
    let script = Script::new(&[&["127.0.0.9", "127.0.0.1"]]);
    let client = client(&open_loopback(), &resolving(script));
    let response = send(&client, &server.url_as("hooks.example.com", "/"))
        .await
        .unwrap();
    assert_eq!(response.address, server.address);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let client = client(&open_loopback(), &resolving(Script::new(&[])));
    let unknown = send(&client, "http://hooks.example.com/").await;
    assert!(
        matches!(unknown, Err(EgressError::Dns { .. })),
        "{unknown:?}"
    );
    let nobody = send(&client, &format!("http://{free}/")).await;
    assert!(
        matches!(nobody, Err(EgressError::Connect { address, .. }) if address == free),
        "{nobody:?}"
    );
    let mut request = get(
        &client,
        &format!("http://{}/", silent.local_addr().unwrap()),
    );
    request.deadline = Instant::now() + Duration::from_millis(200);
    let late = client.send(request).await.unwrap_err();
    assert!(
        matches!(
            late,
            EgressError::Timeout {
                phase: Phase::Answer,
                ..
            }
        ),
        "{late:?}"
    );
    assert_eq!(late.address(), silent.local_addr().ok());
}

#[tokio::test]
async fn a_peer_that_closes_without_an_answer_is_a_protocol_error_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut head)
            .await
            .unwrap();
        assert!(read > 0, "the client sent nothing");
    });
    let client = client(&open_loopback(), &ClientOptions::default());
    let error = send(&client, &format!("http://{address}/?token=secret"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Protocol { .. }), "{error:?}");
    assert_eq!(error.address(), Some(address));
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn the_deadline_holds_for_the_body_too_even_when_it_never_pauses() {
    let server = Server::start(async |_| {
        let endless = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[0; 1024]))));
        http::Response::new(StreamBody::new(endless).boxed_unsync())
    })
    .await;
    let client = client(
        &open_loopback(),
        &ClientOptions {
            max_response_bytes: u64::MAX,
            ..ClientOptions::default()
        },
    );
    let mut request = get(&client, &server.url("/"));
    request.deadline = Instant::now() + Duration::from_millis(300);
    let mut response = client.send(request).await.unwrap();
    let error = loop {
        if let Err(error) = response.body.next().await.unwrap() {
            break error;
        }
    };
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                phase: Phase::Body,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(response.body.next().await.is_none());
}

#[tokio::test]
async fn a_full_client_makes_requests_wait_until_their_deadline() {
    let server = Server::start(echo).await;
    let options = ClientOptions {
        max_concurrent: 1,
        ..ClientOptions::default()
    };
    let client = client(&open_loopback(), &options);
    let held = send(&client, &server.url("/")).await.unwrap();
    let mut request = get(&client, &server.url("/"));
    request.deadline = Instant::now() + Duration::from_millis(100);
    let late = client.send(request).await.unwrap_err();
    assert!(
        matches!(
            late,
            EgressError::Timeout {
                phase: Phase::Slot,
                ..
            }
        ),
        "{late:?}"
    );
    drop(held);
    assert!(send(&client, &server.url("/")).await.is_ok());
}

/// A server whose answers never end.
async fn endless() -> Server {
    Server::start(async |_| {
        let never = stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
        http::Response::new(StreamBody::new(never).boxed_unsync())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_nobody_reads_gives_its_slot_back_at_its_deadline() {
    let (server, neighbour) = (endless().await, Server::start(echo).await);
    let options = ClientOptions {
        max_concurrent: 1,
        ..ClientOptions::default()
    };
    let client = client(&open_loopback(), &options);
    let mut request = get(&client, &server.url("/"));
    request.deadline = Instant::now() + Duration::from_millis(300);
    let mut unread = client.send(request).await.unwrap();
    assert!(send(&client, &neighbour.url("/")).await.is_ok());
    let error = unread.body.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), "timeout");
}

#[tokio::test]
async fn an_answer_that_was_read_to_its_end_gives_its_slot_back_although_it_is_still_held() {
    let server = Server::start(echo).await;
    let options = ClientOptions {
        max_concurrent: 1,
        ..ClientOptions::default()
    };
    let client = client(&open_loopback(), &options);
    let mut read = send(&client, &server.url("/")).await.unwrap();
    while let Some(piece) = read.body.next().await {
        piece.unwrap();
    }
    assert!(send(&client, &server.url("/")).await.is_ok());
    drop(read);
}

#[tokio::test]
async fn who_has_used_up_a_share_waits_and_stands_in_nobody_elses_way() {
    let (server, neighbour) = (endless().await, Server::start(echo).await);
    let options = ClientOptions {
        max_concurrent: 2,
        ..ClientOptions::default()
    };
    let client = client(&open_loopback(), &options);
    let greedy = client.with_share(Share::new(1));
    let _held = send(&greedy, &server.url("/")).await.unwrap();
    let mut waiting = get(&greedy, &server.url("/"));
    waiting.deadline = Instant::now() + Duration::from_millis(300);
    let mut waiting = Box::pin(greedy.send(waiting));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert!(send(&client, &neighbour.url("/")).await.is_ok());
    let late = waiting.await.unwrap_err();
    assert!(
        matches!(
            late,
            EgressError::Timeout {
                phase: Phase::Slot,
                ..
            }
        ),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_secret_reaches_its_own_host_and_no_other() {
    let server = Server::start(echo).await;
    let options = SecretOptions {
        value: "sk-12345".to_owned(),
        hosts: vec!["api.example.com".to_owned()],
    };
    let secrets = Arc::new(Secrets::new([("KEY".to_owned(), options)]).unwrap());
    let placeholder = secrets.placeholders().next().unwrap().1.to_owned();
    let script = Script::new(&[&["127.0.0.1"]]);
    let client = client(&open_loopback(), &resolving(script)).with_secrets(secrets);
    let request = |name| {
        let mut request = get(&client, &server.url_as(name, "/"));
        let value = format!("Bearer {placeholder}");
        request
            .headers
            .insert("authorization", value.parse().unwrap());
        request
    };
    let response = client.send(request("api.example.com")).await.unwrap();
    assert!(
        text(response)
            .await
            .contains("authorization: Bearer sk-12345")
    );
    let connections = server.connections();
    let refused = client.send(request("evil.example.com")).await.unwrap_err();
    assert_eq!(refused.to_string(), "The secret KEY is not for this host");
    assert_eq!(server.connections(), connections);
}

#[tokio::test]
async fn a_host_header_cannot_name_another_host() {
    let server = Server::start(echo).await;
    let client = client(&open_loopback(), &ClientOptions::default());
    let mut request = get(&client, &server.url("/"));
    request
        .headers
        .insert("host", HeaderValue::from_static("internal.example.com"));
    let refused = client.send(request).await.unwrap_err();
    assert_eq!(refused.kind(), "blocked");
    assert_eq!(server.connections(), 0);
}
