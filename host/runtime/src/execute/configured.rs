//! The graph of a run, as the run's configuration has it.

use std::sync::Arc;

use selvedge_model::run::ClaimedRun;
use selvedge_pregel::Failure;
use selvedge_sandbox::Callers;

use super::Cut;
use crate::Shared;
use crate::graphs::configured::Asker;
use crate::graphs::setting::Setting;
use crate::graphs::{Part, ServedGraph};
use crate::hub::RunStream;

/// Why a run has no graph to execute.
pub(super) enum Unbuilt {
    /// It cannot be built for the run: what the graph's code says of it, or the bound that it met.
    Failed(Failure),
    /// Something else came first.
    Cut(Cut),
}

/// The graph of a run. Where it depends on how the run is configured the component is asked, which goes no longer than the
/// run itself may, and ends with it.
pub(super) async fn configured(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    graph: &ServedGraph,
    setting: &Setting,
    stream: &RunStream,
) -> Result<Part, Unbuilt> {
    let asker = Asker::run(claimed.run.run_id, Callers::default());
    let built = shared.configured(graph.part.clone(), setting, asker);
    let built = tokio::time::timeout(shared.options.run_timeout, built);
    tokio::select! {
        biased;
        wish = stream.cancelled() => Err(Unbuilt::Cut(Cut::Cancelled(wish))),
        () = shared.released() => Err(Unbuilt::Cut(Cut::Stopping)),
        _ = stream.ended() => Err(Unbuilt::Cut(Cut::Fenced)),
        built = built => match built {
            Ok(built) => built.map_err(Unbuilt::Failed),
            Err(_) => Err(Unbuilt::Cut(Cut::TimedOut)),
        },
    }
}
