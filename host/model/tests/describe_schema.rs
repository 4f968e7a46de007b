//! `wit/describe.schema.json` and the types that the host reads descriptions into say the same, so that neither drifts.

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::graph::{
    BranchDescription, CachePolicy, ChannelDescription, ComponentDescription, EdgeDescription,
    GraphDescription, NodeDescription, Reducer, RetryPolicy, Schemas, Subgraph, TimeoutPolicy,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../wit/describe.schema.json")).expect("JSON")
}

fn any() -> Option<Json> {
    Some(Json::from(json!({"any": "thing"})))
}

fn names() -> Option<Vec<String>> {
    Some(vec!["a".to_owned()])
}

fn retry() -> RetryPolicy {
    RetryPolicy {
        initial_interval: 1.0,
        backoff_factor: 1.0,
        max_interval: 1.0,
        max_attempts: 1,
        jitter: false,
        retry_on: names(),
    }
}

/// Every member of every type is written out: one that is added does not compile until it is here.
fn whole() -> ComponentDescription {
    let graph = GraphDescription {
        name: "graph".to_owned(),
        description: Some("text".to_owned()),
        configured: true,
        channels: vec![ChannelDescription {
            name: "a".to_owned(),
            reducer: Reducer::Append,
            default: any(),
        }],
        nodes: vec![NodeDescription {
            name: "a".to_owned(),
            reads: names(),
            defer: true,
            retry: vec![retry()],
            timeout: Some(TimeoutPolicy {
                run_timeout: Some(1.0),
                idle_timeout: Some(1.0),
            }),
            cache: Some(CachePolicy { ttl: Some(1.0) }),
            destinations: names(),
            metadata: any(),
            subgraph: Some(Subgraph::Named("other".to_owned())),
        }],
        edges: vec![EdgeDescription {
            from: vec!["__start__".to_owned()],
            to: "a".to_owned(),
        }],
        branches: vec![BranchDescription {
            from: "a".to_owned(),
            name: "branch".to_owned(),
            destinations: Some(IndexMap::from([("x".to_owned(), "a".to_owned())])),
        }],
        input_channels: names(),
        output_channels: names(),
        interrupt_before: vec!["a".to_owned()],
        interrupt_after: vec!["a".to_owned()],
        schemas: Schemas {
            input: any(),
            output: any(),
            state: any(),
            config: any(),
            context: any(),
        },
    };
    ComponentDescription {
        sdk: Some("sdk 1.0".to_owned()),
        graphs: vec![graph],
    }
}

/// The names of an object's members, sorted.
fn members(value: &Value) -> Vec<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A type of the host beside the part of the schema that describes it.
struct Pair<'a> {
    name: &'static str,
    whole: &'a Value,
    described: &'a Value,
    can_read: fn(&Value) -> bool,
}

fn can_read<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

fn pairs<'a>(whole: &'a Value, schema: &'a Value) -> Vec<Pair<'a>> {
    let (graph, defined) = (&whole["graphs"][0], &schema["$defs"]);
    let node = &graph["nodes"][0];
    let pair = |name, whole, described, can_read| Pair {
        name,
        whole,
        described,
        can_read,
    };
    let schemas = &defined["graph"]["properties"]["schemas"];
    vec![
        pair("component", whole, schema, can_read::<ComponentDescription>),
        pair(
            "graph",
            graph,
            &defined["graph"],
            can_read::<GraphDescription>,
        ),
        pair("schemas", &graph["schemas"], schemas, can_read::<Schemas>),
        pair(
            "channel",
            &graph["channels"][0],
            &defined["channel"],
            can_read::<ChannelDescription>,
        ),
        pair("node", node, &defined["node"], can_read::<NodeDescription>),
        pair(
            "retry",
            &node["retry"][0],
            &defined["retry"],
            can_read::<RetryPolicy>,
        ),
        pair(
            "timeout",
            &node["timeout"],
            &defined["timeout"],
            can_read::<TimeoutPolicy>,
        ),
        pair(
            "cache",
            &node["cache"],
            &defined["cache"],
            can_read::<CachePolicy>,
        ),
        pair(
            "edge",
            &graph["edges"][0],
            &defined["edge"],
            can_read::<EdgeDescription>,
        ),
        pair(
            "branch",
            &graph["branches"][0],
            &defined["branch"],
            can_read::<BranchDescription>,
        ),
    ]
}

#[test]
fn the_host_reads_every_member_of_the_schema_and_no_other() {
    let (whole, schema) = (serde_json::to_value(whole()).expect("JSON"), schema());
    for pair in pairs(&whole, &schema) {
        let described = members(&pair.described["properties"]);
        assert_eq!(members(pair.whole), described, "{}", pair.name);
    }
    // An object of the schema that is not compared above would drift unseen; two of these are no objects.
    let compared = [
        "branch",
        "breakpoints",
        "cache",
        "channel",
        "edge",
        "graph",
        "name",
        "node",
        "retry",
        "timeout",
    ];
    assert_eq!(members(&schema["$defs"]), compared);
}

#[test]
fn what_the_schema_requires_is_what_the_host_cannot_do_without() {
    let (whole, schema) = (serde_json::to_value(whole()).expect("JSON"), schema());
    for pair in pairs(&whole, &schema) {
        let required = pair.described["required"].as_array();
        assert!((pair.can_read)(pair.whole), "{}", pair.name);
        for member in members(pair.whole) {
            let mut without = pair.whole.clone();
            without.as_object_mut().expect("an object").remove(member);
            let required = required.is_some_and(|names| names.iter().any(|name| name == member));
            assert_eq!(
                (pair.can_read)(&without),
                !required,
                "{}.{member}",
                pair.name
            );
        }
    }
}

#[test]
fn defaults_of_the_schema_are_those_of_the_host() {
    let schema = schema();
    let defaults = |name: &str| {
        let properties = schema["$defs"][name]["properties"].as_object();
        let properties = properties.expect("properties").iter();
        properties
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
    };
    let retry = serde_json::to_value(RetryPolicy::default()).expect("JSON");
    assert_eq!(defaults("retry").count(), 5);
    for (name, default) in defaults("retry") {
        assert_eq!(retry[&name].as_f64(), default.as_f64(), "{name}");
        assert_eq!(retry[&name].as_bool(), default.as_bool(), "{name}");
    }
    let channel: ChannelDescription =
        serde_json::from_value(json!({"name": "a"})).expect("a channel");
    let node: NodeDescription = serde_json::from_value(json!({"name": "a"})).expect("a node");
    let read = [
        ("channel", serde_json::to_value(channel).expect("JSON")),
        ("node", serde_json::to_value(node).expect("JSON")),
    ];
    for (of, read) in read {
        assert_eq!(defaults(of).count(), 1);
        for (name, default) in defaults(of) {
            assert_eq!(read[&name], default, "{of}.{name}");
        }
    }
}

#[test]
fn every_reducer_of_the_schema_is_one_of_the_hosts() {
    let schema = schema();
    let listed = schema["$defs"]["channel"]["properties"]["reducer"]["enum"].as_array();
    let listed = listed.expect("an enum").clone();
    // A reducer that is added does not compile until it is here.
    let place = |reducer: Reducer| match reducer {
        Reducer::LastValue => 0,
        Reducer::Append => 1,
        Reducer::AddMessages => 2,
        Reducer::Merge => 3,
        Reducer::Sum => 4,
        Reducer::AnyValue => 5,
        Reducer::Ephemeral => 6,
        Reducer::Untracked => 7,
        Reducer::Custom => 8,
    };
    let read = listed.iter().map(|name| {
        let reducer = serde_json::from_value(name.clone());
        place(reducer.unwrap_or_else(|error| panic!("{name}: {error}")))
    });
    assert!(read.eq(0..9), "{listed:?}");
}

#[test]
fn a_node_may_stand_for_a_graph_by_name_or_for_one_of_its_own() {
    let own = json!({"name": "outer/inner", "channels": [{"name": "a", "default": [1]}], "nodes": [{"name": "b"}]});
    let read = |subgraph: Value| {
        let node: NodeDescription =
            serde_json::from_value(json!({"name": "n", "subgraph": subgraph})).expect("a node");
        node.subgraph
    };
    assert!(matches!(read(json!("leaf")), Some(Subgraph::Named(name)) if name == "leaf"));
    assert!(
        matches!(read(own), Some(Subgraph::Own(graph)) if graph.name == "outer/inner"
            && graph.channels[0].default == Some(Json::from(json!([1]))))
    );
    assert!(read(Value::Null).is_none());
    let bad = serde_json::from_value::<NodeDescription>(json!({"name": "n", "subgraph": 1}));
    let error = bad.expect_err("a number is no graph").to_string();
    assert!(error.contains("the name of a graph, or a graph"), "{error}");
}
