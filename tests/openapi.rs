//! The OpenAPI document tells of every route there is, and of no other. Whether answers are as it says is looked at in
//! all other tests, by `support::documented`.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;

use crate::support::documented::{METHODS, document, resolved, validator};
use crate::support::{Server, Setup};

/// Path, method and description of each operation.
fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&'static String, &'static Value)| {
        METHODS.into_iter().filter_map(move |method| {
            let operation = item.get(method)?;
            Some((path.as_str(), method, operation))
        })
    };
    paths.iter().flat_map(of_path).collect()
}

/// The methods that a path answers to, by what it says to one that it does not.
async fn methods_of(server: &Server, path: &str) -> Vec<String> {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "00000000-0000-4000-8000-000000000000",
        false => part,
    });
    let url = format!("{}{}", server.base, parts.collect::<Vec<_>>().join("/"));
    let response = server
        .client
        .request(Method::TRACE, url)
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 405, "{path}");
    let allowed = response.headers()["allow"].to_str().expect("text");
    let methods = allowed.split(',').map(str::to_ascii_lowercase);
    let mut methods: Vec<String> = methods.filter(|method| method != "head").collect();
    methods.sort();
    methods
}

#[tokio::test]
async fn the_document_has_the_paths_and_methods_of_the_router_and_no_others() {
    let server = Setup::probes(&["two"]).dev().start().await;
    // What is served under a path that the document does not have would be there without operations.
    assert_eq!(&server.get_json("/openapi.json").await, document());
    for path in document()["paths"].as_object().expect("paths").keys() {
        let documented = operations().into_iter().filter(|(known, ..)| known == path);
        let mut documented: Vec<&str> = documented.map(|(_, method, _)| method).collect();
        documented.sort_unstable();
        assert_eq!(methods_of(&server, path).await, documented, "{path}");
    }
    let info = server.get_json("/info").await;
    assert_eq!(document()["info"]["version"], info["selvedge_version"]);
}

#[tokio::test]
async fn what_is_not_served_is_not_in_the_served_document() {
    let server = Setup::probes(&["two"]).start().await;
    let served = server.get_json("/openapi.json").await;
    let truncate = "/internal/truncate";
    assert_eq!(served["paths"].get(truncate), None);
    let mut paths = document()["paths"].clone();
    paths.as_object_mut().expect("paths").remove(truncate);
    assert_eq!(served["paths"], paths);
}

#[tokio::test]
async fn the_page_that_shows_the_document_loads_nothing_from_elsewhere() {
    let server = Setup::probes(&["two"]).start().await;
    let page = server.get("/docs").await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(
        policy.starts_with("default-src 'none'; connect-src 'self'"),
        "{policy}"
    );
    let page = page.text().await.expect("text");
    assert!(page.contains("fetch(\"openapi.json\")"));
    assert!(!page.contains("://"), "{page}");
}

#[test]
fn every_operation_has_a_name_a_tag_that_exists_its_path_parameters_and_schemas_that_hold_together()
{
    let tags = document()["tags"].as_array().expect("tags");
    let tags: HashSet<&Value> = tags.iter().map(|tag| &tag["name"]).collect();
    let mut names = HashSet::new();
    for (path, method, operation) in operations() {
        let what = format!("{method} {path}");
        assert!(names.insert(&operation["operationId"]), "{what}");
        assert!(tags.contains(&operation["tags"][0]), "{what}");
        let shared = document()["paths"][path]["parameters"].as_array();
        let parameters = shared.into_iter().chain(operation["parameters"].as_array());
        let parameters: Vec<&Value> = parameters.flatten().map(resolved).collect();
        for parameter in &parameters {
            validator(&parameter["schema"]);
        }
        let in_path = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path");
        let named: Vec<String> = in_path
            .map(|p| format!("{{{}}}", p["name"].as_str().expect("a name")))
            .collect();
        let placeholders: Vec<&str> = path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .collect();
        assert_eq!(named, placeholders, "{what}");
        let bodies = operation["requestBody"]["content"].as_object();
        let answers = operation["responses"]
            .as_object()
            .expect("responses")
            .values();
        let answers = answers.filter_map(|answer| resolved(answer)["content"].as_object());
        for content in answers.chain(bodies).flat_map(|contents| contents.values()) {
            validator(&content["schema"]);
        }
    }
}
