//! `${{ env.NAME }}` in the texts of a configuration.

/// Why a text cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// Something in `${{ … }}` that is not `env.NAME`.
    Malformed(String),
    /// The variable is not set.
    Unset(String),
    /// The variable does not begin with `webhooks.env_prefix`.
    OutsidePrefix(String),
}

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// Whether a text asks for a variable.
pub(super) fn is_template(text: &str) -> bool {
    text.match_indices(OPEN)
        .any(|(at, _)| text[at + OPEN.len()..].trim_start().starts_with("env."))
}

/// The text with its variables replaced. What a variable holds is not searched again.
pub(super) fn render(
    text: &str,
    prefix: Option<&str>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        rendered.push_str(before);
        let (inside, after) = after
            .split_once(CLOSE)
            .ok_or_else(|| TemplateError::Malformed(format!("{OPEN}{after}")))?;
        let name = inside
            .trim()
            .strip_prefix("env.")
            .filter(|name| is_variable_name(name))
            .ok_or_else(|| TemplateError::Malformed(format!("{OPEN}{inside}{CLOSE}")))?;
        if prefix.is_some_and(|prefix| !name.starts_with(prefix)) {
            return Err(TemplateError::OutsidePrefix(name.to_owned()));
        }
        rendered.push_str(&lookup(name).ok_or_else(|| TemplateError::Unset(name.to_owned()))?);
        rest = after;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// Letters, digits and underscores, not beginning with a digit.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "LG_B" => Some("${{ env.A }}".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_wherever_they_stand_and_once() {
        assert_eq!(
            render("x ${{ env.A }}-${{env.A}} y", None, &lookup),
            Ok("x one-one y".into())
        );
        assert_eq!(
            render("${{ env.LG_B }}", None, &lookup),
            Ok("${{ env.A }}".into())
        );
        assert_eq!(
            render("$A ${A} {{A}}", None, &lookup),
            Ok("$A ${A} {{A}}".into())
        );
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        let unset = render("${{ env.NOPE }}", None, &lookup);
        assert_eq!(unset, Err(TemplateError::Unset("NOPE".into())));
        for text in [
            "${{ env.A",
            "${{ A }}",
            "${{ env. }}",
            "${{ env.1A }}",
            "${{ env.A B }}",
        ] {
            let malformed = render(text, None, &lookup);
            assert!(
                matches!(malformed, Err(TemplateError::Malformed(_))),
                "{text}"
            );
        }
        let outside = render("${{ env.A }}", Some("LG_"), &lookup);
        assert_eq!(outside, Err(TemplateError::OutsidePrefix("A".into())));
    }
}
