//! A request's body up to a limit.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the limit, or says so.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// It was not there in time.
    #[error("the body did not arrive in time")]
    Late,
    /// It ended early, or is not framed as HTTP has it.
    #[error("the body ended early or is not framed as HTTP has it")]
    Broken,
}

/// The whole body of a request with these headers. One that announces more than `limit` bytes is
/// not read at all, one that has more is read no further. Of a body in one piece nothing is
/// copied.
///
/// # Errors
/// The caller is told by a status: 413, 408, 400.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let too_large = BodyError::TooLarge { limit };
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large);
    }
    let mut parts = body.into_data_stream();
    let Some(first) = parts.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| BodyError::of(&error))?;
    if first.len() > limit {
        return Err(too_large);
    }
    let Some(second) = parts.next().await else { return Ok(first) };
    let mut whole = Vec::with_capacity((first.len() * 2).min(limit));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(part) = next {
        let part = part.map_err(|error| BodyError::of(&error))?;
        if whole.len() + part.len() > limit {
            return Err(too_large);
        }
        whole.extend_from_slice(&part);
        next = parts.next().await;
    }
    Ok(whole.into())
}

/// A length that is no number has been refused before us.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl BodyError {
    /// The listener breaks a late body off with an I/O error of that kind; what hyper says is broken.
    fn of(error: &axum::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::TimedOut
            {
                return Self::Late;
            }
            cause = error.source();
        }
        Self::Broken
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    fn parts(parts: Vec<io::Result<&'static str>>) -> Body {
        Body::from_stream(stream::iter(parts))
    }

    async fn read(body: Body) -> Result<Bytes, BodyError> {
        read_body(&HeaderMap::new(), body, 4).await
    }

    #[tokio::test]
    async fn body_is_read_to_the_limit_and_no_further() {
        assert_eq!(&read(parts(vec![Ok("ab"), Ok("c"), Ok("d")])).await.unwrap()[..], b"abcd");
        assert_eq!(read(Body::empty()).await.unwrap().len(), 0);
        assert_eq!(&read(Body::from("abcd")).await.unwrap()[..], b"abcd");
        for long in [Body::from("abcde"), parts(vec![Ok("abcde")]), parts(vec![Ok("abc"), Ok("de")])] {
            assert!(matches!(read(long).await, Err(BodyError::TooLarge { limit: 4 })));
        }
    }

    #[tokio::test]
    async fn body_that_announces_too_much_is_not_read_at_all() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, 5.into())]);
        let never = Body::from_stream(stream::pending::<io::Result<&'static str>>());
        assert!(matches!(read_body(&headers, never, 4).await, Err(BodyError::TooLarge { limit: 4 })));
    }

    #[tokio::test]
    async fn body_that_breaks_off_is_late_or_broken_by_its_cause() {
        let late = || Err(io::Error::from(io::ErrorKind::TimedOut));
        for body in [parts(vec![late()]), parts(vec![Ok("ab"), late()])] {
            assert!(matches!(read(body).await, Err(BodyError::Late)));
        }
        let torn = parts(vec![Ok("ab"), Err(io::ErrorKind::UnexpectedEof.into())]);
        assert!(matches!(read(torn).await, Err(BodyError::Broken)));
    }
}
