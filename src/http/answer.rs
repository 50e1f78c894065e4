//! Answers to requests that are not served: a sentence for people and the request's id.
//!
//! Nothing of the request is repeated, so no answer can be made to say what a stranger wants.

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::{Received, RequestId};

/// A status with a sentence.
pub fn refusal(status: StatusCode, sentence: &str, id: &RequestId) -> Response {
    let mut answer = Response::new(Body::from(format!("{sentence}\nrequest {id}\n")));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

/// For a router's fallback: 404.
pub async fn no_such_path(Extension(received): Extension<Received>) -> Response {
    refusal(StatusCode::NOT_FOUND, "there is nothing here", &received.id)
}

/// For a router's fallback: 405. The router adds `Allow`.
pub async fn no_such_method(Extension(received): Extension<Received>) -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method", &received.id)
}
