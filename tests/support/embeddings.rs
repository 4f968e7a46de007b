//! A server that speaks OpenAI's embeddings: the vector of a text says which words are in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use super::model::{Model, Reply};

/// Numbers of a vector.
pub const DIMS: usize = 8;

/// No text with this word in it has a vector, as long as the server refuses it.
pub const UNEMBEDDABLE: &str = "unembeddable";

/// A running one; it stops with the test.
pub struct Embeddings {
    model: Model,
    /// What every request is answered with; 200: vectors.
    status: Arc<AtomicU16>,
    /// What [`UNEMBEDDABLE`] is answered with.
    refusal: Arc<AtomicU16>,
}

impl Embeddings {
    pub async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let refusal = Arc::new(AtomicU16::new(400));
        let (says, refuses) = (status.clone(), refusal.clone());
        let model = Model::behaving(move |asked, _| {
            let texts = texts(&asked.body);
            let status = match says.load(Ordering::SeqCst) {
                200 if texts.iter().any(|text| text.contains(UNEMBEDDABLE)) => {
                    refuses.load(Ordering::SeqCst)
                }
                status => status,
            };
            match status {
                200 => vectors(&texts),
                status => Reply::error(status, "as the test says"),
            }
        })
        .await;
        Self {
            model,
            status,
            refusal,
        }
    }

    /// What it answers from now on.
    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// From now on every text has a vector.
    pub fn refuses_nothing(&self) {
        self.refusal.store(200, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.model.address)
    }

    /// `store.index` of a server that embeds here.
    pub fn index(&self) -> Value {
        json!({"dims": DIMS, "embed": "openai:words", "url": self.url(), "api_key": "${{ env.EMBEDDINGS_KEY }}"})
    }

    /// What it was asked: path, key and body.
    pub fn asked(&self) -> Vec<(String, String, Value)> {
        let asked = self.model.asked().into_iter();
        let parts = asked.map(|asked| {
            let key = asked.headers.get(http::header::AUTHORIZATION);
            let key = key.map_or("", |key| key.to_str().expect("text"));
            (asked.path, key.to_owned(), asked.body)
        });
        parts.collect()
    }

    /// The texts that it was asked for.
    pub fn texts(&self) -> Vec<String> {
        let asked = self.asked().into_iter();
        asked.flat_map(|(_, _, body)| texts(&body)).collect()
    }
}

fn texts(body: &Value) -> Vec<String> {
    let input = body["input"].as_array().expect("a list").iter();
    input
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

/// Backwards, since only `index` says which is whose.
fn vectors(texts: &[String]) -> Reply {
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
    let body = json!({"object": "list", "model": "words", "data": data, "usage": usage});
    Reply::pieces([body.to_string()])
}

/// How often each word is there; words have an axis by the sum of their bytes.
fn vector(text: &str) -> [f32; DIMS] {
    let mut vector = [0.0; DIMS];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let axis: usize = word.bytes().map(usize::from).sum();
        if !word.is_empty() {
            vector[axis % DIMS] += 1.0;
        }
    }
    vector
}
