//! A router that knows its paths, so that the OpenAPI document can be held against it.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get};

use crate::openapi;
use crate::routes::Edge;

/// Routes, and the paths among them that callers are told of.
pub(crate) struct Routes {
    router: Router<Arc<Edge>>,
    paths: Vec<String>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            paths: Vec::new(),
        }
    }

    pub(crate) fn route(mut self, path: &str, methods: MethodRouter<Arc<Edge>>) -> Self {
        self.paths.push(path.to_owned());
        Self {
            router: self.router.route(path, methods),
            ..self
        }
    }

    pub(crate) fn merge(mut self, mut other: Self) -> Self {
        self.paths.append(&mut other.paths);
        self.merge_undocumented(other)
    }

    /// Adds routes that answer and are not told of.
    pub(crate) fn merge_undocumented(self, other: Self) -> Self {
        Self {
            router: self.router.merge(other.router),
            ..self
        }
    }

    /// The router alone.
    pub(crate) fn undocumented(self) -> Router<Arc<Edge>> {
        self.router
    }

    /// The router, with the document of all of this and the page that shows it.
    pub(crate) fn documented(self) -> Router<Arc<Edge>> {
        const DOCUMENT: &str = "/openapi.json";
        let mut routes = self.route("/docs", get(openapi::page));
        routes.paths.push(DOCUMENT.to_owned());
        let document = openapi::document(&routes.paths);
        let answer = async || openapi::json(document);
        routes.router.route(DOCUMENT, get(answer))
    }
}
