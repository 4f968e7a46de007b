//! Holds every answer that a test gets against `host/api/openapi.json`: its status, its type, and the schema of its
//! body.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use reqwest::{Method, Response, ResponseBuilderExt, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// What an operation may be called in the document.
pub const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// What everybody may ask.
pub const OPEN: [&str; 6] = ["/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"];

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_json::from_str(include_str!("../../host/api/openapi.json")).expect("JSON")
    })
}

/// What `{"$ref": "#/…"}` points to, or the part itself.
pub fn resolved(part: &'static Value) -> &'static Value {
    let Some(reference) = part["$ref"].as_str() else {
        return part;
    };
    let pointer = reference.strip_prefix('#').expect("within the document");
    document().pointer(pointer).expect(reference)
}

/// The members of a body and their schemas, those of `allOf` included; and which of them must be there.
pub fn members(schema: &'static Value) -> (Vec<(&'static str, &'static Value)>, Vec<&'static str>) {
    let schema = resolved(schema);
    let properties = schema["properties"].as_object();
    let mut named: Vec<_> = properties
        .into_iter()
        .flatten()
        .map(|(n, s)| (n.as_str(), s))
        .collect();
    let required = schema["required"].as_array();
    let required = required.into_iter().flatten();
    let mut required: Vec<_> = required.filter_map(Value::as_str).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, more_required) = members(part);
        named.extend(more);
        required.extend(more_required);
    }
    (named, required)
}

/// What the document says of an operation's body; of a list, what it says of the items.
pub fn schema_of_body(method: &str, path: &str) -> &'static Value {
    let schema =
        &document()["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
    if schema["items"].is_null() {
        schema
    } else {
        &schema["items"]
    }
}

/// The answer as it came, once it has been found to be what the document promises. A body that is still being made
/// when it begins is left alone: only the test knows what it waits for.
pub async fn checked(method: &Method, response: Response) -> reqwest::Result<Response> {
    let (url, status) = (response.url().clone(), response.status());
    let what = format!("{method} {} ({status})", url.path());
    let Some(path) = path_of(url.path()) else {
        assert_eq!(status, StatusCode::NOT_FOUND, "{what} is not documented");
        return Ok(response);
    };
    let name = method.as_str().to_ascii_lowercase();
    let Some(operation) = document()["paths"][path].get(&name) else {
        assert_eq!(
            status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{what} is not documented"
        );
        return Ok(response);
    };
    let documented = operation["responses"].get(status.as_str());
    let documented = documented.unwrap_or_else(|| panic!("{what} is not documented"));
    let Some(contents) = resolved(documented)["content"].as_object() else {
        return Ok(response);
    };
    let content_type = response.headers()["content-type"].to_str().expect("text");
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    assert!(
        contents.contains_key(&media_type),
        "{what} has the type {content_type}"
    );
    if media_type != "application/json" || response.content_length().is_none() {
        return Ok(response);
    }
    let mut rebuilt = http::Response::builder().status(status).url(url);
    rebuilt
        .headers_mut()
        .expect("headers")
        .extend(response.headers().clone());
    let body = response.bytes().await?;
    // What a caller gave as deeply nested as may be lies deeper in an answer.
    let mut reader = serde_json::Deserializer::from_slice(&body);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader);
    let value = value.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_fits(&value, &contents[&media_type]["schema"], &what);
    Ok(rebuilt.body(body).expect("a response").into())
}

/// The path of the document that means this one; parts that are written out come before those that stand for any.
fn path_of(path: &str) -> Option<&'static str> {
    let mut parts: Vec<&str> = path.split('/').collect();
    // The other spelling of LangGraph's documentation.
    if let Some(first) = parts.get_mut(1).filter(|first| **first == "thread") {
        *first = "threads";
    }
    let fits = |pattern: &&'static str| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        let mut pairs = pattern.iter().zip(&parts);
        pattern.len() == parts.len()
            && pairs
                .all(|(known, part)| known == part || (known.starts_with('{') && !part.is_empty()))
    };
    let paths = document()["paths"].as_object().expect("paths").keys();
    let paths = paths.map(String::as_str).filter(|pattern| fits(pattern));
    paths.min_by_key(|pattern| pattern.matches('{').count())
}

/// Schemas are compiled once, by where in the document they stand.
fn assert_fits(value: &Value, schema: &'static Value, what: &str) {
    static VALIDATORS: Mutex<BTreeMap<usize, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let place = std::ptr::from_ref(schema).addr();
    let mut validators = VALIDATORS.lock().expect("not poisoned");
    let validator = validators.entry(place);
    let validator = validator
        .or_insert_with(|| Arc::new(self::validator(schema)))
        .clone();
    drop(validators);
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(problems, [""; 0], "{what}: {value}");
}

/// A validator of a part of the document, whose references lead through the rest of it.
pub fn validator(schema: &Value) -> Validator {
    let mut whole = json!({"components": document()["components"]});
    whole["allOf"] = json!([schema]);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .expect("a schema")
}
