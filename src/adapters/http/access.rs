//! Who may do what.

use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use super::answer::HttpError;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Nothing,
    /// Data, and leave to read it.
    Reader,
    /// Leave to read what there is, be it no data yet.
    Viewer,
}

/// Lets a request pass that has what its route needs.
pub(super) async fn guard(
    Extract((state, need)): Extract<(State, Need)>,
    request: Request,
    next: Next,
) -> Response {
    if need != Need::Viewer && !state.desk.progress.has_begun() {
        return HttpError::Starting.into_response();
    }
    next.run(request).await
}
