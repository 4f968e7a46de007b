//! The tools: one for each assistant that the caller may use. Calling one runs it without a thread.

use std::sync::Arc;

use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use selvedge_model::assistant::Assistant;
use selvedge_model::run::RunStatus;
use selvedge_model::{Caller, Json};
use selvedge_runtime::hub::{Ending, Finished};
use selvedge_runtime::{AssistantRef, CreateRun, Place};
use selvedge_storage::{AssistantQuery, AssistantSort};

use crate::error::ApiError;
use crate::routes::Edge;
use crate::waiting;

/// Tools on one page.
const PAGE: u32 = 100;
/// How many pages of assistants are looked through for one whose tool has a certain name.
const MOST_PAGES: u32 = 10;
/// The protocol's bound on the length of a tool's name.
const LONGEST_NAME: usize = 128;

/// What came with the request beside the protocol's part of it.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) edge: Arc<Edge>,
    pub(super) caller: Caller,
    pub(super) request_id: String,
    /// As they were sent: numbers keep all their digits.
    pub(super) arguments: Option<Json>,
}

/// Answers the protocol's questions.
#[derive(Clone, Copy)]
pub(super) struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        if let Some(tools) = &mut capabilities.tools {
            // Nobody is connected who could be told.
            tools.list_changed = Some(false);
        }
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("Selvedge", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let Asked { edge, caller, .. } = asked(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        let offset = match cursor {
            Some(cursor) => cursor.parse().map_err(|_| {
                ErrorData::invalid_params(format!("Invalid cursor: {cursor}"), None)
            })?,
            None => 0,
        };
        let query = query(None, PAGE, offset);
        let found = edge.reads.search_assistants(&caller.scope, query).await;
        let found = found.map_err(ApiError::from)?;
        let mut tools = Vec::with_capacity(found.rows.len());
        for assistant in &found.rows {
            tools.push(tool(edge, assistant).await);
        }
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = found.more.then(|| (offset + PAGE).to_string());
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let asked = asked(&context)?;
        let assistant = named(asked, &request.name).await?;
        let accepted = asked
            .edge
            .runtime
            .create_run(&asked.caller, run(&assistant, asked))
            .await
            .map_err(ApiError::from)?;
        let ending = tokio::select! {
            ending = accepted.stream.ended() => ending,
            // Nobody waits any more, and there is nowhere else to read what the run will give: it goes.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("The call was cancelled", None));
            }
        };
        match ending {
            Ending::Finished(finished) => Ok(result(&finished).into()),
            Ending::Released => Err(ErrorData::internal_error(
                "The server is shutting down",
                None,
            )),
        }
    }
}

fn asked(context: &RequestContext<RoleServer>) -> Result<&Asked, ErrorData> {
    let head = context.extensions.get::<Parts>();
    let asked = head.and_then(|head| head.extensions.get::<Asked>());
    asked.ok_or_else(|| ErrorData::internal_error("Internal error", None))
}

impl From<ApiError> for ErrorData {
    fn from(error: ApiError) -> Self {
        let code = match error.status().is_server_error() {
            true => ErrorCode::INTERNAL_ERROR,
            false => ErrorCode::INVALID_PARAMS,
        };
        Self::new(code, error.detail().to_owned(), None)
    }
}

fn query(name: Option<String>, limit: u32, offset: u32) -> AssistantQuery {
    AssistantQuery {
        metadata: None,
        graph_id: None,
        name,
        sort_by: AssistantSort::CreatedAt,
        descending: true,
        limit,
        offset,
    }
}

async fn tool(edge: &Edge, assistant: &Assistant) -> Tool {
    // One whose graph is not there, or cannot be built, fails when it is called.
    let graph = edge.runtime.graph_of_assistant(assistant).await.ok();
    let schema = graph.and_then(|graph| {
        let input = graph.part.graph.description().schemas.input.as_ref()?;
        input.decode::<JsonObject>().ok()
    });
    let mut schema = schema.unwrap_or_default();
    // The protocol wants it, and LangGraph's schemas of a single list or text do not say it.
    schema
        .entry("type")
        .or_insert_with(|| serde_json::Value::from("object"));
    let description = match assistant.description.as_deref() {
        Some(description) if !description.is_empty() => description.to_owned(),
        _ => format!("Tool based on the {} assistant", assistant.name),
    };
    Tool::new(tool_name(assistant), description, schema)
        .with_title(&assistant.name)
        .with_annotations(ToolAnnotations::from_raw(
            None,
            Some(false),
            Some(false),
            Some(false),
            Some(true),
        ))
}

/// What the tool of an assistant is called: the assistant's name, without what may not stand in a tool's. One of which
/// nothing is left has its id.
fn tool_name(assistant: &Assistant) -> String {
    let words = assistant.name.split_whitespace().map(|word| {
        let kept = word.chars().filter(|letter| is_kept(*letter));
        kept.collect::<String>()
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("_");
    name.truncate(LONGEST_NAME);
    match name.is_empty() {
        true => assistant.assistant_id.to_string(),
        false => name,
    }
}

fn is_kept(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// The assistant whose tool is called so. Mostly that is its own name, by which storage finds it; of the others, whose
/// tools are called a little differently, some are looked through.
async fn named(asked: &Asked, name: &str) -> Result<Assistant, ErrorData> {
    let found = match bearers(asked, name, Some(name.to_owned())).await? {
        found if found.is_empty() => bearers(asked, name, None).await?,
        found => found,
    };
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(assistant), None) => Ok(assistant),
        (Some(_), Some(_)) => Err(ErrorData::invalid_params(
            "Multiple tools found with the same name.",
            None,
        )),
        (None, _) => Err(ErrorData::invalid_params(
            format!("Unknown tool: {name}"),
            None,
        )),
    }
}

/// The assistants whose tools are called so, among those whose names have this in them.
async fn bearers(
    asked: &Asked,
    name: &str,
    part: Option<String>,
) -> Result<Vec<Assistant>, ErrorData> {
    let mut bearers = Vec::new();
    for page in 0..MOST_PAGES {
        let query = query(part.clone(), PAGE, page * PAGE);
        let found = asked
            .edge
            .reads
            .search_assistants(&asked.caller.scope, query)
            .await
            .map_err(ApiError::from)?;
        let rows = found.rows.into_iter();
        bearers.extend(rows.filter(|assistant| tool_name(assistant) == name));
        if !found.more {
            break;
        }
    }
    Ok(bearers)
}

fn run(assistant: &Assistant, asked: &Asked) -> CreateRun {
    let empty = || Json::object::<&str>([]);
    CreateRun {
        input: Some(asked.arguments.clone().unwrap_or_else(empty)),
        // What nobody reads need not be made.
        cancel_on_disconnect: true,
        ..CreateRun::new(
            AssistantRef::Id(assistant.assistant_id),
            Place::Stateless { keep: false },
            asked.request_id.clone(),
        )
    }
}

/// The values as JSON, or why there are none.
fn result(finished: &Finished) -> CallToolResult {
    if finished.status == RunStatus::Success {
        let values = waiting::values_of(finished);
        let mut result = CallToolResult::success(vec![ContentBlock::text(values.as_str())]);
        // As LangGraph does, nothing is said of what is not so.
        result.is_error = None;
        return result;
    }
    let why = match &finished.error {
        Some(error) => format!("{}: {}", error.kind, error.message),
        None => format!("The run ended as {}", finished.status.as_str()),
    };
    CallToolResult::error(vec![ContentBlock::text(why)])
}
