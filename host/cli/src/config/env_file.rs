//! `.env` files: names and values for graphs.

use std::path::Path;

use serde_json::{Map, Value};

/// The variables of a file; the error names the file.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let unreadable = |error: dotenvy::Error| match error {
        // The line may hold a secret, so it is not repeated.
        dotenvy::Error::LineParse(line, column) => {
            let number = line_number(path, &line);
            format!(
                "{}{number} is not of the form NAME=value (column {})",
                path.display(),
                column + 1
            )
        }
        error => format!("cannot read {}: {error}", path.display()),
    };
    let mut variables = Map::new();
    for variable in dotenvy::from_path_iter(path).map_err(unreadable)? {
        let (name, value) = variable.map_err(unreadable)?;
        variables.insert(name, Value::String(value));
    }
    Ok(variables)
}

fn line_number(path: &Path, line: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .position(|candidate| candidate.trim() == line.trim())
        .map_or_else(String::new, |index| format!(":{}", index + 1))
}
