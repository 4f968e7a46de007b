//! How URLs are written where people read them.

/// A URL, admitted or not, for logs and records: without credentials, query and fragment.
#[must_use]
pub fn without_query(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = &text[..end];
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_query_and_credentials() {
        for (text, shown) in [
            ("https://a.example/b?token=s#f", "https://a.example/b"),
            ("https://u:p@a.example/b", "https://a.example/b"),
            ("https://a.example?token=s", "https://a.example"),
            ("nonsense?token=s", "nonsense"),
        ] {
            assert_eq!(without_query(text), shown);
        }
    }
}
