//! Runs that go with those who watch them: `on_disconnect: cancel` and `cancel_on_disconnect`.

use std::sync::Arc;

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::{RunId, Scope};
use selvedge_storage::WhichRuns;
use tokio::runtime::Handle;

use crate::Runtime;
use crate::hub::RunStream;

/// Cancels a run when dropped before the run has ended.
pub(crate) struct Leash(Option<Tied>);

struct Tied {
    runtime: Runtime,
    run: RunId,
    stream: Arc<RunStream>,
}

impl Leash {
    pub(crate) fn new(runtime: Runtime, run: RunId, stream: Arc<RunStream>) -> Self {
        Self(Some(Tied {
            runtime,
            run,
            stream,
        }))
    }

    /// Lets the run go on.
    pub(crate) fn untie(mut self) {
        self.0 = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(tied) = self.0.take() else {
            return;
        };
        // A shutdown sends everyone away, and the run goes on after the restart.
        if tied.stream.has_ended() || tied.runtime.0.stopping() {
            return;
        }
        if let Ok(handle) = Handle::try_current() {
            handle.spawn(cancel(tied.runtime, tied.run));
        }
    }
}

async fn cancel(runtime: Runtime, run: RunId) {
    let which = WhichRuns::Named {
        thread: None,
        ids: vec![run],
    };
    let request = CancelRequest {
        action: CancelAction::Interrupt,
        message: "client disconnected from the run stream (on_disconnect=cancel)".to_owned(),
    };
    if let Err(error) = runtime.cancel(&Scope::Host, which, request).await {
        tracing::error!(%run, %error, "the run goes on although its client went away");
    }
}
