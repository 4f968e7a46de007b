//! The body of a webhook: the Run object as it ends, then when it ran and what it left.
//!
//! Values stay text: they are copied in and never parsed. The order of the members is LangGraph's; `interrupts`, which
//! LangGraph lacks, comes last. A body above the limit leaves out its large members, `values` first, and says so:
//! `"values_omitted": true` stands in its place.

use selvedge_model::delivery::NewDelivery;
use selvedge_model::run::{Run, RunError, RunKwargs, RunStatus};
use selvedge_model::thread::Interrupt;
use selvedge_model::{DeliveryId, Json, Timestamp};
use serde::Serialize;

use crate::options::Field;

/// A run that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The run; its own `status` is not read.
    pub run: &'a Run,
    /// How it ended.
    pub status: FinalStatus,
    /// When its first execution began; `None`: it ended without having begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The final state, `null` when there is none.
    pub values: &'a Json,
    /// Why it failed.
    pub error: Option<&'a RunError>,
    /// The questions that it stopped at; empty when it did not stop at any.
    pub interrupts: &'a [Interrupt],
}

/// How a run ended, as webhooks say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalStatus {
    /// With a status that the run keeps.
    Run(RunStatus),
    /// Rolled back: the run itself is gone, so this is said nowhere else.
    Rollback,
}

impl FinalStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Run(status) => status.as_str(),
            Self::Rollback => "rollback",
        }
    }
}

impl From<RunStatus> for FinalStatus {
    fn from(status: RunStatus) -> Self {
        Self::Run(status)
    }
}

/// Members that may be large, in the order in which they are left out. What remains is small.
const OMITTABLE: [Field; 5] = [
    Field::Values,
    Field::Kwargs,
    Field::Interrupts,
    Field::Metadata,
    Field::Error,
];

/// What to deliver for a run, or `None` when it has no webhook.
#[must_use]
pub fn delivery(
    ended: &Ended<'_>,
    allowed: Option<&[Field]>,
    max_body_bytes: usize,
) -> Option<NewDelivery> {
    let url = ended.run.kwargs.webhook.clone()?;
    let members = members(ended);
    let mut body = Body::write(&members, allowed, &[]);
    for omitted in 1..=OMITTABLE.len() {
        if body.bytes.len() <= max_body_bytes {
            break;
        }
        body = Body::write(&members, allowed, &OMITTABLE[..omitted]);
    }
    Some(NewDelivery {
        id: DeliveryId::new(),
        run_id: ended.run.run_id,
        thread_id: ended.run.thread_id,
        url,
        body: body.bytes,
        sent_at_offset: body.sent_at_offset,
        created_at: ended.ended_at,
    })
}

/// A member: `None` for the one that cannot be named in `allowed_fields`, and its name and value.
type Member = (Option<Field>, &'static str, String);

fn members(ended: &Ended<'_>) -> Vec<Member> {
    let run = ended.run;
    let member = |field: Field, value: String| (Some(field), field.as_str(), value);
    let mut members = vec![
        member(Field::RunId, text(&run.run_id)),
        member(Field::ThreadId, text(&run.thread_id)),
        member(Field::AssistantId, text(&run.assistant_id)),
        member(Field::Metadata, run.metadata.to_string()),
        member(Field::Status, text(ended.status.as_str())),
        member(Field::Kwargs, text(&without_user(&run.kwargs))),
        member(Field::MultitaskStrategy, text(&run.multitask_strategy)),
        member(Field::CreatedAt, text(&run.created_at)),
        // The run changes last when it ends.
        member(Field::UpdatedAt, text(&ended.ended_at)),
        (None, "langsmith_session_name", "null".to_owned()),
        member(Field::RunStartedAt, text(&ended.started_at)),
        member(Field::RunEndedAt, text(&ended.ended_at)),
        // Written anew on each attempt; any time does here, since all are equally long.
        member(Field::WebhookSentAt, text(&ended.ended_at)),
        member(Field::Values, ended.values.to_string()),
    ];
    if let Some(error) = ended.error {
        members.push(member(Field::Error, text(error)));
    }
    if !ended.interrupts.is_empty() {
        members.push(member(Field::Interrupts, text(ended.interrupts)));
    }
    members
}

/// JSON of plain data, which always has one.
fn text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

struct Body {
    bytes: Vec<u8>,
    sent_at_offset: Option<u32>,
}

impl Body {
    fn write(members: &[Member], allowed: Option<&[Field]>, omitted: &[Field]) -> Self {
        let mut body = Self {
            bytes: vec![b'{'],
            sent_at_offset: None,
        };
        for (field, name, value) in members {
            let is_allowed =
                |allowed: &[Field]| field.is_some_and(|field| allowed.contains(&field));
            if !allowed.is_none_or(is_allowed) {
                continue;
            }
            if field.is_some_and(|field| omitted.contains(&field)) {
                body.member(&format!("{name}_omitted"), "true");
                continue;
            }
            body.member(name, value);
            if *field == Some(Field::WebhookSentAt) {
                // Behind the opening quote of the value that was just written.
                body.sent_at_offset = u32::try_from(body.bytes.len() - value.len() + 1).ok();
            }
        }
        body.bytes.push(b'}');
        body
    }

    fn member(&mut self, name: &str, value: &str) {
        if self.bytes.len() > 1 {
            self.bytes.push(b',');
        }
        for part in ["\"", name, "\":", value] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }
}

/// What an authenticator knows of a user stays in the host: only the identity goes out.
fn without_user(kwargs: &RunKwargs) -> RunKwargs {
    let mut kwargs = kwargs.clone();
    if let Some(mut config) = kwargs.config.members()
        && let Some(configurable) = config.get_mut("configurable")
    {
        *configurable = reduced(configurable);
        kwargs.config = Json::object(&config);
    }
    kwargs.context = reduced(&kwargs.context);
    kwargs
}

const AUTH_USER: &str = "langgraph_auth_user";

fn reduced(object: &Json) -> Json {
    let Some(mut members) = object.members() else {
        return object.clone();
    };
    let Some(user) = members.get_mut(AUTH_USER) else {
        return object.clone();
    };
    if !user.is_null() {
        let identity = user
            .members()
            .and_then(|user| user.get("identity").cloned());
        *user = Json::object([("identity", &identity.unwrap_or_default())]);
    }
    Json::object(&members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_model::run::{Durability, MultitaskStrategy, StreamMode};
    use selvedge_model::{AssistantId, RunId, ThreadId, delivery::stamp};
    use serde_json::Value;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(1_795_315_794_000_000 + micros)
    }

    fn run() -> Run {
        let json = |text: &str| Json::parse(text).unwrap();
        Run {
            run_id: RunId::new(),
            thread_id: ThreadId::new(),
            assistant_id: AssistantId::default_of("two"),
            metadata: json(r#"{"created_by":"system"}"#),
            status: RunStatus::Running,
            kwargs: RunKwargs {
                input: json(r#"{"foo":"x"}"#),
                command: None,
                config: json(
                    r#"{"tags":[],"configurable":{"a":1,"langgraph_auth_user":{"identity":"ann","secret_token":"t-ann"}}}"#,
                ),
                context: json("{}"),
                stream_mode: vec![StreamMode::Values],
                interrupt_before: None,
                interrupt_after: None,
                webhook: Some("https://hooks.example.com/?token=t".to_owned()),
                feedback_keys: None,
                temporary: false,
                subgraphs: false,
                resumable: false,
                event_protocol: false,
                checkpoint_during: true,
                durability: Durability::Async,
            },
            multitask_strategy: MultitaskStrategy::Enqueue,
            created_at: at(0),
            updated_at: at(3),
        }
    }

    fn ended<'a>(run: &'a Run, values: &'a Json) -> Ended<'a> {
        Ended {
            run,
            status: RunStatus::Success.into(),
            started_at: Some(at(1)),
            ended_at: at(2),
            values,
            error: None,
            interrupts: &[],
        }
    }

    fn names(delivery: &NewDelivery) -> Vec<String> {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        body.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_members_stand_in_langgraphs_order() {
        let (run, values) = (run(), Json::parse(r#"{"log":["a","b"]}"#).unwrap());
        let delivery = delivery(&ended(&run, &values), None, 1 << 20).unwrap();
        let expected = "run_id, thread_id, assistant_id, metadata, status, kwargs, multitask_strategy, created_at, \
                        updated_at, langsmith_session_name, run_started_at, run_ended_at, webhook_sent_at, values";
        assert_eq!(names(&delivery).join(", "), expected);
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(body["status"], "success");
        assert_eq!(body["values"]["log"][1], "b");
        assert_eq!(
            body["kwargs"]["webhook"],
            "https://hooks.example.com/?token=t"
        );
        assert_eq!(body["run_ended_at"], at(2).to_string());
        assert_eq!(delivery.url, "https://hooks.example.com/?token=t");
    }

    #[test]
    fn error_and_interrupts_come_last_and_only_when_there_are_any() {
        let (run, values) = (run(), Json::null());
        let error = RunError::new("ValueError", "boom");
        let interrupts = [Interrupt {
            value: Json::string("sure?"),
            id: "i1".to_owned(),
        }];
        let ended = Ended {
            status: FinalStatus::Rollback,
            error: Some(&error),
            interrupts: &interrupts,
            ..ended(&run, &values)
        };
        let delivery = delivery(&ended, None, 1 << 20).unwrap();
        assert_eq!(names(&delivery)[13..], ["values", "error", "interrupts"]);
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(body["status"], "rollback");
        assert!(body["values"].is_null());
        assert_eq!(body["error"]["error"], "ValueError");
        assert_eq!(body["interrupts"][0]["id"], "i1");
    }

    #[test]
    fn the_time_of_sending_can_be_written_into_the_bytes() {
        let (run, values) = (run(), Json::null());
        let mut delivery = delivery(&ended(&run, &values), None, 1 << 20).unwrap();
        let before = delivery.body.len();
        stamp(&mut delivery.body, delivery.sent_at_offset, at(77));
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(body["webhook_sent_at"], at(77).to_string());
        assert_eq!(body["run_ended_at"], at(2).to_string());
        assert_eq!(delivery.body.len(), before);
    }

    #[test]
    fn of_the_user_only_the_identity_goes_out() {
        let (run, values) = (run(), Json::null());
        let delivery = delivery(&ended(&run, &values), None, 1 << 20).unwrap();
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        let configurable = &body["kwargs"]["config"]["configurable"];
        assert_eq!(
            configurable[AUTH_USER],
            serde_json::json!({"identity": "ann"})
        );
        assert_eq!(configurable["a"], 1);
        assert!(!String::from_utf8(delivery.body).unwrap().contains("t-ann"));
    }

    #[test]
    fn allowed_fields_keep_only_what_they_name() {
        let (run, values) = (run(), Json::null());
        let allowed = [Field::Values, Field::RunId, Field::Error];
        let delivery = delivery(&ended(&run, &values), Some(&allowed), 1 << 20).unwrap();
        assert_eq!(names(&delivery), ["run_id", "values"]);
        assert_eq!(delivery.sent_at_offset, None);
    }

    #[test]
    fn a_body_above_the_limit_leaves_out_its_values_and_says_so() {
        let (mut run, values) = (run(), Json::string(&"x".repeat(5000)));
        let body = delivery(&ended(&run, &values), None, 5000).unwrap();
        assert_eq!(names(&body)[13], "values_omitted");
        assert!(names(&body).contains(&"kwargs".to_owned()));
        run.kwargs.input = Json::string(&"x".repeat(5000));
        let body = delivery(&ended(&run, &values), None, 5000).unwrap();
        assert_eq!(names(&body)[5], "kwargs_omitted");
        assert!(body.body.len() < 5000);
    }

    #[test]
    fn a_run_without_a_webhook_has_nothing_to_deliver() {
        let (mut run, values) = (run(), Json::null());
        run.kwargs.webhook = None;
        assert_eq!(delivery(&ended(&run, &values), None, 1 << 20), None);
    }
}
