//! A gate that holds runs while a test looks: the probe `effects` waits at it until the test opens it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::model::{Model, Reply};
use super::{Setup, eventually};

/// Answers that are not finished yet; `None` once the gate is open.
type Held = Option<Vec<UnboundedSender<String>>>;

pub struct Gate {
    model: Model,
    held: Arc<Mutex<Held>>,
}

impl Gate {
    pub async fn closed() -> Self {
        let held = Arc::new(Mutex::new(Some(Vec::new())));
        let holding = held.clone();
        let model =
            Model::behaving(
                move |_, _| match &mut *holding.lock().expect("not poisoned") {
                    Some(held) => {
                        let (sender, pieces) = unbounded_channel();
                        held.push(sender);
                        Reply::live(pieces)
                    }
                    None => Reply::pieces([]),
                },
            )
            .await;
        Self { model, held }
    }

    /// Lets everything through that waits, and everything that comes.
    pub fn open(&self) {
        *self.held.lock().expect("not poisoned") = None;
    }

    /// Holds what comes from now on.
    pub fn close(&self) {
        *self.held.lock().expect("not poisoned") = Some(Vec::new());
    }

    /// How many tasks wait here.
    pub fn waiting(&self) -> usize {
        let held = self.held.lock().expect("not poisoned");
        held.as_ref().map_or(0, Vec::len)
    }

    /// What is to be called to wait here.
    pub fn url(&self) -> String {
        format!("http://{}/", self.model.address)
    }

    /// Waits until so many tasks have come to the gate.
    pub async fn holds(&self, tasks: usize) {
        eventually(&format!("{tasks} tasks at the gate"), async || {
            (self.held() >= tasks).then_some(())
        })
        .await;
    }

    /// How many tasks have come so far.
    pub fn held(&self) -> usize {
        self.model.asked().len()
    }

    /// A server of `effects` and of these probes.
    pub fn setup(&self, probes: &[&str]) -> Setup {
        let probes = [probes, &["effects"]].concat();
        let port = self.model.address.port();
        Setup::probes(&probes).set(
            "egress",
            json!({"allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [port]}),
        )
    }

    /// A run that waits at the gate.
    pub fn run(&self) -> Value {
        json!({"assistant_id": "effects", "input": {"counter": self.url()}})
    }
}
