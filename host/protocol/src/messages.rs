//! Messages that come in pieces: blocks that begin, grow and finish.
//!
//! A piece is LangChain's `AIMessageChunk`, whose content is text or a list of blocks, and which may hold pieces of tool
//! calls. The protocol tells of each block when it begins, of what is added to it, and all of them, whole, when the
//! message is finished. A message that comes whole is told of in the state alone, as LangGraph does it.

use selvedge_model::Json;
use serde::Deserialize;
use serde_json::json;

/// What is remembered of the messages that are open at once. A task's output is bounded by less than that unless the
/// operator allows more.
const MOST_OPEN_BYTES: usize = 32 << 20;

/// What is told of a message.
#[derive(Debug)]
pub(crate) struct Told {
    /// The node that makes it.
    pub(crate) node: Option<String>,
    pub(crate) data: Json,
}

/// The messages of a run that have begun and are not finished.
#[derive(Default)]
pub(crate) struct Messages {
    open: Vec<Message>,
    bytes: usize,
}

struct Message {
    namespace: String,
    id: String,
    node: Option<String>,
    /// Its node may be at work on several tasks at once: everything that is told of it says which message it is about.
    shares_its_node: bool,
    blocks: Vec<Block>,
    usage: Option<Json>,
}

struct Block {
    kind: Kind,
    /// As pieces count it.
    index: Option<Json>,
    so_far: String,
}

enum Kind {
    Text,
    Reasoning,
    ToolCall {
        id: Option<String>,
        name: String,
    },
    /// One that comes whole.
    Other(Json),
}

#[derive(Deserialize)]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    #[serde(default)]
    content: Option<Json>,
    #[serde(default)]
    tool_call_chunks: Option<Vec<ToolPiece>>,
    #[serde(default)]
    usage_metadata: Option<Json>,
    #[serde(default)]
    chunk_position: Option<String>,
}

#[derive(Deserialize)]
struct ToolPiece {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    args: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    index: Option<Json>,
}

#[derive(Deserialize)]
struct BlockPiece {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    index: Option<Json>,
}

#[derive(Default, Deserialize)]
struct Origin {
    #[serde(default)]
    langgraph_node: Option<String>,
    #[serde(default)]
    langgraph_path: Vec<Json>,
}

impl Messages {
    /// A piece with where it comes from, `[message, metadata]`.
    pub(crate) fn piece(&mut self, namespace: &str, data: &Json) -> Vec<Told> {
        let Ok((piece, origin)) = data.decode::<(Piece, Json)>() else {
            return Vec::new();
        };
        let Some(id) = piece
            .id
            .as_deref()
            .filter(|_| piece.kind == "AIMessageChunk")
        else {
            return Vec::new();
        };
        let is_it = |open: &Message| open.namespace == namespace && open.id == id;
        let mut told = Vec::new();
        let at = match self.open.iter().position(is_it) {
            Some(at) => at,
            None => {
                let message = Message::new(namespace, id, &origin);
                told.push(message.told(
                    json!({"event": "message-start", "role": "ai", "id": id}),
                    false,
                ));
                self.open.push(message);
                self.open.len() - 1
            }
        };
        self.bytes += data.len();
        if self.bytes > MOST_OPEN_BYTES {
            told.extend(self.give_up("this message is too long to be shown piece by piece"));
            return told;
        }
        let several = self.open.len() > 1;
        let message = &mut self.open[at];
        for data in message.grow(&piece) {
            told.push(message.told(data, several));
        }
        if piece.chunk_position.as_deref() == Some("last") {
            let message = self.open.remove(at);
            told.extend(message.finish(several));
            self.forget_when_all_are_finished();
        }
        told
    }

    /// Finishes the messages of a graph whose step has ended: nothing more comes of them.
    pub(crate) fn finish(&mut self, namespace: &str) -> Vec<Told> {
        self.finish_those(|message| message.namespace == namespace)
    }

    pub(crate) fn finish_all(&mut self) -> Vec<Told> {
        self.finish_those(|_| true)
    }

    /// What has been told of them is no longer true.
    pub(crate) fn give_up(&mut self, why: &str) -> Vec<Told> {
        self.bytes = 0;
        let several = self.open.len() > 1;
        let given_up = self.open.drain(..);
        given_up
            .map(|message| message.told(json!({"event": "error", "message": why}), several))
            .collect()
    }

    fn finish_those(&mut self, which: impl Fn(&Message) -> bool) -> Vec<Told> {
        let several = self.open.len() > 1;
        let mut told = Vec::new();
        for message in self.open.extract_if(.., |message| which(message)) {
            told.extend(message.finish(several));
        }
        self.forget_when_all_are_finished();
        told
    }

    fn forget_when_all_are_finished(&mut self) {
        if self.open.is_empty() {
            self.bytes = 0;
        }
    }
}

impl Message {
    fn new(namespace: &str, id: &str, origin: &Json) -> Self {
        let origin: Origin = origin.decode().unwrap_or_default();
        let pushed = origin.langgraph_path.first().map(Json::as_str) == Some("\"__pregel_push\"");
        Self {
            namespace: namespace.to_owned(),
            id: id.to_owned(),
            node: origin.langgraph_node,
            shares_its_node: pushed,
            blocks: Vec::new(),
            usage: None,
        }
    }

    /// The clients route by `run_id` and by `id`, where there are several messages to choose from.
    fn told(&self, mut data: serde_json::Value, several: bool) -> Told {
        if let Some(members) = data.as_object_mut() {
            if self.shares_its_node {
                members.insert("run_id".to_owned(), json!(self.id));
            }
            if self.shares_its_node || several {
                members.insert("id".to_owned(), json!(self.id));
            }
        }
        Told {
            node: self.node.clone(),
            data: Json::from(data),
        }
    }

    fn grow(&mut self, piece: &Piece) -> Vec<serde_json::Value> {
        let mut told = Vec::new();
        if let Some(content) = &piece.content {
            if let Ok(text) = content.decode::<String>() {
                self.add_text(&text, &mut told);
            }
            for block in content.items().unwrap_or_default() {
                self.add_block(&block, &mut told);
            }
        }
        for call in piece.tool_call_chunks.iter().flatten() {
            self.add_call(call, &mut told);
        }
        if let Some(usage) = piece
            .usage_metadata
            .as_ref()
            .filter(|usage| usage.is_object())
        {
            self.usage = Some(usage.clone());
        }
        told
    }

    fn add_text(&mut self, text: &str, told: &mut Vec<serde_json::Value>) {
        if text.is_empty() {
            return;
        }
        let known = self
            .blocks
            .iter()
            .position(|b| matches!(b.kind, Kind::Text) && b.index.is_none());
        let at = known.unwrap_or_else(|| self.begin(Kind::Text, None, told));
        self.blocks[at].so_far.push_str(text);
        told.push(delta(at, &json!({"type": "text-delta", "text": text})));
    }

    fn add_block(&mut self, block: &Json, told: &mut Vec<serde_json::Value>) {
        let Ok(piece) = block.decode::<BlockPiece>() else {
            return;
        };
        let (kind, text, change) = match (piece.kind.as_str(), piece.text, piece.reasoning) {
            ("text", Some(text), _) => {
                let change = json!({"type": "text-delta", "text": text});
                (Kind::Text, text, change)
            }
            ("reasoning", _, Some(text)) => {
                let change = json!({"type": "reasoning-delta", "reasoning": text});
                (Kind::Reasoning, text, change)
            }
            // Told of as tool calls.
            ("tool_call_chunk" | "tool_call" | "tool_use" | "input_json_delta", ..) => return,
            _ => {
                self.begin(Kind::Other(block.clone()), piece.index, told);
                return;
            }
        };
        let same = |known: &Block| {
            std::mem::discriminant(&known.kind) == std::mem::discriminant(&kind)
                && known.index.as_ref().map(Json::as_str) == piece.index.as_ref().map(Json::as_str)
        };
        let at = match self.blocks.iter().position(same) {
            Some(at) => at,
            None => self.begin(kind, piece.index.clone(), told),
        };
        self.blocks[at].so_far.push_str(&text);
        told.push(delta(at, &change));
    }

    fn add_call(&mut self, piece: &ToolPiece, told: &mut Vec<serde_json::Value>) {
        let index = piece.index.clone().unwrap_or_default();
        let is_call = |known: &Block| {
            matches!(known.kind, Kind::ToolCall { .. })
                && known.index.as_ref().map(Json::as_str) == Some(index.as_str())
        };
        let at = match self.blocks.iter().rposition(is_call) {
            Some(at) => at,
            None => {
                let kind = Kind::ToolCall {
                    id: piece.id.clone(),
                    name: piece.name.clone().unwrap_or_default(),
                };
                self.begin(kind, Some(index), told)
            }
        };
        if let Some(args) = piece.args.as_deref().filter(|args| !args.is_empty()) {
            self.blocks[at].so_far.push_str(args);
            told.push(delta(at, &json!({"type": "tool-call-delta", "args": args})));
        }
    }

    fn begin(
        &mut self,
        kind: Kind,
        index: Option<Json>,
        told: &mut Vec<serde_json::Value>,
    ) -> usize {
        let at = self.blocks.len();
        let content = match &kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Reasoning => json!({"type": "reasoning", "reasoning": ""}),
            Kind::ToolCall { id, name } => {
                let mut call =
                    json!({"type": "tool_call_chunk", "id": id, "name": name, "args": ""});
                if let Some(index) = index.as_ref().filter(|index| !index.is_null()) {
                    call["index"] = index.to_value();
                }
                call
            }
            Kind::Other(block) => block.to_value(),
        };
        told.push(json!({"event": "content-block-start", "index": at, "content": content}));
        self.blocks.push(Block {
            kind,
            index,
            so_far: String::new(),
        });
        at
    }

    fn finish(self, several: bool) -> Vec<Told> {
        let finished = self.blocks.iter().enumerate().map(|(at, block)| {
            let data =
                json!({"event": "content-block-finish", "index": at, "content": block.whole()});
            self.told(data, several)
        });
        let mut told: Vec<Told> = finished.collect();
        let mut end = json!({"event": "message-finish"});
        if let Some(usage) = &self.usage {
            end["usage"] = usage.to_value();
        }
        told.push(self.told(end, several));
        told
    }
}

impl Block {
    fn whole(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Text => json!({"type": "text", "text": self.so_far}),
            Kind::Reasoning => json!({"type": "reasoning", "reasoning": self.so_far}),
            Kind::Other(block) => block.to_value(),
            Kind::ToolCall { id, name } => {
                let args = if self.so_far.is_empty() {
                    "{}"
                } else {
                    &self.so_far
                };
                match Json::parse(args) {
                    Ok(args) if args.is_object() => {
                        json!({"type": "tool_call", "id": id, "name": name, "args": args.to_value()})
                    }
                    _ => json!({
                        "type": "invalid_tool_call", "id": id, "name": name, "args": self.so_far,
                        "error": "the arguments are no JSON object",
                    }),
                }
            }
        }
    }
}

fn delta(index: usize, delta: &serde_json::Value) -> serde_json::Value {
    json!({"event": "content-block-delta", "index": index, "delta": delta})
}
