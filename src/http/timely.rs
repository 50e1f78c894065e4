//! A body that is broken off if it is not there in time: hyper knows a time-out for heads only.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The same body, which fails with [`io::ErrorKind::TimedOut`] from `until` on.
pub(super) struct Timely<B> {
    body: B,
    until: Instant,
    /// Made when the body is waited for: most arrive with their heads.
    late: Option<Pin<Box<Sleep>>>,
}

impl<B> Timely<B> {
    pub(super) fn new(body: B, until: Instant) -> Self {
        Self { body, until, late: None }
    }
}

impl<B> HttpBody for Timely<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let until = self.until;
        ready!(self.late.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().poll(context));
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::HeaderMap;
    use futures_util::stream::{self, StreamExt as _};

    use super::*;
    use crate::http::{BodyError, read_body};

    fn never() -> stream::Pending<io::Result<&'static str>> {
        stream::pending()
    }

    async fn read(body: Body, span: Duration) -> Result<Bytes, BodyError> {
        let body = Body::new(Timely::new(body, Instant::now() + span));
        read_body(&HeaderMap::new(), body, 9).await
    }

    #[tokio::test(start_paused = true)]
    async fn body_is_whole_if_it_comes_in_time_and_late_at_the_instant_that_was_set() {
        let (span, begun) = (Duration::from_secs(5), Instant::now());
        assert_eq!(&read(Body::from("abc"), span).await.unwrap()[..], b"abc");
        assert_eq!(read(Body::empty(), span).await.unwrap().len(), 0);
        let slow = stream::iter(["a", "b"]).then(async |part| {
            tokio::time::sleep(Duration::from_millis(2_499)).await;
            io::Result::Ok(part)
        });
        assert_eq!(&read(Body::from_stream(slow), span).await.unwrap()[..], b"ab");

        let begun = begun + begun.elapsed();
        let first = stream::iter([io::Result::Ok("a")]);
        for body in [Body::from_stream(never()), Body::from_stream(first.chain(never()))] {
            assert!(matches!(read(body, span).await, Err(BodyError::Late)));
        }
        assert_eq!(begun.elapsed(), 2 * span);
    }

    #[test]
    fn body_says_of_itself_what_it_said_before() {
        let body = Timely::new(Body::from("abc"), Instant::now());
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        assert!(Timely::new(Body::empty(), Instant::now()).is_end_stream());
    }
}
