//! Looking at a graph from outside: its picture, and the graphs that its nodes stand for.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use selvedge_pregel::nested::DEEPEST;
use selvedge_pregel::{Drawing, Failure, Nested};

use super::Part;
use super::configured::Asker;
use super::setting::Setting;
use crate::Shared;

/// Graphs inside one that are listed or drawn; a graph that contains itself would have more than anybody can read.
const MOST_INSIDE: usize = 256;

/// Nodes and edges of one drawing; beyond it the nodes that stand for graphs stay closed. A graph itself is always drawn.
const MOST_DRAWN: usize = 10_000;

/// A walk through the graphs inside one.
pub(crate) struct Tour<'a> {
    shared: &'a Shared,
    setting: &'a Setting,
    left: usize,
    /// Nodes and edges that may still be drawn.
    to_draw: usize,
}

impl<'a> Tour<'a> {
    pub(crate) fn new(shared: &'a Shared, setting: &'a Setting) -> Self {
        Self {
            shared,
            setting,
            left: MOST_INSIDE,
            to_draw: MOST_DRAWN,
        }
    }

    /// The graphs inside, by the paths of nodes that lead to them (`node|node`), down to a depth.
    pub(crate) async fn list(
        mut self,
        part: &Part,
        depth: usize,
    ) -> Result<Vec<(String, Part)>, Failure> {
        let mut found = Vec::new();
        self.gather(part, "", depth.min(DEEPEST), &mut found)
            .await?;
        Ok(found)
    }

    fn gather<'b>(
        &'b mut self,
        part: &'b Part,
        path: &'b str,
        depth: usize,
        into: &'b mut Vec<(String, Part)>,
    ) -> BoxFuture<'b, Result<(), Failure>> {
        async move {
            for (node, nested) in part.graph.nested() {
                let Some(within) = self.enter(part, nested, depth).await? else {
                    continue;
                };
                let path = format!("{path}{node}");
                into.push((path.clone(), within.clone()));
                self.gather(&within, &format!("{path}|"), depth - 1, into)
                    .await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// The picture of the graph, with those inside opened down to a depth.
    pub(crate) async fn draw(mut self, part: &Part, depth: usize) -> Result<Drawing, Failure> {
        let drawing = part.graph.drawing();
        self.to_draw = self.to_draw.saturating_sub(drawing.size());
        self.opened(part, drawing, depth.min(DEEPEST)).await
    }

    fn opened<'b>(
        &'b mut self,
        part: &'b Part,
        mut drawing: Drawing,
        depth: usize,
    ) -> BoxFuture<'b, Result<Drawing, Failure>> {
        async move {
            for (node, nested) in part.graph.nested() {
                let Some(within) = self.enter(part, nested, depth).await? else {
                    continue;
                };
                let inner = within.graph.drawing();
                let Some(left) = self.to_draw.checked_sub(inner.size()) else {
                    continue;
                };
                self.to_draw = left;
                let inner = self.opened(&within, inner, depth - 1).await?;
                drawing = drawing.open(node, inner);
                // A large one is many such steps: whoever else is served by this thread comes in between.
                tokio::task::yield_now().await;
            }
            Ok(drawing)
        }
        .boxed()
    }

    /// The graph that a node stands for, unless that is too deep, or one too many.
    async fn enter(
        &mut self,
        part: &Part,
        nested: &Nested,
        depth: usize,
    ) -> Result<Option<Part>, Failure> {
        if depth == 0 || self.left == 0 {
            return Ok(None);
        }
        let asker = Asker::nobody();
        let within = self
            .shared
            .within(part, nested, self.setting, asker)
            .await?;
        self.left -= usize::from(within.is_some());
        Ok(within)
    }
}
