//! [`Path`]: which parts of an item's value are embedded, in LangGraph's notation.
//!
//! | notation | leads to |
//! |---|---|
//! | `$` | the value itself |
//! | `a.b` | a member of a member |
//! | `a[0]`, `a[-1]` | an item of an array, counted from its front or its end |
//! | `a[*]` | all items of an array |
//! | `a.*` | all members of an object, or all items of an array |
//! | `a.{b,c}` | these members |

use std::str::FromStr;

use serde_json::Value;

/// Where to look in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `a`, or `{a,b}`: no name twice, so that nothing is found twice.
    Members(Vec<String>),
    /// `*`
    Everything,
    /// `[*]`
    Items,
    /// `[0]`, `[-1]`
    Item(i64),
}

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no path: write \"$\" for the whole value, or \"a.b[*].c\"")]
pub struct NoPath(String);

impl FromStr for Path {
    type Err = NoPath;

    fn from_str(text: &str) -> Result<Self, NoPath> {
        let mut steps = Vec::new();
        for part in text.strip_prefix('$').unwrap_or(text).split('.') {
            read_part(part, &mut steps).ok_or_else(|| NoPath(text.to_owned()))?;
        }
        Ok(Self(steps))
    }
}

/// What stands between two dots. An empty part leads nowhere else.
fn read_part(part: &str, steps: &mut Vec<Step>) -> Option<()> {
    if let Some(names) = part.strip_prefix('{') {
        let mut members: Vec<String> = Vec::new();
        for name in names.strip_suffix('}')?.split(',').map(str::trim) {
            if !name.is_empty() && !members.iter().any(|known| known == name) {
                members.push(name.to_owned());
            }
        }
        steps.push(Step::Members(members));
        return Some(());
    }
    let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
    match name {
        "" => {}
        "*" => steps.push(Step::Everything),
        name => steps.push(Step::Members(vec![name.to_owned()])),
    }
    let mut rest = indices;
    while let Some(behind) = rest.strip_prefix('[') {
        let (index, after) = behind.split_once(']')?;
        steps.push(match index.trim() {
            "*" => Step::Items,
            number => Step::Item(number.parse().ok()?),
        });
        rest = after;
    }
    rest.is_empty().then_some(())
}

impl Path {
    /// Calls with all that it leads to, in order, as long as the call says that it wants more.
    pub fn visit<'a>(&self, value: &'a Value, found: &mut impl FnMut(&'a Value) -> bool) -> bool {
        visit(&self.0, value, found)
    }
}

fn visit<'a>(steps: &[Step], value: &'a Value, found: &mut impl FnMut(&'a Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return found(value);
    };
    let go_on = |value| visit(rest, value, found);
    match (step, value) {
        (Step::Members(names), Value::Object(members)) => {
            names.iter().filter_map(|name| members.get(name)).all(go_on)
        }
        (Step::Everything, Value::Object(members)) => members.values().all(go_on),
        (Step::Everything | Step::Items, Value::Array(items)) => items.iter().all(go_on),
        (Step::Item(index), Value::Array(items)) => item(items, *index).is_none_or(go_on),
        _ => true,
    }
}

fn item(items: &[Value], index: i64) -> Option<&Value> {
    let distance = usize::try_from(index.unsigned_abs()).ok()?;
    match index < 0 {
        true => items.get(items.len().checked_sub(distance)?),
        false => items.get(distance),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, value: &Value) -> Vec<Value> {
        let mut all = Vec::new();
        let path: Path = path.parse().unwrap();
        path.visit(value, &mut |part| {
            all.push(part.clone());
            true
        });
        all
    }

    #[test]
    fn paths_lead_where_langgraph_s_do() {
        let value = json!({
            "text": "hello", "n": 3,
            "arr": ["x", "y", {"c": "deep"}],
            "obj": {"c": "in", "d": {"e": "f"}},
            "m": [{"c": "one", "d": 1}, {"c": "two"}, {"x": 5}],
            "matrix": [[1, 2], [3, 4]],
        });
        let cases: [(&str, Vec<Value>); 29] = [
            ("$", vec![value.clone()]),
            ("", vec![value.clone()]),
            ("text", vec![json!("hello")]),
            ("$.text", vec![json!("hello")]),
            (".text", vec![json!("hello")]),
            ("text.", vec![json!("hello")]),
            ("obj..c", vec![json!("in")]),
            ("obj.d.e", vec![json!("f")]),
            ("arr[0]", vec![json!("x")]),
            ("arr[ 0 ]", vec![json!("x")]),
            ("arr[-1].c", vec![json!("deep")]),
            ("arr[9]", vec![]),
            ("arr[-4]", vec![]),
            ("arr[*]", vec![json!("x"), json!("y"), json!({"c": "deep"})]),
            ("arr.*", vec![json!("x"), json!("y"), json!({"c": "deep"})]),
            ("m[*].c", vec![json!("one"), json!("two")]),
            ("m.*.c", vec![json!("one"), json!("two")]),
            (
                "m[*].*",
                vec![json!("one"), json!(1), json!("two"), json!(5)],
            ),
            ("m.c", vec![]),
            ("obj.*", vec![json!("in"), json!({"e": "f"})]),
            ("obj.{c, d}", vec![json!("in"), json!({"e": "f"})]),
            ("{text,n,text,}", vec![json!("hello"), json!(3)]),
            ("matrix[*][0]", vec![json!(1), json!(3)]),
            ("matrix[1][1]", vec![json!(4)]),
            ("obj[0]", vec![]),
            ("obj[*]", vec![]),
            ("text[0]", vec![]),
            ("text.c", vec![]),
            ("missing.c", vec![]),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path, &value), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "arr[x]", "arr[", "arr[0", "arr[0]x", "{a", "a.{b", "arr[0:2]",
        ] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_visit_ends_when_nothing_more_is_wanted() {
        let value = json!([1, 2, 3]);
        let path: Path = "[*]".parse().unwrap();
        let mut seen = 0;
        assert!(!path.visit(&value, &mut |_| {
            seen += 1;
            seen < 2
        }));
        assert_eq!(seen, 2);
    }
}
