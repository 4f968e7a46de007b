//! What `#[derive(State)]` makes of a struct: channels, setters, reducers and schemas.

use std::collections::BTreeMap;

use selvedge_sdk::prelude::*;
use selvedge_sdk::{Channel, Reducer};

/// All kinds of channels.
#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Kinds {
    #[channel(add_messages)]
    messages: Vec<Message>,
    #[channel(append)]
    log: Vec<String>,
    #[channel(merge)]
    scores: BTreeMap<String, u32>,
    #[channel(sum)]
    cost: f64,
    #[channel(reducer = best)]
    best: u32,
    #[channel(reducer = keep, write = u32, default = vec![1])]
    seen: Vec<u32>,
    #[channel(default = "en".to_owned())]
    language: String,
    #[channel(ephemeral)]
    flash: Option<bool>,
    #[serde(rename = "goto")]
    goto_: Option<String>,
    count: Option<u64>,
}

fn best(current: u32, new: u32) -> u32 {
    current.max(new)
}

fn keep(mut current: Vec<u32>, new: u32) -> Vec<u32> {
    current.push(new);
    current
}

fn channel(name: &str) -> &'static Channel {
    Kinds::channels()
        .iter()
        .find(|c| c.name == name)
        .expect("the struct has the field")
}

#[test]
fn each_field_is_a_channel_with_its_reducer() {
    let names: Vec<_> = Kinds::channels()
        .iter()
        .map(|c| (c.name, c.reducer))
        .collect();
    assert_eq!(
        names,
        [
            ("messages", Reducer::AddMessages),
            ("log", Reducer::Append),
            ("scores", Reducer::Merge),
            ("cost", Reducer::Sum),
            ("best", Reducer::Custom),
            ("seen", Reducer::Custom),
            ("language", Reducer::LastValue),
            ("flash", Reducer::Ephemeral),
            ("goto", Reducer::LastValue),
            ("count", Reducer::LastValue),
        ]
    );
    assert_eq!(channel("language").default.unwrap()(), json!("en"));
    assert_eq!(channel("best").default.unwrap()(), json!(0));
}

#[test]
fn setters_take_what_one_would_write() {
    let update = Kinds::update()
        .messages([Message::human("hi")])
        .log(["a"])
        .scores([("a".to_owned(), 1)])
        .cost(0.5)
        .best(7)
        .seen(3)
        .language("de")
        .flash(true)
        .goto_("there")
        .count(9)
        .overwrite_log(vec![]);
    assert_eq!(
        update.written::<Value>("log"),
        Some(json!({"__overwrite__": []}))
    );
    assert_eq!(update.written::<u32>("seen"), Some(3));
    assert_eq!(update.written::<String>("goto").as_deref(), Some("there"));
    assert_eq!(
        Kinds::update().goto_(None).written::<Value>("goto"),
        Some(Value::Null)
    );
}

#[test]
fn a_reducer_of_the_authors_folds_the_writes_of_a_step() {
    let reduce =
        |name: &str, current: &str, updates: &str| channel(name).reduce.unwrap()(current, updates);
    assert_eq!(reduce("best", "null", "[3, 5, 2]").unwrap(), "5");
    assert_eq!(reduce("seen", "null", "[2]").unwrap(), "[1,2]");
    assert_eq!(reduce("seen", "[4]", "[2]").unwrap(), "[4,2]");
    assert_eq!(
        reduce("best", "1", "[\"x\"]").unwrap_err().kind(),
        "InvalidUpdateError"
    );
}

#[test]
fn callers_may_leave_out_what_has_a_value_without_them() {
    selvedge_sdk::graphs! {
        "kinds" => StateGraph::<Kinds>::new().node("a", |_: Kinds, _: &Context| Ok(Kinds::update())).edge(START, "a"),
    }
    let described = &graphs().describe()["graphs"][0];
    assert_eq!(
        described["schemas"]["input"].get("required"),
        Some(&json!([]))
    );
    assert_eq!(described["schemas"]["state"]["title"], "kinds_state");
    assert_eq!(
        described["schemas"]["state"]["description"],
        "All kinds of channels."
    );
    assert_eq!(
        described["channels"][5],
        json!({"name": "seen", "reducer": "custom", "default": [1]})
    );
}
