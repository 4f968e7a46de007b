//! The bytes that come in on a WebSocket, held to what the bodies of requests are held to: from the first byte of a
//! message until it has been answered they count among all bodies (`http.max_body_bytes_total`), and the whole message
//! must come within the time of a body (`http.request_timeout_secs`).
//!
//! The WebSocket above says when it has got and answered a message. Up to one reading of it ([`READ_AHEAD`]) may belong
//! to the next message by then, and counts for nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::bodies::Weight;

/// What is read at once, in bytes.
pub(super) const READ_AHEAD: usize = 16 << 10;
/// The head of a control frame of a client's: two bytes, and its mask.
const CONTROL_HEAD: usize = 6;

/// A stream whose reads fail when too much comes, or too slowly.
pub(super) struct Incoming<T> {
    stream: T,
    weight: Weight,
    /// Of the message that is coming, and of control frames among its pieces.
    bytes: usize,
    patience: Duration,
    /// Runs from the first byte of a message on.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T> Incoming<T> {
    pub(super) fn new(stream: T, weight: Weight, patience: Duration) -> Self {
        Self {
            stream,
            weight,
            bytes: 0,
            patience,
            deadline: None,
        }
    }

    /// The message that has come is done with.
    pub(super) fn forget_message(&mut self) {
        self.weight = self.weight.anew();
        self.bytes = 0;
        self.deadline = None;
    }

    /// A control frame with a payload of so many bytes is; a message of which pieces have come goes on.
    pub(super) fn forget_control(&mut self, payload: usize) {
        self.bytes = self.bytes.saturating_sub(CONTROL_HEAD + payload);
        if self.bytes == 0 {
            self.forget_message();
        }
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.weight.add(bytes).map_err(|_| {
            io::Error::other("too much is being sent at once (http.max_body_bytes_total)")
        })?;
        self.bytes += bytes;
        let patience = self.patience;
        self.deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Incoming<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.count(buffer.filled().len() - before)?;
        // Also when bytes have come: a trickle would never wait.
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let text = "a message took too long to arrive (http.request_timeout_secs)";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Incoming<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::bodies::Bodies;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A stream on which so much may come at once, and its other end.
    fn streams(most: usize) -> (Incoming<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1_000);
        let weight = Arc::new(Bodies::new(most, most)).begin(None);
        (Incoming::new(ours, weight, PATIENCE), theirs)
    }

    async fn read(ours: &mut Incoming<DuplexStream>, bytes: usize) -> io::Result<()> {
        ours.read_exact(&mut vec![0; bytes]).await.map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_end_in_time_fails_and_silence_does_not() {
        let (mut ours, mut theirs) = streams(100);
        let silence = tokio::time::timeout(PATIENCE * 10, read(&mut ours, 1));
        assert!(silence.await.is_err());
        theirs.write_all(&[0; 10]).await.unwrap();
        read(&mut ours, 10).await.unwrap();
        ours.forget_message();
        advance(PATIENCE * 10).await;

        // One byte after the other, with a control frame among them.
        let begun = Instant::now();
        let trickle = tokio::spawn(async move {
            theirs.write_all(&[0; 8]).await.unwrap();
            while theirs.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        read(&mut ours, 9).await.unwrap();
        ours.forget_control(2);
        let error = loop {
            if let Err(error) = read(&mut ours, 1).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        drop(ours);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_counts_until_its_message_is_done_with() {
        let (mut ours, mut theirs) = streams(20);
        for _ in 0..3 {
            theirs.write_all(&[0; 20]).await.unwrap();
            read(&mut ours, 20).await.unwrap();
            ours.forget_message();
        }
        // Control frames between messages weigh nothing, and nothing runs after them.
        for _ in 0..10 {
            theirs.write_all(&[0; 8]).await.unwrap();
            read(&mut ours, 8).await.unwrap();
            ours.forget_control(2);
        }
        advance(PATIENCE * 2).await;
        theirs.write_all(&[0; 21]).await.unwrap();
        let error = read(&mut ours, 21).await.unwrap_err();
        assert!(
            error.to_string().contains("max_body_bytes_total"),
            "{error}"
        );
    }
}
