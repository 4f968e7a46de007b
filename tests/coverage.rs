//! `docs/api-coverage.md` names a test for everything that the OpenAPI document has, and the tests that it names exist.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::documented::{METHODS, document, resolved};
use crate::support::root;
use crate::support::server::text;

/// The first two cells of each row of the page's tables.
fn rows() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join("docs/api-coverage.md")).expect("the page");
    let cell = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(cell);
        Some((cells.next()??, cells.next()??))
    };
    page.lines().filter_map(row).collect()
}

/// Everything that a caller may ask for, under the names of the page.
#[derive(Default)]
struct Named {
    names: BTreeSet<String>,
    schemas: BTreeSet<String>,
}

impl Named {
    fn of_document() -> Self {
        let mut named = Self::default();
        for (path, item) in document()["paths"].as_object().expect("paths") {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    named.operation(&format!("{} {path}", method.to_uppercase()), operation);
                }
            }
        }
        named
    }

    fn operation(&mut self, name: &str, operation: &'static Value) {
        self.names.insert(name.to_owned());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            self.names.insert(match component(parameter) {
                Some(shared) => shared.to_owned(),
                None => format!("{name}?{}", text(&parameter["name"])),
            });
        }
        self.schema(&operation["requestBody"]["content"]["application/json"]["schema"]);
    }

    /// A schema's members and values, and those of all that it is made of.
    fn schema(&mut self, schema: &'static Value) {
        match component(schema) {
            Some(name) if !self.schemas.insert(name.to_owned()) => {}
            name => self.parts(resolved(schema), name),
        }
    }

    /// A schema within another: under its own name, or without one under that of what it is part of.
    fn part(&mut self, part: &'static Value, name: Option<&str>) {
        match component(part) {
            Some(_) => self.schema(part),
            None => self.parts(part, name),
        }
    }

    fn parts(&mut self, schema: &'static Value, name: Option<&str>) {
        for (member, of_member) in schema["properties"].as_object().into_iter().flatten() {
            let member = name.map(|name| format!("{name}.{member}"));
            self.names.extend(member.clone());
            self.part(of_member, member.as_deref());
        }
        for value in schema["enum"].as_array().into_iter().flatten() {
            if let Some(name) = name {
                self.names.insert(format!("{name}: {}", text(value)));
            }
        }
        for several in ["allOf", "anyOf", "oneOf"] {
            for part in schema[several].as_array().into_iter().flatten() {
                self.part(part, name);
            }
        }
        if schema["items"].is_object() {
            self.schema(&schema["items"]);
        }
    }
}

/// The name behind a `$ref`.
fn component(part: &'static Value) -> Option<&'static str> {
    part["$ref"].as_str()?.rsplit('/').next()
}

#[test]
fn everything_in_the_document_has_a_row_and_each_row_is_about_something_in_it() {
    let listed: Vec<String> = rows().into_iter().map(|(name, _)| name).collect();
    let distinct: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(distinct.len(), listed.len(), "a row twice");
    let Named { names, .. } = Named::of_document();
    let missing: Vec<&String> = names.difference(&distinct).collect();
    let unknown: Vec<&String> = distinct.difference(&names).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );
}

#[test]
fn the_tests_that_the_page_names_are_there() {
    let exists = |test: &str| {
        let (module, name) = test.split_once("::")?;
        let source = root().join("tests").join(module).with_extension("rs");
        let source = std::fs::read_to_string(source).ok()?;
        source.contains(&format!("fn {name}()")).then_some(())
    };
    let named: BTreeSet<String> = rows().into_iter().map(|(_, test)| test).collect();
    let missing: Vec<&String> = named.iter().filter(|test| exists(test).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
