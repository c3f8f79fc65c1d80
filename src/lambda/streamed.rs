//! An answer in pieces: head first, and the body as it comes.
//!
//! ```text
//! {"statusCode":200,"headers":{…},"cookies":[…]} | 8 zero bytes | body
//! ```

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyDataStream, BodyExt, combinators::UnsyncBoxBody};
use lambda_runtime::{
    Diagnostic, FunctionResponse, IntoFunctionResponse, LambdaInvocation, MetadataPrelude, StreamResponse,
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::warn;

use super::adapter::{Asked, Reply};
use super::answer::{Answer, joined, text};
use super::contained::{Contained, Cut};
use crate::notice::Notice;

static FOREIGN_HEADER: Notice = Notice::new();
static UNTYPED: Notice = Notice::new();

/// An answer in pieces, or whole where whoever asks can take no other.
pub(super) enum Streamed {
    Whole(Answer),
    Pieces(MetadataPrelude, Pieces),
}

/// The pieces of a body.
pub(super) type Pieces = BodyDataStream<UnsyncBoxBody<Bytes, Cut>>;

impl<B> Reply<B> for Streamed
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display,
{
    async fn of(asked: Asked, response: Response<B>) -> Result<Self, Diagnostic> {
        if !asked.can_stream {
            return Answer::of(asked, response).await.map(Self::Whole);
        }
        let (parts, body) = response.into_parts();
        let prelude = MetadataPrelude {
            status_code: parts.status,
            cookies: parts.headers.get_all(header::SET_COOKIE).iter().map(|line| text(line).into_owned()).collect(),
            headers: one_value_a_name(&parts.headers),
        };
        if is_untyped(&prelude) && UNTYPED.is_due_now() {
            warn!(
                "an answer in pieces has no content type: it becomes application/octet-stream, which browsers download"
            );
        }
        Ok(Self::Pieces(prelude, BodyDataStream::new(Contained::new(body).boxed_unsync())))
    }
}

/// The headers but for cookies, repeated ones joined: a prelude has one value a name.
fn one_value_a_name(headers: &HeaderMap) -> HeaderMap {
    let names = headers.keys().filter(|name| *name != header::SET_COOKIE);
    names.filter_map(|name| Some((name.clone(), ascii(name, &joined(headers, name))?))).collect()
}

/// lambda_runtime writes a value that is not ASCII as `[]`.
fn ascii(name: &HeaderName, value: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
    if value.is_none() && FOREIGN_HEADER.is_due_now() {
        warn!("the header {name} of an answer in pieces is not ASCII, and so dropped: encode its value");
    }
    value
}

/// Whether a visitor gets a body of which nobody says what it is.
fn is_untyped(prelude: &MetadataPrelude) -> bool {
    let has_body = prelude.status_code.is_success() && prelude.status_code != StatusCode::NO_CONTENT;
    has_body && !prelude.headers.contains_key(header::CONTENT_TYPE)
}

impl IntoFunctionResponse<Answer, Pieces> for Streamed {
    fn into_response(self) -> FunctionResponse<Answer, Pieces> {
        match self {
            Self::Whole(answer) => FunctionResponse::BufferedResponse(answer),
            Self::Pieces(metadata_prelude, stream) => {
                hush();
                FunctionResponse::StreamingResponse(StreamResponse { metadata_prelude, stream })
            }
        }
    }
}

thread_local! {
    /// While it is there, nothing on this thread is logged.
    static HUSH: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Silences this thread until the [`Hushed`] around it has been polled: the next thing that lambda_runtime does with a
/// prelude is to write it into the log at TRACE, cookies and all.
fn hush() {
    // A guard puts back what it found: an older one must be gone before.
    drop(HUSH.take());
    HUSH.set(Some(dispatcher::set_default(&Dispatch::none())));
}

/// Ends a [`hush`] when it is dropped.
struct Unhush;

impl Drop for Unhush {
    fn drop(&mut self) {
        drop(HUSH.take());
    }
}

/// Ends a [`hush`] with the poll in which it began.
pub(super) struct Hush;

impl<S> Layer<S> for Hush {
    type Service = Hushed<S>;

    fn layer(&self, inner: S) -> Hushed<S> {
        Hushed { inner }
    }
}

#[derive(Clone)]
pub(super) struct Hushed<S> {
    inner: S,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for Hushed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = HushedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        HushedFuture { inner: self.inner.call(invocation) }
    }
}

pin_project! {
    pub(super) struct HushedFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for HushedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _unhush = Unhush;
        self.project().inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::Waker;

    use tracing::subscriber::NoSubscriber;

    use super::*;

    fn is_silent() -> bool {
        dispatcher::get_default(|dispatch| dispatch.is::<NoSubscriber>())
    }

    #[test]
    fn a_thread_that_was_silenced_speaks_again() {
        let _log = dispatcher::set_default(&Dispatch::new(tracing_subscriber::registry()));
        let mut twice = Box::pin(HushedFuture {
            inner: async {
                hush();
                hush();
                assert!(is_silent());
            },
        });
        assert!(twice.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(!is_silent());

        let mut panics = Box::pin(HushedFuture {
            inner: async {
                hush();
                assert!(!is_silent(), "as asked");
            },
        });
        let polled = catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        assert!(polled.is_err() && !is_silent());
    }
}
