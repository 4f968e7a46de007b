//! What Ann has, and what of it each operation is tried with.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::callers::{ANN, Answer};
use crate::support::server::{Server, text};
use crate::support::{Receiver, eventually};

/// In everything that is Ann's, and in nothing else.
pub const SECRET: &str = "mauve-heron";

/// When a cron fires that is not to fire.
const YEARLY: &str = "0 0 1 1 *";

/// What Ann has, by the names that paths have for it.
pub struct Belongings {
    pub assistant: String,
    pub thread: String,
    pub checkpoint: String,
    pub run: String,
    pub delivery: String,
    pub cron: String,
}

impl Belongings {
    pub async fn of_ann(server: &Server, receiver: &Receiver) -> Self {
        let assistant = json!({"graph_id": "two", "name": SECRET, "metadata": {"of": SECRET}, "context": {"of": SECRET}});
        let assistant = ANN.made(server, "/assistants", &assistant).await;
        let assistant = text(&assistant["assistant_id"]).to_owned();
        let thread = json!({"metadata": {"of": SECRET}});
        let thread = ANN.made(server, "/threads", &thread).await;
        let thread = text(&thread["thread_id"]).to_owned();
        let run = json!({
            "assistant_id": assistant, "input": {"foo": SECRET}, "webhook": receiver.url("/"), "metadata": {"of": SECRET},
        });
        let waited = ANN
            .made(server, &format!("/threads/{thread}/runs/wait"), &run)
            .await;
        assert!(waited.to_string().contains(SECRET), "{waited}");
        let runs = ANN
            .get(server, &format!("/threads/{thread}/runs"))
            .await
            .body;
        let run = text(&runs[0]["run_id"]).to_owned();
        let delivery = eventually("a delivery", async || {
            let deliveries = ANN
                .get(server, &format!("/runs/{run}/deliveries"))
                .await
                .body;
            (deliveries[0]["status"] == "exhausted").then(|| deliveries[0].clone())
        });
        let delivery = text(&delivery.await["delivery_id"]).to_owned();
        let state = ANN
            .get(server, &format!("/threads/{thread}/state"))
            .await
            .body;
        let item = json!({"namespace": [SECRET], "key": "k", "value": {"of": SECRET}});
        let put = ANN
            .send(server, Method::PUT, "/store/items", Some(&item))
            .await;
        assert_eq!(put.status, 204);
        let cron = json!({
            "assistant_id": assistant, "schedule": YEARLY, "input": {"foo": SECRET}, "metadata": {"of": SECRET},
        });
        let cron = ANN
            .made(server, &format!("/threads/{thread}/runs/crons"), &cron)
            .await;
        assert_eq!(cron["user_id"], "ann");
        Self {
            assistant,
            thread,
            checkpoint: text(&state["checkpoint"]["checkpoint_id"]).to_owned(),
            run,
            delivery,
            cron: text(&cron["cron_id"]).to_owned(),
        }
    }

    /// Names of what there never was.
    pub fn of_nobody() -> Self {
        let id = || Uuid::now_v7().to_string();
        Self {
            assistant: id(),
            thread: id(),
            checkpoint: id(),
            run: id(),
            delivery: id(),
            cron: id(),
        }
    }

    pub fn path(&self, path: &str) -> String {
        path.replace("{assistant_id}", &self.assistant)
            .replace("{thread_id}", &self.thread)
            .replace("{checkpoint_id}", &self.checkpoint)
            .replace("{run_id}", &self.run)
            .replace("{delivery_id}", &self.delivery)
            .replace("{cron_id}", &self.cron)
            .replace("{namespace}", "none")
    }

    /// A body that would be right, if what it and the path name were the sender's. An operation that is not in here has
    /// no body, or is new: then its answer is a 422, and the test that uses this fails.
    pub fn body(&self, method: &str, path: &str) -> Option<Value> {
        let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
        let run_of_another = json!({"assistant_id": self.assistant, "input": {"foo": "x"}});
        let body = match (method, path) {
            ("patch", _) => json!({"metadata": {"of": "bob"}}),
            (_, "/assistants") => json!({"graph_id": "two", "assistant_id": self.assistant}),
            (_, "/assistants/{assistant_id}/latest") => json!({"version": 1}),
            (_, "/assistants/{assistant_id}/versions") => json!({}),
            (_, "/threads") => json!({"thread_id": self.thread}),
            (_, "/threads/prune") => json!({"thread_ids": [self.thread]}),
            (_, "/threads/{thread_id}/state") => {
                json!({"values": {"foo": "bob"}, "as_node": "a"})
            }
            (_, "/threads/{thread_id}/state/checkpoint") => {
                json!({"checkpoint": {"checkpoint_id": self.checkpoint, "checkpoint_ns": ""}})
            }
            (_, "/threads/{thread_id}/history") => json!({"limit": 10}),
            (_, "/threads/{thread_id}/commands") => {
                json!({"id": 1, "method": "state.get", "params": {"namespace": []}})
            }
            (_, "/threads/{thread_id}/stream/events") => json!({"channels": ["values"]}),
            (_, "/threads/{thread_id}/runs") => run,
            (_, "/threads/{thread_id}/runs/stream") => {
                let mut run = run;
                run["if_not_exists"] = json!("reject");
                run
            }
            (_, "/threads/{thread_id}/runs/wait") => run,
            (_, "/runs" | "/runs/stream" | "/runs/wait") => run_of_another,
            (_, "/runs/crons" | "/threads/{thread_id}/runs/crons") => {
                json!({"assistant_id": self.assistant, "schedule": YEARLY})
            }
            (_, "/runs/batch") => json!([run_of_another]),
            (_, "/runs/cancel") => json!({"thread_id": self.thread, "run_ids": [self.run]}),
            (_, "/webhooks/deliveries/redeliver") => {
                json!({"statuses": ["exhausted"], "since": "2020-01-01T00:00:00Z"})
            }
            ("put", "/store/items") => {
                json!({"namespace": ["of-bob"], "key": "k", "value": {"of": "bob"}})
            }
            ("delete", "/store/items") => json!({"namespace": [SECRET], "key": "k"}),
            (_, "/mcp") => json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
            (_, "/a2a/{assistant_id}") => json!({
                "jsonrpc": "2.0", "id": 1, "method": "message/send",
                "params": {"message": {
                    "role": "user", "messageId": "m", "parts": [{"kind": "data", "data": {"foo": "x"}}],
                }},
            }),
            (_, "/store/items/search") => json!({"namespace_prefix": []}),
            (_, "/store/namespaces") => json!({}),
            (
                _,
                "/assistants/search" | "/assistants/count" | "/threads/search" | "/threads/count"
                | "/runs/crons/search" | "/runs/crons/count",
            ) => json!({"metadata": {"of": SECRET}}),
            _ => return None,
        };
        Some(body)
    }

    /// An answer without what names these things, so that two answers can be compared.
    pub fn without_names(&self, answer: &Answer) -> String {
        let names = [
            &self.assistant,
            &self.thread,
            &self.checkpoint,
            &self.run,
            &self.delivery,
            &self.cron,
        ];
        let text = names
            .into_iter()
            .fold(answer.body.to_string(), |text, name| {
                text.replace(name, "…")
            });
        format!("{} {text}", answer.status)
    }
}
