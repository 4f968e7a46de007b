//! Promises about assistants.

use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelAction;
use selvedge_model::{AssistantId, Scope};
use selvedge_storage::{
    AssistantPatch, AssistantQuery, AssistantSort, Insert, LastWords, VersionQuery,
};

use crate::given::{at, json};
use crate::home::Home;

pub fn assistant(graph: &str, name: &str, metadata: &str) -> Assistant {
    Assistant {
        assistant_id: AssistantId::default_of(name),
        graph_id: graph.to_owned(),
        config: json("{}"),
        context: json("{}"),
        metadata: json(metadata),
        name: name.to_owned(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
        description: None,
    }
}

pub async fn default_assistants_exist_as_given_and_count_their_changes(home: &dyn Home) {
    let storage = home.open();
    let first = assistant("agent", "agent", "{}");
    storage
        .ensure_assistants(vec![first.clone()])
        .await
        .unwrap();
    let later = Assistant {
        created_at: at(9),
        updated_at: at(9),
        ..first.clone()
    };
    storage
        .ensure_assistants(vec![later.clone()])
        .await
        .unwrap();
    assert_eq!(
        storage
            .assistant(&Scope::Host, first.assistant_id)
            .await
            .unwrap()
            .as_ref(),
        Some(&first)
    );

    let changed = Assistant {
        config: json(r#"{"recursion_limit":5}"#),
        ..later
    };
    storage
        .ensure_assistants(vec![changed.clone()])
        .await
        .unwrap();
    let expected = Assistant {
        created_at: at(0),
        version: 2,
        ..changed
    };
    assert_eq!(
        storage
            .assistant(&Scope::Host, first.assistant_id)
            .await
            .unwrap(),
        Some(expected)
    );
    assert_eq!(
        storage
            .assistant(&Scope::Host, AssistantId::default_of("other"))
            .await
            .unwrap(),
        None
    );
}

pub async fn assistants_are_found_by_name_graph_and_metadata_in_pages(home: &dyn Home) {
    let storage = home.open();
    let all = vec![
        assistant("a", "Straße", r#"{"team":{"name":"x","size":3}}"#),
        assistant("a", "second", r#"{"team":{"name":"y"}}"#),
        assistant("b", "third", "{}"),
    ];
    storage.ensure_assistants(all).await.unwrap();
    let query = AssistantQuery {
        metadata: None,
        graph_id: None,
        name: None,
        sort_by: AssistantSort::CreatedAt,
        descending: true,
        limit: 10,
        offset: 0,
    };
    let names = async |query: &AssistantQuery| {
        let page = storage
            .search_assistants(&Scope::Host, query.clone())
            .await
            .unwrap();
        let names: Vec<String> = page.rows.into_iter().map(|a| a.name).collect();
        (names, page.more)
    };
    let found = |names: &[&str], more| {
        (
            names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>(),
            more,
        )
    };

    assert_eq!(
        names(&query).await,
        found(&["third", "second", "Straße"], false)
    );
    let by_name = AssistantQuery {
        name: Some("STRASSE".to_lowercase().replace("ss", "ß")),
        ..query.clone()
    };
    assert_eq!(names(&by_name).await, found(&["Straße"], false));
    let by_case = AssistantQuery {
        name: Some("SECO".to_owned()),
        ..query.clone()
    };
    assert_eq!(names(&by_case).await, found(&["second"], false));
    let by_graph = AssistantQuery {
        graph_id: Some("a".to_owned()),
        ..query.clone()
    };
    assert_eq!(names(&by_graph).await, found(&["second", "Straße"], false));
    let by_metadata = AssistantQuery {
        metadata: Some(json(r#"{"team":{"name":"x"}}"#)),
        ..query.clone()
    };
    assert_eq!(names(&by_metadata).await, found(&["Straße"], false));
    let page = AssistantQuery {
        limit: 1,
        offset: 1,
        sort_by: AssistantSort::Name,
        descending: false,
        ..query
    };
    assert_eq!(names(&page).await, found(&["Straße"], true));
}

fn numbers(versions: &[Assistant]) -> Vec<i64> {
    versions.iter().map(|version| version.version).collect()
}

pub async fn an_assistant_is_created_once(home: &dyn Home) {
    let storage = home.open();
    let new = assistant("agent", "mine", "{}");
    let Insert::Created(created) = storage
        .create_assistant(&Scope::Host, new.clone())
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    assert_eq!(created, new);
    let other = Assistant {
        name: "other".to_owned(),
        ..new.clone()
    };
    let Insert::Exists(stored) = storage.create_assistant(&Scope::Host, other).await.unwrap()
    else {
        panic!("it exists");
    };
    assert_eq!(stored, new);
}

pub async fn each_change_of_an_assistant_is_a_version(home: &dyn Home) {
    let storage = home.open();
    let first = assistant("agent", "mine", r#"{"a":1,"b":1}"#);
    let id = first.assistant_id;
    storage
        .create_assistant(&Scope::Host, first.clone())
        .await
        .unwrap();
    let patch = AssistantPatch {
        graph_id: Some("other".to_owned()),
        config: Some(json(r#"{"tags":["t"]}"#)),
        context: Some(json(r#"{"c":1}"#)),
        metadata: Some(json(r#"{"b":2,"c":3}"#)),
        ..AssistantPatch::default()
    };
    let second = storage
        .update_assistant(&Scope::Host, id, patch, at(5))
        .await
        .unwrap();
    let second = second.unwrap();
    let expected = Assistant {
        graph_id: "other".to_owned(),
        config: json(r#"{"tags":["t"]}"#),
        context: json(r#"{"c":1}"#),
        metadata: json(r#"{"a":1,"b":2,"c":3}"#),
        updated_at: at(5),
        version: 2,
        ..first.clone()
    };
    assert_eq!(second, expected);
    let empty = AssistantPatch::default();
    storage
        .update_assistant(&Scope::Host, id, empty.clone(), at(6))
        .await
        .unwrap();

    // An old version becomes current as a whole, and is no new one.
    let latest = storage
        .set_latest(&Scope::Host, id, 1, at(7))
        .await
        .unwrap()
        .unwrap();
    let expected = Assistant {
        updated_at: at(7),
        ..first
    };
    assert_eq!(latest, expected);
    assert_eq!(
        storage.assistant(&Scope::Host, id).await.unwrap(),
        Some(expected)
    );
    assert!(
        storage
            .set_latest(&Scope::Host, id, 99, at(7))
            .await
            .unwrap()
            .is_none()
    );
    let fourth = storage
        .update_assistant(&Scope::Host, id, empty.clone(), at(8))
        .await;
    assert_eq!(fourth.unwrap().unwrap().version, 4);

    let query = VersionQuery {
        assistant_id: id,
        metadata: None,
        limit: 10,
        offset: 0,
    };
    let versions = storage
        .assistant_versions(&Scope::Host, query.clone())
        .await
        .unwrap();
    assert_eq!(numbers(&versions), [4, 3, 2, 1]);
    assert_eq!(versions[2].created_at, at(5));
    let page = VersionQuery {
        limit: 2,
        offset: 1,
        ..query.clone()
    };
    let versions = storage
        .assistant_versions(&Scope::Host, page)
        .await
        .unwrap();
    assert_eq!(numbers(&versions), [3, 2]);
    let with_c = VersionQuery {
        metadata: Some(json(r#"{"c":3}"#)),
        ..query.clone()
    };
    let versions = storage
        .assistant_versions(&Scope::Host, with_c)
        .await
        .unwrap();
    assert_eq!(numbers(&versions), [3, 2]);

    let unknown = AssistantId::default_of("unknown");
    let missing = storage
        .update_assistant(&Scope::Host, unknown, empty, at(9))
        .await;
    assert!(missing.unwrap().is_none());
    let request = crate::cancelling::wish(CancelAction::Interrupt);
    let none = LastWords::default();
    let deleted = storage
        .delete_assistant(&Scope::Host, id, request, none, at(9))
        .await;
    assert!(deleted.unwrap().is_some());
    assert!(
        storage
            .assistant_versions(&Scope::Host, query)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn a_callers_change_of_a_default_assistant_lasts_until_the_configuration_changes(
    home: &dyn Home,
) {
    let storage = home.open();
    let configured = assistant("agent", "agent", "{}");
    let id = configured.assistant_id;
    let ensure = async |wanted: &Assistant| {
        storage
            .ensure_assistants(vec![wanted.clone()])
            .await
            .unwrap();
        storage.assistant(&Scope::Host, id).await.unwrap().unwrap()
    };
    ensure(&configured).await;
    let patch = AssistantPatch {
        name: Some("mine".to_owned()),
        ..AssistantPatch::default()
    };
    storage
        .update_assistant(&Scope::Host, id, patch, at(1))
        .await
        .unwrap();
    let restarted = ensure(&configured).await;
    assert_eq!((restarted.name.as_str(), restarted.version), ("mine", 2));
    let changed = Assistant {
        description: Some("new".to_owned()),
        ..configured.clone()
    };
    let changed = ensure(&changed).await;
    assert_eq!((changed.name.as_str(), changed.version), ("agent", 3));
    let back = ensure(&configured).await;
    assert_eq!((back.description, back.version), (None, 4));
}
