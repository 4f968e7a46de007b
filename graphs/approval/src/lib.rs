//! A person decides: before an e-mail is “sent”, someone approves, edits or rejects it.
//!
//! `review` stops the run with the draft as the question. Resume it with one of
//! `{"type": "approve"}`, `{"type": "edit", "draft": {"to": …, "subject": …, "body": …}}` and
//! `{"type": "reject", "reason": …}`.

use selvedge_sdk::prelude::*;

/// The state.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// What the e-mail should say.
    request: String,
    /// Whom it goes to.
    to: String,
    /// The e-mail that was written.
    draft: Option<Draft>,
    /// What became of it.
    outcome: Option<String>,
}

/// An e-mail.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    to: String,
    subject: String,
    body: String,
}

/// What the person may answer.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Decision {
    Approve,
    Edit { draft: Draft },
    Reject { reason: Option<String> },
}

fn write(state: Approval, _ctx: &Context) -> NodeResult<Approval> {
    let subject = state
        .request
        .split_whitespace()
        .take(4)
        .collect::<Vec<_>>()
        .join(" ");
    let body = format!("Hello,\n\n{}\n\nKind regards", state.request);
    Ok(Approval::update().draft(Draft {
        to: state.to,
        subject,
        body,
    }))
}

fn review(state: Approval, ctx: &Context) -> NodeResult<Approval> {
    let draft = state
        .draft
        .ok_or_else(|| NodeError::value("there is no draft"))?;
    // When the run is resumed, the node starts again from its beginning: nothing before this line has effects.
    let decision: Decision = ctx.interrupt(json!({
        "question": "Send this e-mail?",
        "draft": draft,
        "answers": ["approve", "edit", "reject"],
    }))?;
    Ok(match decision {
        Decision::Approve => Approval::update().goto("send"),
        Decision::Edit { draft } => Approval::update().draft(draft).goto("send"),
        Decision::Reject { reason } => {
            let reason = reason.unwrap_or_else(|| "no reason given".to_owned());
            Approval::update().outcome(format!("rejected: {reason}"))
        }
    })
}

/// This is where a real graph would call a mail service. It is a node of its own, so that it is done once.
fn send(state: Approval, _ctx: &Context) -> NodeResult<Approval> {
    let draft = state
        .draft
        .ok_or_else(|| NodeError::value("there is no draft"))?;
    selvedge_sdk::info!("sending “{}” to {}", draft.subject, draft.to);
    Ok(Approval::update().outcome(format!("sent to {}", draft.to)))
}

selvedge_sdk::graphs! {
    "approval" => StateGraph::<Approval>::new()
        .description("Asks a person before it sends an e-mail.")
        .node("write", write)
        .node_with("review", review, NodeOptions::new().destinations(["send"]))
        .node("send", send)
        .edge(START, "write")
        .edge("write", "review")
        .edge("send", END),
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::testing::Run;
    use serde_json::{Value, json};

    use super::graphs;

    fn decide(decision: Value) -> Value {
        let input = json!({"request": "please water the plants", "to": "ann@example.com"});
        let mut run = Run::start(&graphs(), "approval", input).unwrap();
        assert_eq!(
            run.questions()[0]["draft"]["subject"],
            "please water the plants"
        );
        run.resume(decision).unwrap();
        run.output()
    }

    #[test]
    fn an_approved_draft_is_sent() {
        assert_eq!(
            decide(json!({"type": "approve"}))["outcome"],
            "sent to ann@example.com"
        );
    }

    #[test]
    fn an_edited_draft_is_sent_as_edited() {
        let draft = json!({"to": "bob@example.com", "subject": "Plants", "body": "Water them."});
        let output = decide(json!({"type": "edit", "draft": draft}));
        assert_eq!(
            (&output["outcome"], &output["draft"]),
            (&json!("sent to bob@example.com"), &draft)
        );
    }

    #[test]
    fn a_rejected_draft_is_not_sent() {
        assert_eq!(
            decide(json!({"type": "reject", "reason": "too short"}))["outcome"],
            "rejected: too short"
        );
    }
}
