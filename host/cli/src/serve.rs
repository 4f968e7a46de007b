//! `dev` and `serve`: puts the rooms together, waits for a signal, takes them apart again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use selvedge_api::{Listener, Server};
use selvedge_auth::Authenticator;
use selvedge_index::Index;
use selvedge_model::Timestamp;
use selvedge_model::time::SystemClock;
use selvedge_runtime::{Graphs, Rooms, Runtime};
use selvedge_sandbox::Sandbox;
use selvedge_storage::Storage;
use selvedge_storage::sqlite::Sqlite;
use selvedge_webhook::Webhooks;
use tokio::signal::unix::{SignalKind, signal};

use crate::components::Loader;
use crate::config::Config;
use crate::{banner, descriptors, logging, print};

/// How long webhook attempts that are under way may take when the server stops; what is cut off is tried again by the
/// next process.
const WEBHOOK_GRACE: Duration = Duration::from_secs(5);

/// Whom the server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The author: URLs to try and warnings about what is open.
    Dev,
    /// The operator.
    Serve,
}

/// Serves until a signal says stop.
pub async fn run(mut config: Config, mode: Mode) -> Result<()> {
    let began = Instant::now();
    logging::start(&config.telemetry);
    let (connections, warning) = descriptors::connections(&config, descriptors::raise());
    config.http.max_connections = connections;
    config.warnings.extend(warning);
    for warning in &config.warnings {
        print::warning(warning);
    }
    let house = House::open(&config, mode).await?;
    banner::show(&config, mode, house.server.address(), began.elapsed());
    wait_for_stop().await?;
    print::note("stopping: running runs may end, further signals end the process at once");
    tokio::select! {
        () = house.close() => {}
        stop = wait_for_stop() => {
            stop?;
            anyhow::bail!("stopped at once; what was under way is taken up at the next start");
        }
    }
    Ok(())
}

/// The rooms in use.
struct House {
    storage: Arc<dyn Storage>,
    webhooks: Arc<Webhooks>,
    index: Option<Arc<Index>>,
    runtime: Runtime,
    server: Server,
}

impl House {
    /// What can fail comes first: a start that fails must not have taken up a run.
    async fn open(config: &Config, mode: Mode) -> Result<Self> {
        let edge = selvedge_api::Options {
            development: mode == Mode::Dev,
            ..config.api()
        };
        let listener = Listener::bind(edge).await?;
        let storage: Arc<dyn Storage> = Sqlite::open(config.sqlite())
            .with_context(|| format!("data directory {}", config.storage.path.display()))?;
        let authenticator = match &config.auth {
            Some(auth) => Some(Authenticator::new(auth.clone()).await?),
            None => None,
        };
        let sandbox = Sandbox::start(config.sandbox()?)?;
        let loader = Loader::new(sandbox.clone(), config)?;
        let sources = try_join_all(config.graphs.iter().map(|graph| loader.load(graph))).await?;
        let graphs = Graphs::new(sources, Timestamp::now())?;
        let missing = graphs.missing(|name| graphs.get(name).is_some());
        if let Some(missing) = missing.into_iter().next() {
            return Err(missing.into());
        }

        let recovery = storage
            .recover(Timestamp::now(), config.runtime.max_attempts)
            .await?;
        let mut options = config.webhooks.options();
        options.policy.own_address = Some(listener.address());
        let webhooks = Webhooks::start(options, storage.clone(), Arc::new(SystemClock))?;
        let webhooks = Arc::new(webhooks);
        let index = match &config.store.index {
            Some(index) => Some(Arc::new(
                Index::start(index.clone(), storage.clone()).await?,
            )),
            None => None,
        };
        let runtime = Runtime::start(
            config.runtime(),
            Rooms {
                storage: storage.clone(),
                sandbox,
                webhooks: webhooks.clone(),
                index: index.clone(),
            },
            graphs,
            recovery,
            Arc::new(SystemClock),
        )
        .await?;
        let server = listener.serve(runtime.clone(), storage.clone(), authenticator);
        Ok(Self {
            storage,
            webhooks,
            index,
            runtime,
            server,
        })
    }

    /// From the outside in: no new runs, the last answers, the last webhooks, the disk.
    async fn close(self) {
        self.runtime.shutdown().await;
        self.server.shutdown().await;
        self.webhooks.shutdown(WEBHOOK_GRACE).await;
        if let Some(index) = &self.index {
            index.shutdown().await;
        }
        self.storage.close().await;
    }
}

async fn wait_for_stop() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
