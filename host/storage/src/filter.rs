//! [`ItemFilter`]: conditions on the values of store items. Pure; every implementation of storage asks the same one.

use std::cmp::Ordering;

use selvedge_model::Json;
use serde_json::Value;

use crate::numbers::{self, equal};

/// Conditions on an item's value, all of which must hold. The default has none.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    members: Vec<(String, Condition)>,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is no object.
    #[error("a filter must be an object")]
    NoObject,
    /// It has an operator that there is not.
    #[error("Unsupported operator: {0}")]
    UnsupportedOperator(String),
}

#[derive(Clone, Debug)]
enum Condition {
    /// `{"$gt": 1, "$lt": 5}`: all of them.
    Operators(Vec<(Operator, Value)>),
    /// `{"a": …}`: an object whose members meet theirs.
    Members(Vec<(String, Condition)>),
    /// `[…]`: an array of the same length whose items meet theirs.
    Items(Vec<Condition>),
    /// The same value.
    Equal(Value),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl ItemFilter {
    /// Reads a filter: `{"field": value}` or `{"field": {"$gt": value}}`, nested as deep as the value is.
    ///
    /// # Errors
    /// When it is no object, or names an operator that is none of `$eq $ne $gt $gte $lt $lte`.
    pub fn parse(filter: &Json) -> Result<Self, FilterError> {
        match filter.to_value() {
            Value::Object(members) => Ok(Self {
                members: conditions(members)?,
            }),
            _ => Err(FilterError::NoObject),
        }
    }

    /// Whether every value meets it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a value meets all conditions. A member that is not there counts as `null`.
    #[must_use]
    pub fn matches(&self, value: &Json) -> bool {
        self.is_empty() || members_match(&self.members, &value.to_value())
    }
}

fn conditions(
    members: serde_json::Map<String, Value>,
) -> Result<Vec<(String, Condition)>, FilterError> {
    members
        .into_iter()
        .map(|(name, wanted)| Ok((name, condition(wanted)?)))
        .collect()
}

fn condition(wanted: Value) -> Result<Condition, FilterError> {
    match wanted {
        Value::Object(members) if members.keys().any(|name| name.starts_with('$')) => members
            .into_iter()
            .map(|(name, operand)| Ok((operator(&name)?, operand)))
            .collect::<Result<_, _>>()
            .map(Condition::Operators),
        Value::Object(members) => Ok(Condition::Members(conditions(members)?)),
        Value::Array(items) => items
            .into_iter()
            .map(condition)
            .collect::<Result<_, _>>()
            .map(Condition::Items),
        scalar => Ok(Condition::Equal(scalar)),
    }
}

fn operator(name: &str) -> Result<Operator, FilterError> {
    match name {
        "$eq" => Ok(Operator::Eq),
        "$ne" => Ok(Operator::Ne),
        "$gt" => Ok(Operator::Gt),
        "$gte" => Ok(Operator::Gte),
        "$lt" => Ok(Operator::Lt),
        "$lte" => Ok(Operator::Lte),
        other => Err(FilterError::UnsupportedOperator(other.to_owned())),
    }
}

fn members_match(members: &[(String, Condition)], value: &Value) -> bool {
    value.is_object()
        && members
            .iter()
            .all(|(name, condition)| holds(condition, value.get(name).unwrap_or(&Value::Null)))
}

fn holds(condition: &Condition, value: &Value) -> bool {
    match condition {
        Condition::Operators(operators) => operators
            .iter()
            .all(|(operator, operand)| compares(*operator, value, operand)),
        Condition::Members(members) => members_match(members, value),
        Condition::Items(conditions) => value.as_array().is_some_and(|items| {
            items.len() == conditions.len()
                && items.iter().zip(conditions).all(|(v, c)| holds(c, v))
        }),
        Condition::Equal(wanted) => equal(value, wanted),
    }
}

fn compares(operator: Operator, value: &Value, operand: &Value) -> bool {
    let order = order(value, operand);
    match operator {
        Operator::Eq => equal(value, operand),
        Operator::Ne => !equal(value, operand),
        Operator::Gt => order == Some(Ordering::Greater),
        Operator::Gte => order.is_some_and(Ordering::is_ge),
        Operator::Lt => order == Some(Ordering::Less),
        Operator::Lte => order.is_some_and(Ordering::is_le),
    }
}

/// Numbers are ordered among themselves, and so are texts; nothing else is.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers::order(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(value: &str, filter: &str) -> bool {
        let json = |text: &str| Json::parse(text).unwrap();
        ItemFilter::parse(&json(filter))
            .unwrap()
            .matches(&json(value))
    }

    #[test]
    fn every_condition_must_hold() {
        let value = r#"{"n":5,"s":"b","o":{"x":1,"y":2},"l":[1,2]}"#;
        for (filter, expected) in [
            ("{}", true),
            (r#"{"n":5}"#, true),
            (r#"{"n":5.0}"#, true),
            (r#"{"n":"5"}"#, false),
            (r#"{"n":{"$eq":5},"s":{"$ne":"a"}}"#, true),
            (r#"{"n":{"$gt":4,"$lt":5}}"#, false),
            (r#"{"n":{"$gte":5,"$lte":5}}"#, true),
            (r#"{"s":{"$gt":"a"}}"#, true),
            (r#"{"s":{"$gt":1}}"#, false),
            (r#"{"o":{"x":1}}"#, true),
            (r#"{"o":{"x":{"$lt":1}}}"#, false),
            (r#"{"n":{"x":1}}"#, false),
            (r#"{"l":[1,2]}"#, true),
            (r#"{"l":[1]}"#, false),
            (r#"{"missing":null}"#, true),
            (r#"{"missing":{"$ne":1}}"#, true),
            (r#"{"missing":{"$gt":1}}"#, false),
        ] {
            assert_eq!(matches(value, filter), expected, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let parse = |text: &str| ItemFilter::parse(&Json::parse(text).unwrap()).unwrap_err();
        assert_eq!(parse("[]"), FilterError::NoObject);
        assert_eq!(
            parse(r#"{"a":{"$in":[1]}}"#).to_string(),
            "Unsupported operator: $in"
        );
    }
}
