//! What becomes of webhooks, as the API shows it.

use serde_json::{Value, json};

use super::server::{Server, text};
use super::wait::eventually;

impl Server {
    /// A run of the probe `two` with this webhook, and its only delivery once that has ended.
    pub async fn delivery_to(&self, webhook: &str) -> Value {
        let run = self.run_with(webhook).await;
        eventually("the delivery's end", async || {
            let delivery = self.delivery_of(&run).await;
            (delivery.is_object() && delivery["status"] != "pending").then_some(delivery)
        })
        .await
    }

    /// The same once so many attempts are recorded.
    pub async fn delivery_tried(&self, webhook: &str, attempts: usize) -> Value {
        let run = self.run_with(webhook).await;
        eventually("attempts of the delivery", async || {
            let delivery = self.delivery_of(&run).await;
            let made = delivery["attempts"].as_array().map_or(0, Vec::len);
            (made >= attempts).then_some(delivery)
        })
        .await
    }

    async fn run_with(&self, webhook: &str) -> Value {
        let body = json!({
            "assistant_id": "two", "input": {"foo": "x"}, "webhook": webhook, "on_completion": "keep",
        });
        self.post_json("/runs", &body).await
    }

    async fn delivery_of(&self, run: &Value) -> Value {
        let path = format!("/runs/{}/deliveries", text(&run["run_id"]));
        self.get_json(&path).await[0].clone()
    }
}
