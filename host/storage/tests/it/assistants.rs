//! Promises about assistants.

use selvedge_model::AssistantId;
use selvedge_model::assistant::Assistant;
use selvedge_storage::{AssistantQuery, AssistantSort};

use crate::given::{at, json};
use crate::home::Home;

fn assistant(graph: &str, name: &str, metadata: &str) -> Assistant {
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
            .assistant(first.assistant_id)
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
        storage.assistant(first.assistant_id).await.unwrap(),
        Some(expected)
    );
    assert_eq!(
        storage
            .assistant(AssistantId::default_of("other"))
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
        let page = storage.search_assistants(query.clone()).await.unwrap();
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
    assert_eq!(names(&page).await, found(&["second"], true));
}
