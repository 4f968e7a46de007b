//! How numbers compare in filters.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Integers of 64 bits are compared digit by digit, so that neighbouring ids are never one; others as doubles.
pub(crate) fn order(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether two values are equal, where `1` and `1.0` are one number.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

fn integer(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn neighbours_are_told_apart_and_one_is_one() {
        let id = 1_152_921_504_606_846_976_u64;
        assert!(!equal(&json!(id), &json!(id + 1)));
        assert!(equal(&json!(id), &json!(id)));
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(!equal(&json!(-1), &json!(u64::MAX)));
        assert!(!equal(&json!(1), &json!("1")));
    }
}
