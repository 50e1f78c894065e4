//! The domain verification files of all services of this process: `GET /MP_verify_….txt`, by their
//! exact names.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};

use crate::config::verify::VerifyFile;
use crate::http::{Received, no_such_method, no_such_path};

/// What is in each file, by its name.
#[derive(Default)]
pub(super) struct Files(ArcSwap<HashMap<String, String>>);

impl Files {
    /// These from now on, and no others.
    pub(super) fn change(&self, files: &[VerifyFile]) {
        let entry = |file: &VerifyFile| (file.name().to_owned(), file.content().to_owned());
        self.0.store(Arc::new(files.iter().map(entry).collect()));
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().route("/{file}", get(file).fallback(no_reading)).with_state(self)
    }
}

/// A name that is configured, letter for letter: an escaped one is nobody's.
async fn file(
    State(files): State<Arc<Files>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let name = request.uri().path().strip_prefix('/').unwrap_or_default();
    match files.0.load().get(name) {
        Some(content) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], content.clone()).into_response()
        }
        None => no_such_path(Extension(received)).await,
    }
}

/// Anything but a `GET`: 405 where there is such a file, else as for any strange path.
async fn no_reading(
    State(files): State<Arc<Files>>,
    Extension(received): Extension<Received>,
    uri: Uri,
) -> Response {
    let name = uri.path().strip_prefix('/').unwrap_or_default();
    if files.0.load().contains_key(name) {
        no_such_method(Extension(received)).await
    } else {
        no_such_path(Extension(received)).await
    }
}
