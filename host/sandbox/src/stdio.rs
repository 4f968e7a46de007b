//! A guest's stdout and stderr as log lines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::guest::{Level, LogBook};

/// A line that is not ended is written in pieces of this size.
const LONGEST_LINE_BYTES: usize = 8 << 10;

/// One of the two streams. Clones write to the same line.
#[derive(Clone)]
pub(crate) struct Lines {
    book: Arc<LogBook>,
    level: Level,
    begun: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    pub(crate) fn new(book: Arc<LogBook>, level: Level) -> Self {
        Self {
            book,
            level,
            begun: Arc::default(),
        }
    }

    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        self.book.write(self.level, &text).map_err(io::Error::other)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if Arc::strong_count(&self.begun) > 1 {
            return;
        }
        let rest = std::mem::take(&mut *self.begun.lock());
        if !rest.is_empty() {
            // The task is over: a line too many has nobody left to fail.
            let _ = self.write_line(&rest);
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut begun = self.begun.lock();
        for &byte in bytes {
            if byte != b'\n' {
                begun.push(byte);
            }
            if byte == b'\n' || begun.len() >= LONGEST_LINE_BYTES {
                let line = std::mem::take(&mut *begun);
                self.write_line(&line)?;
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
