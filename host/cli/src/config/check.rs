//! Walks the tree of a configuration file beside the table of keys: unknown names, wrong types, keys that cannot be
//! honoured. Replaces `${{ env.NAME }}` on the way. Whatever passes can be read without further questions.

use serde_json::{Map, Value};

use super::env_file;
use super::keys::{self, Fallback, Item, Key, Kind, Name, Status};
use super::place::Place;
use super::problems::Problems;
use super::template::{self, TemplateError};
use super::values;
use super::{Environment, suggest};

/// What the walk reads and what it finds.
pub(super) struct Check<'a> {
    /// The process's environment, and where `.env` files are looked for.
    pub(super) environment: &'a Environment,
    /// `webhooks.env_prefix`.
    pub(super) header_prefix: String,
    /// Everything that is wrong.
    pub(super) problems: Problems,
    /// Keys that are accepted and have no effect.
    pub(super) ignored: Vec<String>,
}

impl Check<'_> {
    /// An object whose members the table lists, or whose names the operator chooses.
    pub(super) fn members(&mut self, place: &Place<'_>, members: &mut Map<String, Value>) {
        for (name, value) in members.iter_mut() {
            match place.member(name) {
                (member, Some(key)) => self.key(&member, key, value),
                (member, None) => self.unknown(place, &member, name),
            }
        }
        for name in keys::names_below(place.pattern()) {
            let (member, key) = place.member(name);
            let required = key.is_some_and(|key| matches!(key.default, Fallback::Required));
            if required && !members.contains_key(name) {
                self.problems.add(member.to_string(), "must be given");
            }
        }
    }

    fn key(&mut self, place: &Place<'_>, key: &Key, value: &mut Value) {
        match key.status {
            Status::Works => self.value(place, key, value),
            Status::Ignored => self.ignored.push(place.path().to_owned()),
            Status::Refused => self.problems.add(place.to_string(), key.meaning),
            Status::Later => self.later(place, value),
        }
    }

    /// A group that is not supported yet may hold a key of LangGraph's about which there is more to say.
    fn later(&mut self, place: &Place<'_>, value: &Value) {
        let refused: Vec<(Place<'_>, &Key)> = value
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys())
            .filter_map(|name| match place.member(name) {
                (member, Some(key)) if key.status == Status::Refused => Some((member, key)),
                _ => None,
            })
            .collect();
        if refused.is_empty() {
            self.problems.add(
                place.to_string(),
                "not supported by this version of Selvedge yet",
            );
        }
        for (member, key) in refused {
            self.problems.add(member.to_string(), key.meaning);
        }
    }

    fn unknown(&mut self, group: &Place<'_>, member: &Place<'_>, name: &str) {
        let hint = match name.rsplit_once('.').filter(|_| keys::find(name).is_some()) {
            Some((path, name)) => format!("; write it as `{name}` in the object `{path}`"),
            None => match suggest::nearest(name, keys::names_below(group.pattern())) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => suggest::elsewhere(name)
                    .map_or_else(String::new, |path| format!("; there is `{path}`")),
            },
        };
        self.problems
            .add(member.to_string(), format!("unknown key{hint}"));
    }

    fn value(&mut self, place: &Place<'_>, key: &Key, value: &mut Value) {
        match (key.kind, &mut *value) {
            (Kind::Section, Value::Object(members)) => self.members(place, members),
            (Kind::Map(name), Value::Object(members)) => self.map(place, name, members),
            (Kind::Graph, Value::Object(members)) => self.members(place, members),
            (Kind::Graph | Kind::Component, Value::String(text)) => self.component(place, text),
            (Kind::Environment, Value::Object(members)) => self.variables(place, members),
            (Kind::Environment, Value::String(_)) => self.env_file(place, value),
            (Kind::Object, Value::Object(_)) => {
                self.has_template(place, value);
            }
            (Kind::List(item), Value::Array(elements)) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    self.element(&place.element(index), key, item, element);
                }
            }
            (Kind::Sections, Value::Array(elements)) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    self.section(&place.section(index), element);
                }
            }
            (Kind::Text | Kind::AnyText | Kind::KeyHash, Value::String(_)) => {
                self.text(place, key, value);
            }
            (kind, value) => {
                if !self.has_template(place, value) {
                    self.report(place, values::scalar(kind, value));
                }
            }
        }
    }

    fn element(&mut self, place: &Place<'_>, key: &Key, item: Item, element: &mut Value) {
        if let (true, Value::String(text)) = (key.templates, &mut *element) {
            let is_template = template::is_template(text);
            let is_rendered = self.render(place, text, None);
            // A command that needs no values has none to judge.
            if !is_rendered || (is_template && !self.environment.needs_values) {
                return;
            }
        } else if self.has_template(place, element) {
            return;
        }
        self.report(place, values::item(item, element));
    }

    fn section(&mut self, place: &Place<'_>, element: &mut Value) {
        match element {
            Value::Object(members) => self.members(place, members),
            other => self.report(place, values::scalar(Kind::Section, other)),
        }
    }

    fn map(&mut self, place: &Place<'_>, name: Name, members: &mut Map<String, Value>) {
        if name == Name::Graph && members.is_empty() {
            self.problems.add(place.to_string(), "names no graph");
        }
        for member in members.keys() {
            self.report(&place.member(member).0, values::name(name, member));
        }
        self.members(place, members);
    }

    fn component(&mut self, place: &Place<'_>, text: &str) {
        self.report(place, values::component(text));
    }

    fn variables(&mut self, place: &Place<'_>, members: &mut Map<String, Value>) {
        for (name, value) in members {
            let (member, _) = place.member(name);
            self.report(&member, values::name(Name::Variable, name));
            match value {
                Value::String(text) => {
                    self.render(&member, text, None);
                }
                other => {
                    let found = values::describe(other);
                    self.problems
                        .add(member.to_string(), format!("must be a text, not {found}"));
                }
            }
        }
    }

    /// Replaces the path by what the file says.
    fn env_file(&mut self, place: &Place<'_>, value: &mut Value) {
        let Some(path) = value
            .as_str()
            .map(|path| self.environment.directory.join(path))
        else {
            return;
        };
        match env_file::read(&path) {
            Ok(variables) => *value = Value::Object(variables),
            Err(message) => self.problems.add(place.to_string(), message),
        }
        if let Value::Object(members) = value {
            for name in members.keys() {
                self.report(place, values::name(Name::Variable, name));
            }
        }
    }

    fn text(&mut self, place: &Place<'_>, key: &Key, value: &mut Value) {
        let mut is_known = true;
        if !key.templates {
            self.has_template(place, value);
        } else if let Value::String(text) = value {
            let header = place.pattern().starts_with("webhooks.headers.");
            let prefix = header.then(|| self.header_prefix.clone());
            // A command that needs no values has none to judge.
            let stands_in = template::is_template(text) && !self.environment.needs_values;
            is_known = self.render(place, text, prefix.as_deref()) && !stands_in;
            if header {
                self.report(place, values::header_value(text));
            }
        }
        if is_known {
            self.report(place, values::scalar(key.kind, value));
        }
    }

    /// Whether the text could be rendered. What a variable holds never gets into a message.
    fn render(&mut self, place: &Place<'_>, text: &mut String, prefix: Option<&str>) -> bool {
        let message = match template::render(text, prefix, &|name| self.environment.variable(name))
        {
            Ok(rendered) => {
                *text = rendered;
                return true;
            }
            Err(TemplateError::Unset(name)) => {
                format!("the environment variable {name} is not set")
            }
            Err(TemplateError::OutsidePrefix(name)) => {
                let prefix = prefix.unwrap_or_default();
                format!("{name} does not begin with webhooks.env_prefix (\"{prefix}\")")
            }
            Err(TemplateError::Malformed(part)) => {
                format!("\"{part}\" is not of the form ${{{{ env.NAME }}}}")
            }
        };
        self.problems.add(place.to_string(), message);
        false
    }

    /// Someone who writes `${{ env.X }}` expects a variable: passing the text on unread would be a silent mistake. Says
    /// whether that was reported, after which there is nothing to say about the value itself.
    fn has_template(&mut self, place: &Place<'_>, value: &Value) -> bool {
        match value {
            Value::String(text) if template::is_template(text) => {
                self.problems
                    .add(place.to_string(), "variables are not replaced in this key");
                true
            }
            Value::Array(elements) => {
                let mut found = false;
                for (index, element) in elements.iter().enumerate() {
                    found |= self.has_template(&place.element(index), element);
                }
                found
            }
            Value::Object(members) => {
                let mut found = false;
                for (name, value) in members {
                    found |= self.has_template(&place.member(name).0, value);
                }
                found
            }
            _ => false,
        }
    }

    fn report(&mut self, place: &Place<'_>, verdict: Result<(), String>) {
        if let Err(message) = verdict {
            self.problems.add(place.to_string(), message);
        }
    }
}
