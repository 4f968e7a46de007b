//! Requests natively, where there is no host: a test answers them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{HttpError, Request, Response};

type Answer = Rc<dyn Fn(&Request) -> Result<Response, HttpError>>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// From now on, requests of this thread are answered by the function.
pub(crate) fn answer_with(answer: impl Fn(&Request) -> Result<Response, HttpError> + 'static) {
    ANSWER.set(Some(Rc::new(answer)));
}

pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
    let answer = ANSWER.with_borrow(Clone::clone);
    answer.ok_or_else(|| {
        HttpError::Connection(
            "there is no network in a native test: see testing::answer_http".into(),
        )
    })?(request)
}

/// A body in pieces.
pub(crate) struct Body(VecDeque<Vec<u8>>);

impl Body {
    pub(crate) fn from_pieces(pieces: impl Iterator<Item = Vec<u8>>) -> Self {
        Self(pieces.collect())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the form of the real one")]
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        Ok(self.0.pop_front())
    }
}
