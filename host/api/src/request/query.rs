//! The parameters of a query string. Those that nobody asks for are ignored, as the clients rely on.

use std::convert::Infallible;
use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::{ApiError, ApiResult};

/// Decoded pairs in their order. Bytes that are no UTF-8 have become U+FFFD, which no parameter accepts.
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter; of several the last.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Whether a switch is on, in any of the clients' spellings.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default().to_ascii_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes")
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &self,
        name: &str,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> ApiResult<u32> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let number: i64 = value.parse().map_err(|_| {
            ApiError::bad_request(format!("invalid literal for int() with base 10: '{value}'"))
        })?;
        let within = u32::try_from(number).ok().filter(|n| bounds.contains(n));
        within.ok_or_else(|| {
            ApiError::invalid(format!(
                "{name}: {number} is not between {} and {}",
                bounds.start(),
                bounds.end()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_repeated_parameter_the_last_counts_and_all_can_be_asked_for() {
        let query = Query::parse("a=1&b=x%20y&a=2&c");
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((query.get("b"), query.get("c")), (Some("x y"), Some("")));
        assert_eq!(query.get("d"), None);
    }

    #[test]
    fn switches_are_on_in_every_spelling_of_the_clients() {
        let query = Query::parse("a=1&b=true&c=True&d=yes&e=0&f=false&g&h=%ff");
        let on: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .into_iter()
            .filter(|name| query.flag(name))
            .collect();
        assert_eq!(on, ["a", "b", "c", "d"]);
    }

    #[test]
    fn numbers_are_bounded() {
        let query = Query::parse("a=5&b=11&c=-1&d=x&e=");
        let read = |name| query.integer(name, 7, 1..=10).ok();
        let read: Vec<Option<u32>> = ["a", "b", "c", "d", "e", "f"].map(read).into();
        assert_eq!(read, [Some(5), None, None, None, None, Some(7)]);
    }
}
