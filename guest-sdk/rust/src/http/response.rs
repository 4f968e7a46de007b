//! An answer: its head, and its body as a whole, in pieces, or as server-sent events.

use serde::de::DeserializeOwned;

use super::backend::Body;
use super::error::HttpError;

/// An answer whose body has not been read yet.
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    /// What was read beyond the end of the last line.
    pub(crate) rest: Vec<u8>,
}

/// One event of a `text/event-stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its name; `message` where the server gives none.
    pub event: String,
    /// Its data; several lines are joined with line breaks.
    pub data: String,
}

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The same answer if its status is below 400.
    ///
    /// # Errors
    /// [`HttpError::Status`] with the beginning of the body.
    pub fn error_for_status(mut self) -> Result<Self, HttpError> {
        if self.status < 400 {
            return Ok(self);
        }
        let mut body = Vec::new();
        while let Ok(Some(piece)) = self.chunk()
            && body.len() < 8_000
        {
            body.extend(piece);
        }
        let body = String::from_utf8_lossy(&body)
            .trim()
            .chars()
            .take(2_000)
            .collect();
        Err(HttpError::Status {
            status: self.status,
            body,
        })
    }

    /// The next piece of the body as it arrives; nothing at its end.
    ///
    /// # Errors
    /// If the connection breaks or pauses for too long.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        if self.rest.is_empty() {
            self.body.next()
        } else {
            Ok(Some(std::mem::take(&mut self.rest)))
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn bytes(mut self) -> Result<Vec<u8>, HttpError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk()? {
            all.extend(piece);
        }
        Ok(all)
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); [`HttpError::Protocol`] if it is not UTF-8.
    pub fn text(self) -> Result<String, HttpError> {
        String::from_utf8(self.bytes()?).map_err(|e| HttpError::Protocol(e.to_string()))
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); [`HttpError::Protocol`] if it does not have the form of `T`.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.bytes()?).map_err(|e| HttpError::Protocol(e.to_string()))
    }

    /// The next line of the body, without its end; nothing at the end of the body.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); [`HttpError::Protocol`] if it is not UTF-8.
    pub fn line(&mut self) -> Result<Option<String>, HttpError> {
        let mut scanned = 0;
        loop {
            if let Some(at) = self.rest[scanned..].iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=scanned + at).collect();
                line.pop();
                return utf8_line(line).map(Some);
            }
            scanned = self.rest.len();
            match self.body.next()? {
                Some(piece) => self.rest.extend(piece),
                None if self.rest.is_empty() => return Ok(None),
                None => return utf8_line(std::mem::take(&mut self.rest)).map(Some),
            }
        }
    }

    /// The next server-sent event; nothing at the end of the body.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn event(&mut self) -> Result<Option<ServerEvent>, HttpError> {
        let (mut name, mut data) = (String::new(), None::<String>);
        while let Some(line) = self.line()? {
            // A blank line ends an event; one without data is none (WHATWG HTML, 9.2.6).
            if line.is_empty() {
                match data {
                    Some(data) => {
                        return Ok(Some(ServerEvent {
                            event: named(name),
                            data,
                        }));
                    }
                    None => name.clear(),
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut name),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
        // Some servers forget the last blank line.
        Ok(data.map(|data| ServerEvent {
            event: named(name),
            data,
        }))
    }
}

fn named(name: String) -> String {
    if name.is_empty() {
        "message".to_owned()
    } else {
        name
    }
}

fn utf8_line(mut line: Vec<u8>) -> Result<String, HttpError> {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|e| HttpError::Protocol(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(pieces: &[&str]) -> Response {
        let body = Body::from_pieces(pieces.iter().map(|p| p.as_bytes().to_vec()));
        Response {
            status: 200,
            headers: Vec::new(),
            body,
            rest: Vec::new(),
        }
    }

    #[test]
    fn events_are_read_across_the_pieces_of_the_body() {
        let mut response = response(&[
            ": hi\r\n\r\nda",
            "ta: a\ndata:b\n",
            "\nevent: end\nid: 1\ndata: c",
        ]);
        let event = |event: &str, data: &str| {
            Some(ServerEvent {
                event: event.into(),
                data: data.into(),
            })
        };
        assert_eq!(response.event().unwrap(), event("message", "a\nb"));
        assert_eq!(response.event().unwrap(), event("end", "c"));
        assert_eq!(response.event().unwrap(), None);
    }

    #[test]
    fn a_character_may_be_cut_between_pieces() {
        let body = Body::from_pieces(
            ["é".as_bytes()[..1].to_vec(), "é".as_bytes()[1..].to_vec()].into_iter(),
        );
        let mut response = Response {
            status: 200,
            headers: Vec::new(),
            body,
            rest: Vec::new(),
        };
        assert_eq!(response.line().unwrap().as_deref(), Some("é"));
    }
}
