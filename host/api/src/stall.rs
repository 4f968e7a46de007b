//! A connection whose client takes nothing of an answer for too long is closed, and with it goes what was held for it.
//!
//! hyper asks for more of a body only as the socket takes it, so a write that cannot go on is the whole answer standing
//! still. Time in which there is nothing to write does not count.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] when they stand still for longer than `patience`. What is
/// held for it is let go when it is dropped.
pub(crate) struct Bounded<T, H> {
    stream: T,
    patience: Duration,
    /// Runs while a write stands still.
    deadline: Option<Pin<Box<Sleep>>>,
    _held: H,
}

impl<T, H> Bounded<T, H> {
    pub(crate) fn new(stream: T, patience: Duration, held: H) -> Self {
        Self {
            stream,
            patience,
            deadline: None,
            _held: held,
        }
    }

    fn bounded<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
        ready!(deadline.as_mut().poll(cx));
        let text = format!("the client took nothing for {:?}", self.patience);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<T: AsyncWrite + Unpin, H: Unpin> AsyncWrite for Bounded<T, H> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, shut)
    }
}

impl<T: AsyncRead + Unpin, H: Unpin> AsyncRead for Bounded<T, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, advance};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_when_patience_is_at_its_end() {
        let (ours, _theirs) = duplex(4);
        let mut ours = Bounded::new(ours, PATIENCE, ());
        let begun = Instant::now();
        let error = ours.write_all(b"12345").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_and_a_silent_writer_are_left_alone() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Bounded::new(ours, PATIENCE, ());
        let reader = tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Ok(byte) = theirs.read_u8().await {
                taken.push(byte);
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
            }
            taken
        });
        ours.write_all(b"0123456789").await.unwrap();
        advance(PATIENCE * 10).await;
        ours.write_all(b"!").await.unwrap();
        drop(ours);
        assert_eq!(reader.await.unwrap(), b"0123456789!");
    }
}
