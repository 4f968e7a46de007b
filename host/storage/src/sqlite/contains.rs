//! Containment of JSON values, as PostgreSQL's `@>` (and so LangGraph's metadata filters) define it.

use serde_json::Value;

use crate::numbers::equal;

/// Whether `value` contains `wanted`: an object contains another when it has its members and each contains the
/// other's; an array when each item of the other is contained in one of its own; an array also contains one of
/// its own scalars; anything else only its equal.
pub(super) fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| contains(value, wanted))),
        (Value::Array(value), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| value.iter().any(|value| holds(value, wanted))),
        (Value::Array(value), wanted) if !wanted.is_object() => {
            value.iter().any(|item| equal(item, wanted))
        }
        _ => equal(value, wanted),
    }
}

/// Inside arrays a scalar stands for itself only.
fn holds(item: &Value, wanted: &Value) -> bool {
    if item.is_array() == wanted.is_array() {
        contains(item, wanted)
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containment_is_postgresqls() {
        for (value, wanted, expected) in [
            (
                json!({"a": 1, "b": {"c": 2, "d": 3}}),
                json!({"b": {"c": 2}}),
                true,
            ),
            (json!({"a": 1}), json!({}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": 1}), json!({"b": null}), false),
            (json!({"a": 1}), json!({"a": 1.0}), true),
            (json!([1, 2, [1, 3]]), json!([1, 3]), false),
            (json!([1, 2, [1, 3]]), json!([[1, 3]]), true),
            (json!([1, 2, 3]), json!([3, 1, 3]), true),
            (json!(["x", "y"]), json!("x"), true),
            (json!({"a": ["x"]}), json!({"a": "x"}), true),
            (json!({"a": {"b": 1}}), json!({"a": 1}), false),
            (json!([1.0]), json!(1), true),
            (json!([(1_u64 << 60) + 1]), json!(1_u64 << 60), false),
        ] {
            assert_eq!(contains(&value, &wanted), expected, "{value} @> {wanted}");
        }
    }
}
