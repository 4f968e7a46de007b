//! A run as callers see it.

use selvedge_model::run::Run;
use serde::Serialize;

/// The run, and a member that LangGraph adds: where LangSmith would file it. The host sends nothing there, hence `null`.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    run: &'a Run,
    langsmith_session_name: (),
}

impl<'a> From<&'a Run> for Shown<'a> {
    fn from(run: &'a Run) -> Self {
        Self {
            run,
            langsmith_session_name: (),
        }
    }
}
