//! Loads the components that a configuration names, each with its environment, its bounds and its way to the network.
//! `serve` and `check` do it alike, so that what passes the check also starts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use selvedge_egress::{Client, Policy, Secrets};
use selvedge_model::Json;
use selvedge_runtime::GraphSource;
use selvedge_sandbox::{ComponentSource, Network, Sandbox};
use serde_json::Value;

use crate::config::{Config, GraphConfig};

/// What loading takes besides the graph itself. Cheap to clone.
#[derive(Clone)]
pub struct Loader {
    sandbox: Sandbox,
    outbound: Client,
    exchange_timeout: Duration,
    max_concurrent_per_run: usize,
}

impl Loader {
    /// One policy and one pool of connections serve all graphs; their secrets are apart.
    pub fn new(sandbox: Sandbox, config: &Config) -> Result<Self> {
        let policy = Policy::new(&config.egress.policy)
            .map_err(|error| anyhow!("{}: egress.{error}", config.file.display()))?;
        let outbound = Client::new(Arc::new(policy), &config.egress.client)?;
        Ok(Self {
            sandbox,
            outbound,
            exchange_timeout: config.egress.timeout,
            max_concurrent_per_run: config.egress.max_concurrent_per_run,
        })
    }

    /// Loads one graph's component.
    pub async fn load(&self, graph: &GraphConfig) -> Result<GraphSource> {
        let secrets = Secrets::new(graph.secrets())
            .map_err(|error| anyhow!("graphs.{}: secrets.{error}", graph.id))?;
        let placeholders = secrets
            .placeholders()
            .map(|(name, placeholder)| (name.to_owned(), placeholder.to_owned()));
        let environment = graph.env.clone().into_iter().chain(placeholders).collect();
        let component = self
            .sandbox
            .load(ComponentSource {
                path: graph.path.clone(),
                environment,
                limits: graph.limits.clone(),
                network: Network {
                    client: Arc::new(self.outbound.with_secrets(Arc::new(secrets))),
                    timeout: self.exchange_timeout,
                    max_concurrent_per_run: self.max_concurrent_per_run,
                },
            })
            .await
            .with_context(|| format!("graph `{}`", graph.id))?;
        Ok(GraphSource {
            id: graph.id.clone(),
            component,
            name: graph.name.clone(),
            description: graph.description.clone(),
            config: Json::from(Value::Object(graph.config.clone())),
            context: Json::from(Value::Object(graph.context.clone())),
        })
    }
}
