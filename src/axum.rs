//! Sessions as axum extractors.
//!
//! `Session<T>` answers 503 with `Retry-After` while the store is unavailable; `Option<Session<T>>` is `None` then, and
//! only then, so a route can serve anonymously. Nothing is written for such a request.
//!
//! axum makes an answer of a handler's `Err`. If that is below 500 the session is saved like with any other answer:
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use http::{Request, StatusCode, header::SET_COOKIE};
//! use lambda_session::{Session, SessionLayer, Values, store::MemoryStore};
//! use tower::ServiceExt;
//!
//! async fn login(mut session: Session) -> Result<(), StatusCode> {
//!     let tries = session.get("tries").unwrap_or(0) + 1;
//!     session.insert("tries", tries).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?; // would save nothing
//!     Err(StatusCode::UNAUTHORIZED)
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let app = Router::new().route("/login", post(login)).layer(SessionLayer::<Values>::new(MemoryStore::new()?));
//! let answer = app.oneshot(Request::post("/login").body(Body::empty()).unwrap()).await.unwrap();
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! assert!(answer.headers().contains_key(SET_COOKIE));
//! # Ok::<(), lambda_session::Error>(())
//! # }).unwrap();
//! ```

use std::time::SystemTime;

use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::notice::Notices;
use crate::service::refusal;
use crate::session::{Data, Handle, Session};
use crate::{Error, ErrorKind};

/// For errors that have no layer whose notices would count them.
static NOTICES: Notices = Notices::new();

/// Why a handler that asks for a session was not called: answers 503 with `Retry-After: 1` or 500, with a text that says
/// nothing else.
#[derive(Debug)]
pub struct SessionRejection(Error);

impl SessionRejection {
    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.0
    }
}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        refusal(&self.0)
    }
}

/// An error of this crate as an answer, for handlers that pass one on with `?`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        NOTICES.log(&self, SystemTime::now());
        refusal(&self)
    }
}

impl<S: Sync, T: Data> FromRequestParts<S> for Session<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of_parts(&parts.headers, &parts.extensions).await.map_err(|error| {
            match parts.extensions.get::<Handle<T>>() {
                Some(handle) => handle.slot.settings.notices.log(&error, handle.slot.now()),
                None => NOTICES.log(&error, SystemTime::now()),
            }
            SessionRejection(error)
        })
    }
}

impl<S: Sync, T: Data> OptionalFromRequestParts<S> for Session<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Self::Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(session) => Ok(Some(session)),
            Err(SessionRejection(error)) if error.kind() == ErrorKind::Unavailable => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}
