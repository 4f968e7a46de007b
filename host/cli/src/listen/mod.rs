//! `selvedge webhooks listen`: a receiver on loopback that prints what arrives and answers badly on purpose.
//!
//! | module | job |
//! |---|---|
//! | `ledger` | which deliveries were seen, and how often: the only state |
//! | `signature` | whether a delivery is signed by a secret that the listener knows |
//! | `show` | one delivery as lines for people, or as one line of JSON |

mod ledger;
mod show;
mod signature;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use selvedge_model::Timestamp;
use selvedge_webhook::signing::Secret;
use tokio::net::TcpListener;

use crate::args::{GivenSecret, ListenArgs};
use crate::config::Problems;
use crate::print;
use ledger::Ledger;
use show::Delivery;
use signature::Signature;

/// A stranger's body is not read without end; the default of `webhooks.max_body_bytes` is 1 MiB.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Receives until Ctrl-C, then prints a summary.
pub async fn run(args: ListenArgs) -> Result<()> {
    let secrets = secrets(&args)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| {
            format!(
                "cannot listen on 127.0.0.1:{}; `--port 0` picks a free port",
                args.port
            )
        })?;
    let port = listener.local_addr()?.port();
    let address = format!("http://127.0.0.1:{port}/");
    // Every line of stdout is JSON for whoever asked for JSON, the address included: with `--port 0` it is news.
    if args.json {
        print::line(serde_json::json!({ "listening": address }));
    } else {
        print::line(format_args!("listening on {address}"));
    }
    let receiver = Arc::new(Receiver {
        args,
        secrets,
        ledger: Mutex::default(),
    });
    tokio::select! {
        () = accept(listener, &receiver) => {}
        () = interrupted() => {}
    }
    let summary = receiver.ledger().summary();
    if receiver.args.json {
        print::note(summary);
    } else {
        print::line(summary);
    }
    Ok(())
}

/// The secrets, or all that is wrong with them.
fn secrets(args: &ListenArgs) -> Result<Vec<Secret>, Problems> {
    let mut secrets = Vec::new();
    let mut problems = Problems::default();
    for GivenSecret(secret) in &args.secrets {
        match secret {
            Ok(secret) => secrets.push(secret.clone()),
            Err(error) => problems.add("--secret, or SELVEDGE_LISTEN_SECRET", error.to_string()),
        }
    }
    problems.into_result(secrets)
}

struct Receiver {
    args: ListenArgs,
    secrets: Vec<Secret>,
    ledger: Mutex<Ledger>,
}

async fn accept(listener: TcpListener, receiver: &Arc<Receiver>) {
    loop {
        // An error is one connection's (it was reset already, or there are no file descriptors left for a moment).
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let receiver = Arc::clone(receiver);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let receiver = Arc::clone(&receiver);
                async move { receiver.answer(request).await }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                print::note(format_args!("a connection broke: {error}"));
            }
        });
    }
}

impl Receiver {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        if request.method() != Method::POST {
            return Ok(response(
                StatusCode::METHOD_NOT_ALLOWED,
                "this address receives webhooks by POST\n",
            ));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
            return Ok(response(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too large, or cut off\n",
            ));
        };
        let mut delivery = Delivery::new(&head, body.to_bytes());
        delivery.attempt = self.ledger().note(delivery.id.as_deref());
        delivery.signature = Signature::of(&self.secrets, &delivery, Timestamp::now());
        let status = match (&delivery.signature, delivery.attempt) {
            (Some(Signature::Missing | Signature::Bad(_)), _) => StatusCode::UNAUTHORIZED,
            (_, Some(attempt)) if attempt <= self.args.fail => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        };
        delivery.answer = status.as_u16();
        if self.args.json {
            print::line(delivery.json());
        } else {
            print::line(delivery.text(self.args.full));
        }
        // The delivery is printed first: it has arrived, however long the answer takes.
        tokio::time::sleep(self.args.delay).await;
        Ok(response(status, ""))
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn response(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// Ctrl-C, or SIGTERM as scripts send it.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
