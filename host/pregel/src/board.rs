//! All channels of one execution with their versions, and how a step's writes are applied to them.
//!
//! Follows `apply_writes` of LangGraph step by step: the order decides what reducers see and which node runs next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::checkpoint::{Change, ChannelValue, Checkpoint, Version};
use selvedge_model::run::RunError;

use crate::channel::{self, Held, Kind, Updated};
use crate::graph::Graph;
use crate::task::{Path, TaskInfo};

/// Whose versions a run has passed its breakpoints with.
pub(crate) const INTERRUPT: &str = "__interrupt__";

/// Numbers of channels.
pub(crate) type Channels = BTreeSet<usize>;

/// What one task wrote, as far as applying it goes.
#[derive(Clone, Debug)]
pub(crate) struct TaskWrites {
    pub(crate) path: Path,
    pub(crate) info: Arc<TaskInfo>,
    pub(crate) writes: Arc<Vec<(String, Json)>>,
}

/// A question to the graph's own reducer.
#[derive(Clone, Debug)]
pub(crate) struct ReduceCall {
    pub(crate) channel: usize,
    pub(crate) current: Json,
    pub(crate) updates: Vec<Json>,
}

/// The answers, by channel.
pub(crate) type Reduced = HashMap<usize, Json>;

/// The channels of an execution.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) graph: Arc<Graph>,
    pub(crate) held: Vec<Held>,
    pub(crate) versions: BTreeMap<String, Version>,
    pub(crate) seen: BTreeMap<String, BTreeMap<String, Version>>,
    /// What changed since the last checkpoint.
    dirty: BTreeMap<usize, Dirty>,
}

#[derive(Clone, Debug)]
enum Dirty {
    Replaced,
    Grown(Vec<Json>),
}

impl Board {
    /// The channels as a checkpoint left them; `None` for a thread without one.
    pub(crate) fn load(graph: &Arc<Graph>, checkpoint: Option<&Checkpoint>) -> Self {
        let held = graph.channels.values().map(|spec| {
            let saved = checkpoint.and_then(|c| c.values.get(&spec.name));
            saved.map_or_else(|| spec.initial(), |value| spec.load(value))
        });
        let held = held.collect();
        Self {
            graph: Arc::clone(graph),
            held,
            versions: checkpoint.map(|c| c.versions.clone()).unwrap_or_default(),
            seen: checkpoint
                .map(|c| c.versions_seen.clone())
                .unwrap_or_default(),
            dirty: BTreeMap::new(),
        }
    }

    pub(crate) fn is_available(&self, channel: usize) -> bool {
        self.graph.channels[channel].is_available(&self.held[channel])
    }

    /// An object of those of the channels that hold something.
    pub(crate) fn read(&self, channels: &[usize]) -> Json {
        let held = channels.iter().map(|&c| (c, &self.held[c]));
        object(&self.graph, held)
    }

    /// What the graph's own reducers must be asked before these writes can be applied.
    pub(crate) fn to_reduce(&self, tasks: &[TaskWrites]) -> Result<Vec<ReduceCall>, RunError> {
        if !self.graph.has_custom {
            return Ok(Vec::new());
        }
        let mut calls = Vec::new();
        for (channel, writes) in self.grouped(&sorted(tasks)) {
            if self.graph.channels[channel].kind != Kind::Custom {
                continue;
            }
            if let Some((current, updates)) = channel::to_reduce(&self.held[channel], &writes)? {
                calls.push(ReduceCall {
                    channel,
                    current,
                    updates,
                });
            }
        }
        Ok(calls)
    }

    /// Applies the writes of a step and says which channels they changed.
    ///
    /// After an error the values are as they were, but versions are not: the board is for reading only then.
    pub(crate) fn apply(
        &mut self,
        tasks: &[TaskWrites],
        reduced: &Reduced,
    ) -> Result<Channels, RunError> {
        let tasks = sorted(tasks);
        // Writes that no task made (a command's) do not end a step.
        let ends_step = tasks.iter().any(|t| !t.info.triggers.is_empty());
        let next = self.versions.values().max().copied().unwrap_or(0) + 1;
        self.mark_seen(&tasks);
        self.consume(&tasks, next);
        let mut updated = self.update(&tasks, reduced, next)?;
        if ends_step {
            self.expire(&updated, next);
            let triggers_none = updated
                .iter()
                .all(|&c| self.graph.triggered_by[c].is_empty());
            if triggers_none {
                self.finish(&mut updated, next);
            }
        }
        Ok(updated)
    }

    /// Empties what holds for one step only.
    pub(crate) fn expire_all(&mut self) {
        for (held, spec) in self.held.iter_mut().zip(self.graph.channels.values()) {
            spec.expire(held);
        }
    }

    /// What changed since the last call, for a checkpoint.
    pub(crate) fn take_changes(&mut self) -> BTreeMap<String, Change> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .into_iter()
            .filter_map(|(channel, dirty)| {
                let spec = &self.graph.channels[channel];
                let change = match (dirty, spec.save(&self.held[channel])) {
                    _ if spec.kind == Kind::Untracked => return None,
                    (_, None) => Change::Clear,
                    (Dirty::Grown(items), Some(_)) => Change::Append(items),
                    (Dirty::Replaced, Some(value)) => {
                        Change::Set(self.sanitized(&spec.kind, value))
                    }
                };
                Some((spec.name.clone(), change))
            })
            .collect()
    }

    /// The run goes on past whatever it was stopped at.
    pub(crate) fn pass_breakpoints(&mut self) {
        let seen = self.seen.entry(INTERRUPT.to_owned()).or_default();
        for (name, version) in &self.versions {
            if self.graph.channel(name).is_some() {
                seen.insert(name.clone(), *version);
            }
        }
    }

    /// Whether anything changed since the run last went on past a breakpoint.
    pub(crate) fn changed_since_breakpoint(&self) -> bool {
        let seen = self.seen.get(INTERRUPT);
        self.versions
            .iter()
            .any(|(name, version)| seen.and_then(|s| s.get(name)).is_none_or(|s| version > s))
    }

    /// Whether one of a node's triggers holds something that the node has not reacted to.
    pub(crate) fn triggers(&self, node: usize) -> bool {
        let node = &self.graph.nodes[node];
        let seen = self.seen.get(&node.name);
        node.triggers.iter().any(|&channel| {
            if !self.is_available(channel) {
                return false;
            }
            let Some(seen) = seen else { return true };
            let name = self.graph.channel_name(channel);
            self.versions.get(name).copied().unwrap_or(0) > seen.get(name).copied().unwrap_or(0)
        })
    }

    fn mark_seen(&mut self, tasks: &[&TaskWrites]) {
        for task in tasks {
            let name = &task.info.name;
            if !self.seen.contains_key(name) {
                self.seen.insert(name.clone(), BTreeMap::new());
            }
            let Some(seen) = self.seen.get_mut(name) else {
                continue;
            };
            for trigger in &task.info.triggers {
                if let Some(version) = self.versions.get(trigger) {
                    seen.insert(trigger.clone(), *version);
                }
            }
        }
    }

    fn consume(&mut self, tasks: &[&TaskWrites], next: Version) {
        let read: Channels = tasks
            .iter()
            .flat_map(|t| &t.info.triggers)
            .filter_map(|name| self.graph.channel(name))
            .collect();
        for channel in read {
            if self.graph.channels[channel].consume(&mut self.held[channel]) {
                self.changed(channel, Dirty::Replaced, next);
            }
        }
    }

    fn update(
        &mut self,
        tasks: &[&TaskWrites],
        reduced: &Reduced,
        next: Version,
    ) -> Result<Channels, RunError> {
        let graph = Arc::clone(&self.graph);
        let mut changes = Vec::new();
        for (channel, writes) in self.grouped(tasks) {
            let spec = &graph.channels[channel];
            changes.push((
                channel,
                spec.update(&self.held[channel], &writes, reduced.get(&channel))?,
            ));
        }
        let mut updated = Channels::new();
        for (channel, change) in changes {
            let dirty = match &change {
                Updated::Grown(items) => Dirty::Grown(items.clone()),
                _ => Dirty::Replaced,
            };
            if !change.commit(&mut self.held[channel]) {
                continue;
            }
            self.changed(channel, dirty, next);
            if self.is_available(channel) {
                updated.insert(channel);
            }
        }
        Ok(updated)
    }

    fn expire(&mut self, updated: &Channels, next: Version) {
        for channel in 0..self.held.len() {
            if updated.contains(&channel) || !self.is_available(channel) {
                continue;
            }
            if self.graph.channels[channel].expire(&mut self.held[channel]) {
                self.changed(channel, Dirty::Replaced, next);
            }
        }
    }

    fn finish(&mut self, updated: &mut Channels, next: Version) {
        for channel in 0..self.held.len() {
            if self.graph.channels[channel].finish(&mut self.held[channel]) {
                self.changed(channel, Dirty::Replaced, next);
                if self.is_available(channel) {
                    updated.insert(channel);
                }
            }
        }
    }

    fn changed(&mut self, channel: usize, change: Dirty, next: Version) {
        let name = self.graph.channel_name(channel);
        let is_new = !self.versions.contains_key(name);
        if is_new {
            self.versions.insert(name.to_owned(), next);
        } else if let Some(version) = self.versions.get_mut(name) {
            *version = next;
        }
        let dirty = match (change, self.dirty.remove(&channel)) {
            // The parent's checkpoint holds no list that items could be added to.
            (Dirty::Grown(_), None) if is_new => Dirty::Replaced,
            (Dirty::Grown(items), None) => Dirty::Grown(items),
            (Dirty::Grown(more), Some(Dirty::Grown(mut items))) => {
                items.extend(more);
                Dirty::Grown(items)
            }
            _ => Dirty::Replaced,
        };
        self.dirty.insert(channel, dirty);
    }

    /// Writes by channel, in the order of the first write to each. What goes to no channel of ours is dropped.
    fn grouped(&self, tasks: &[&TaskWrites]) -> IndexMap<usize, Vec<Json>> {
        let mut by_channel: IndexMap<usize, Vec<Json>> = IndexMap::new();
        for (name, value) in tasks.iter().flat_map(|t| t.writes.iter()) {
            if let Some(channel) = self.graph.channel(name) {
                by_channel.entry(channel).or_default().push(value.clone());
            }
        }
        by_channel
    }

    /// Untracked values must not slip into a checkpoint inside the input of a `Send`.
    fn sanitized(&self, kind: &Kind, value: ChannelValue) -> ChannelValue {
        if *kind != Kind::Packets || !self.graph.has_untracked {
            return value;
        }
        let packets = value.to_json().items().unwrap_or_default();
        let clean: Vec<Json> = packets
            .iter()
            .map(|p| sanitized_packet(&self.graph, p))
            .collect();
        ChannelValue::Whole(Json::array(&clean))
    }
}

/// A `Send` without the untracked values that its input names.
pub(crate) fn sanitized_packet(graph: &Graph, packet: &Json) -> Json {
    let Some(mut packet) = channel::Packet::from_json(packet) else {
        return packet.clone();
    };
    if let Some(mut members) = packet.input.members() {
        members.retain(|name, _| {
            let index = graph.channel(name);
            index.is_none_or(|c| graph.channels[c].kind != Kind::Untracked)
        });
        packet.input = Json::object(members.iter());
    }
    packet.to_json()
}

/// An object of what the channels hold, without those that hold nothing.
pub(crate) fn object<'a>(graph: &Graph, held: impl Iterator<Item = (usize, &'a Held)>) -> Json {
    let members: Vec<(&str, Json)> = held
        .filter_map(|(c, held)| Some((graph.channel_name(c), channel::value_of(held)?)))
        .collect();
    Json::object(members.iter().map(|(name, value)| (*name, value)))
}

fn sorted(tasks: &[TaskWrites]) -> Vec<&TaskWrites> {
    let mut tasks: Vec<&TaskWrites> = tasks.iter().collect();
    tasks.sort_by(|a, b| (a.path, &a.info.name).cmp(&(b.path, &b.info.name)));
    tasks
}
