//! `selvedge check`: is the configuration right, do the components load, do their graphs fit together? With
//! `--webhook`, what the policy decides about a URL.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use selvedge_egress::{Policy, PolicyOptions};
use selvedge_model::Timestamp;
use selvedge_model::graph::is_internal_channel;
use selvedge_runtime::{GraphError, Graphs};
use selvedge_sandbox::Sandbox;

use crate::args::CheckArgs;
use crate::components::Loader;
use crate::config::{self, Config, Flags, GraphConfig};
use crate::print;

/// Columns of the table where there is no terminal to ask.
const WIDTH: u16 = 120;

/// Exit code 0: all is well, or the URL is allowed; 1: a graph has problems, or the URL is refused.
pub async fn run(args: &CheckArgs) -> Result<ExitCode> {
    if args.schema {
        print::line(format_args!("{:#}", config::schema()));
        return Ok(ExitCode::SUCCESS);
    }
    let config = config::load(&Flags::of(&args.file.config))?;
    for warning in &config.warnings {
        print::warning(warning);
    }
    match &args.webhook {
        Some(url) => webhook(&config, url),
        None => graphs(&config).await,
    }
}

fn webhook(config: &Config, url: &str) -> Result<ExitCode> {
    let file = config.file.display();
    let options = PolicyOptions {
        own_address: Some(config.api().address),
        ..config.webhooks.url.clone()
    };
    let policy = Policy::new(&options).map_err(|error| anyhow!("{file}: webhooks.url.{error}"))?;
    if !config.webhooks.enabled {
        print::warning("http.disable_webhooks is set: nothing is sent, whatever the policy says");
    }
    let judged = policy.check_url(url);
    match judged.and_then(|target| Ok((policy.grounds(&target)?, target))) {
        Ok((grounds, target)) => {
            print::line("allowed: the gates raw text, shape and name let it pass");
            print::line(format_args!("rule: {grounds}"));
            for refusal in target.reported() {
                print::line(format_args!(
                    "only reported (webhooks.url.mode): {}\ngate: {}\nrule: {}",
                    refusal.message,
                    refusal.gate,
                    refusal.rule.as_str()
                ));
            }
            print::line(
                "The gates address and connect decide on each attempt, about what the name resolves to then.",
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            print::line(format_args!("refused: {}", refusal.message));
            print::line(format_args!("gate: {}", refusal.gate));
            print::line(format_args!("rule: {}", refusal.rule.as_str()));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn graphs(config: &Config) -> Result<ExitCode> {
    // Nothing is kept of a check, but a component that several graphs share is compiled once. One thread is enough for
    // `describe`.
    let cache = tempfile::tempdir()?;
    let sandbox = Sandbox::start(selvedge_sandbox::Options {
        cache_dir: Some(cache.path().to_owned()),
        max_instances: 1,
        threads: 1,
        ..config.sandbox()?
    })?;
    let loader = Loader::new(sandbox, config)?;
    let mut rows = Vec::with_capacity(config.graphs.len());
    for graph in &config.graphs {
        rows.push(row(&loader, graph, config).await);
    }
    let failed = rows.iter().any(|row| !row.problems.is_empty());
    print::line(table(&rows));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What is known of one graph.
struct Row {
    graph: String,
    nodes: Option<usize>,
    channels: Option<usize>,
    bytes: Option<u64>,
    problems: Vec<String>,
}

async fn row(loader: &Loader, graph: &GraphConfig, config: &Config) -> Row {
    let mut row = Row {
        graph: graph.id.clone(),
        nodes: None,
        channels: None,
        bytes: std::fs::metadata(&graph.path).ok().map(|file| file.len()),
        problems: Vec::new(),
    };
    if row.bytes.is_none() {
        let path = graph.path.display();
        row.problems
            .push(format!("{path} does not exist: run `selvedge build`"));
        return row;
    }
    let source = match loader.load(graph).await {
        Ok(source) => source,
        Err(error) => {
            row.problems.push(error.root_cause().to_string());
            return row;
        }
    };
    match Graphs::new(vec![source], Timestamp::now()) {
        Ok(graphs) => {
            let description = graphs
                .get(&graph.id)
                .map(|served| served.part.graph.description());
            let channels = |channels: &[selvedge_model::graph::ChannelDescription]| {
                channels
                    .iter()
                    .filter(|channel| !is_internal_channel(&channel.name))
                    .count()
            };
            let is_served = |name: &str| config.graphs.iter().any(|graph| graph.id == name);
            for missing in graphs.missing(is_served) {
                row.problems.push(of_graph(&graph.id, &missing));
            }
            row.nodes = description.map(|description| description.nodes.len());
            row.channels = description.map(|description| channels(&description.channels));
        }
        Err(GraphError::Invalid { problems, .. }) => {
            row.problems
                .extend(problems.iter().map(ToString::to_string));
        }
        Err(error) => row.problems.push(of_graph(&graph.id, &error)),
    }
    row
}

/// Its row says which graph it is about.
fn of_graph(id: &str, error: &GraphError) -> String {
    let text = error.to_string();
    let named = format!("graph `{id}`: ");
    text.strip_prefix(&named).unwrap_or(&text).to_owned()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header(["graph", "nodes", "channels", "size", "problems"]);
    let count =
        |count: Option<usize>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
    for row in rows {
        let size = row.bytes.map_or_else(
            || "–".to_owned(),
            |bytes| format!("{} KiB", bytes.div_ceil(1024)),
        );
        let problems = if row.problems.is_empty() {
            "none".to_owned()
        } else {
            row.problems.join("\n")
        };
        table.add_row([
            row.graph.clone(),
            count(row.nodes),
            count(row.channels),
            size,
            problems,
        ]);
    }
    table
}
