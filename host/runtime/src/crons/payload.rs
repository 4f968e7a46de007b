//! What a cron asks of its runs: what is kept of the body that a caller sent, and the run that it comes to.

use std::time::Duration;

use selvedge_model::cron::{Cron, OnRunCompleted};
use selvedge_model::run::{Breakpoints, Durability, MultitaskStrategy, StreamMode};
use selvedge_model::{AssistantId, CronId, Json};
use serde::Deserialize;

use super::CronRefusal;
use crate::Shared;
use crate::admit::assemble::{
    CRON_ID, Members, RESERVED_CONFIGURABLE, is_given, members, without, without_reserved,
};
use crate::admit::request::{AssistantRef, CreateRun, Place};
use crate::assistants::ConfigurableAndContext;

/// Refuses a webhook that the policy does not allow, in what a caller sent.
pub(super) fn check_webhook(shared: &Shared, body: &Json) -> Result<(), CronRefusal> {
    let webhook = members(body).swap_remove("webhook");
    let Some(url) = webhook.and_then(|json| json.decode::<String>().ok()) else {
        return Ok(());
    };
    let webhooks = &shared.webhooks;
    webhooks.would_accept(&url).map_err(CronRefusal::Webhook)
}

/// Refuses a `configurable` beside a context: no run could be made of the two.
pub(super) fn check_context(body: &Json) -> Result<(), CronRefusal> {
    let body = without_nulls(members(body));
    let configurable = body.get("config").map(configurable_of);
    let asked = configurable.is_some_and(|asked| asked.keys().any(|name| name != CRON_ID));
    if asked && is_given(body.get("context").filter(|context| context.is_object())) {
        return Err(ConfigurableAndContext.into());
    }
    Ok(())
}

/// What is kept of the body of a new cron: its members, the assistant by its id, and the cron's own id for the graph.
pub(super) fn kept(body: &Json, cron: CronId, assistant: AssistantId) -> Json {
    let mut payload = cleaned(members(body));
    let assistant = Json::string(&assistant.to_string());
    payload.insert("assistant_id".into(), assistant);
    with_cron_id(payload, cron)
}

/// The payload after a change: each member that was sent takes the place of the old one. A cron stays with its
/// assistant.
pub(super) fn merged(seen: &Cron, body: &Json) -> Json {
    let body = members(body);
    // The one member of which `null` says something.
    let endless = body.get("end_time").is_some_and(Json::is_null);
    let mut added = cleaned(body);
    added.shift_remove("assistant_id");
    if endless {
        added.insert("end_time".into(), Json::null());
    }
    let mut payload = members(&seen.payload);
    payload.extend(added);
    with_cron_id(payload, seen.cron_id)
}

/// The members of both, those of `later` winning.
pub(super) fn shallow(earlier: &Json, later: &Json) -> Json {
    let mut both = members(earlier);
    both.extend(members(later));
    Json::object(&both)
}

/// A body without what is not for callers to set; a member that is `null` is one that is not there.
fn cleaned(body: Members) -> Members {
    let mut body = without_nulls(body);
    if let Some(metadata) = body.get_mut("metadata") {
        *metadata = without_reserved(metadata);
    }
    if let Some(context) = body.get_mut("context") {
        *context = Json::object(&without(members(context), &RESERVED_CONFIGURABLE));
    }
    body
}

fn without_nulls(mut members: Members) -> Members {
    members.retain(|_, member| !member.is_null());
    members
}

fn with_cron_id(mut payload: Members, cron: CronId) -> Json {
    let config = payload.get("config").map_or_else(Members::new, members);
    let mut config = without_nulls(config);
    let mut configurable = without(
        configurable_of(&Json::object(&config)),
        &RESERVED_CONFIGURABLE,
    );
    configurable.shift_remove(CRON_ID);
    configurable.insert(CRON_ID.into(), Json::string(&cron.to_string()));
    config.insert("configurable".into(), Json::object(&configurable));
    payload.insert("config".into(), Json::object(&config));
    Json::object(&payload)
}

fn configurable_of(config: &Json) -> Members {
    let mut config = members(config);
    let configurable = config.shift_remove("configurable");
    configurable.and_then(|c| c.members()).unwrap_or_default()
}

/// What of a payload makes a run.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    input: Option<Json>,
    #[serde(default)]
    metadata: Option<Json>,
    #[serde(default)]
    config: Option<Json>,
    #[serde(default)]
    context: Option<Json>,
    #[serde(default)]
    webhook: Option<String>,
    #[serde(default)]
    interrupt_before: Option<Breakpoints>,
    #[serde(default)]
    interrupt_after: Option<Breakpoints>,
    #[serde(default)]
    stream_mode: Option<OneOrMore>,
    #[serde(default)]
    stream_subgraphs: Option<bool>,
    #[serde(default)]
    stream_resumable: Option<bool>,
    /// Whatever, unless the cron is on a thread.
    #[serde(default)]
    multitask_strategy: Option<Json>,
    #[serde(default)]
    durability: Option<Durability>,
    /// The older name for it.
    #[serde(default)]
    checkpoint_during: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(StreamMode),
    More(Vec<StreamMode>),
}

/// The run that a due time of a cron makes.
pub(super) fn run_of(cron: &Cron) -> serde_json::Result<CreateRun> {
    let asked: Asked = cron.payload.decode()?;
    let strategy = asked
        .multitask_strategy
        .filter(|_| cron.thread_id.is_some());
    let place = match cron.thread_id {
        Some(id) => Place::Thread { id, create: false },
        None => Place::Stateless {
            keep: cron.on_run_completed == Some(OnRunCompleted::Keep),
        },
    };
    let during = match asked.checkpoint_during {
        Some(false) => Durability::Exit,
        _ => Durability::default(),
    };
    let empty = || Json::object::<&str>([]);
    let mut config = asked.config.unwrap_or_else(empty);
    // A run has either. What stands here beside a context is the cron's own id.
    if is_given(asked.context.as_ref()) {
        config = Json::object(&without(members(&config), &["configurable"]));
    }
    Ok(CreateRun {
        assistant: AssistantRef::Id(cron.assistant_id),
        place,
        input: asked.input,
        command: None,
        answers: Vec::new(),
        checkpoint_id: None,
        metadata: shallow(&cron.metadata, &asked.metadata.unwrap_or_else(empty)),
        config,
        context: asked.context,
        webhook: asked.webhook,
        interrupt_before: asked.interrupt_before,
        interrupt_after: asked.interrupt_after,
        stream_mode: match asked.stream_mode {
            Some(OneOrMore::One(mode)) => vec![mode],
            Some(OneOrMore::More(modes)) => modes,
            None => vec![StreamMode::Values],
        },
        stream_subgraphs: asked.stream_subgraphs.unwrap_or(false),
        stream_resumable: asked.stream_resumable.unwrap_or(false),
        event_protocol: false,
        feedback_keys: None,
        tracer: None,
        multitask_strategy: match strategy {
            Some(strategy) => strategy.decode()?,
            None => MultitaskStrategy::default(),
        },
        after: Duration::ZERO,
        durability: asked.durability.unwrap_or(during),
        cancel_on_disconnect: false,
        request_id: None,
        cron_id: Some(cron.cron_id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    fn cron(body: &str) -> Cron {
        let (cron_id, assistant_id) = (CronId::new(), AssistantId::default_of("two"));
        let now = selvedge_model::Timestamp::from_micros(0);
        Cron {
            cron_id,
            assistant_id,
            thread_id: None,
            user_id: String::new(),
            end_time: None,
            schedule: String::new(),
            timezone: None,
            payload: kept(&json(body), cron_id, assistant_id),
            next_run_date: None,
            metadata: json("{}"),
            on_run_completed: Some(OnRunCompleted::Delete),
            enabled: true,
            created_at: now,
            updated_at: now,
            catch_up: selvedge_model::cron::CatchUp::One,
            last_error: None,
        }
    }

    #[test]
    fn a_payload_that_was_accepted_makes_a_run_whatever_is_null_in_it() {
        for body in [
            "{}",
            r#"{"config":null,"context":null,"metadata":null,"input":null,"stream_mode":null}"#,
            r#"{"config":{"configurable":null,"metadata":null,"tags":null},"webhook":null}"#,
            r#"{"context":{},"multitask_strategy":7,"stream_mode":["values","updates"]}"#,
        ] {
            let cron = cron(body);
            let run = run_of(&cron).unwrap();
            let mut config = members(&run.config);
            let configurable = config.shift_remove("configurable").unwrap();
            assert!(configurable.as_str().contains(&cron.cron_id.to_string()));
            assert!(config.values().all(|part| !part.is_null()), "{body}");
            assert_eq!(run.cron_id, Some(cron.cron_id));
        }
    }

    #[test]
    fn beside_a_context_there_is_no_configurable() {
        let run = run_of(&cron(r#"{"context":{"a":1},"config":{"tags":["t"]}}"#)).unwrap();
        assert_eq!(run.context, Some(json(r#"{"a":1}"#)));
        assert_eq!(run.config, json(r#"{"tags":["t"]}"#));
    }

    #[test]
    fn the_older_name_of_durability_means_the_same() {
        for (body, durability) in [
            (r#"{"checkpoint_during":false}"#, Durability::Exit),
            (r#"{"checkpoint_during":true}"#, Durability::Async),
            (
                r#"{"checkpoint_during":false,"durability":"sync"}"#,
                Durability::Sync,
            ),
        ] {
            assert_eq!(run_of(&cron(body)).unwrap().durability, durability);
        }
    }

    #[test]
    fn members_that_are_changed_are_replaced_and_the_assistant_stays() {
        let seen = cron(r#"{"input":{"a":1},"config":{"tags":["t"]},"end_time":"x"}"#);
        let merged = merged(
            &seen,
            &json(r#"{"input":{"b":1},"config":{},"end_time":null,"assistant_id":"other","m":1}"#),
        );
        let expected = format!(
            r#"{{"input":{{"b":1}},"config":{{"configurable":{{"cron_id":"{}"}}}},"end_time":null,"assistant_id":"{}","m":1}}"#,
            seen.cron_id, seen.assistant_id
        );
        assert_eq!(merged.as_str(), expected);
    }
}
