//! Answers in pieces: what one holds is given back when the client has read it, not when it was made.

use std::io;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::time::Instant;

/// The bytes that the server takes over at a time.
const PIECE: usize = 64 * 1024;
/// How long a client may take to read an answer, however steadily it reads.
const READ_TIME: Duration = Duration::from_secs(30);

/// The same answer, with `held` dropped at its end. A stream has none and stays as it is.
pub(super) async fn holding(answer: Response, held: impl Send + 'static) -> Response {
    let Some(size) = answer.body().size_hint().exact() else {
        return answer;
    };
    let (mut parts, body) = answer.into_parts();
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    parts.headers.insert(CONTENT_LENGTH, size.into());
    Response::from_parts(parts, pieces(whole, held))
}

fn pieces(whole: Bytes, held: impl Send + 'static) -> Body {
    let until = Instant::now() + READ_TIME;
    let pieces = unfold((whole, held), move |(mut rest, held)| async move {
        if rest.is_empty() {
            return None;
        }
        if Instant::now() >= until {
            let why = "the client reads too slowly";
            let late = io::Error::new(io::ErrorKind::TimedOut, why);
            return Some((Err(late), (Bytes::new(), held)));
        }
        let piece = rest.split_to(PIECE.min(rest.len()));
        Some((Ok(piece), (rest, held)))
    });
    Body::from_stream(pieces)
}
