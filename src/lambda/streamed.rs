//! An answer in pieces: head first, and the body as it comes.
//!
//! ```text
//! {"statusCode":200,"headers":{…},"cookies":[…]} | 8 zero bytes | body
//! ```

use std::{
    cell::RefCell,
    error::Error as StdError,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyDataStream, BodyExt, combinators::UnsyncBoxBody};
use lambda_runtime::{
    Diagnostic, FunctionResponse, IntoFunctionResponse, LambdaInvocation, MetadataPrelude, StreamResponse,
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::error;

use super::adapter::{Asked, Reply};
use super::answer::{Answer, ended_early, joined, text};

/// An answer in pieces, or whole where whoever asks can take no other.
pub(super) enum Streamed {
    Whole(Answer),
    Pieces(MetadataPrelude, Pieces),
}

/// The pieces of a body.
pub(super) type Pieces = BodyDataStream<UnsyncBoxBody<Bytes, Cut>>;

/// A body that broke off. What lambda_runtime makes of it reaches the visitor, so it says no more than that.
#[derive(Debug)]
pub(super) struct Cut;

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
        let body = body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        let body = body.map_err(|error| {
            error!("{}", ended_early(error));
            Cut
        });
        Ok(Self::Pieces(prelude, BodyDataStream::new(body.boxed_unsync())))
    }
}

/// The headers but for cookies, repeated ones joined: a prelude has one value a name.
fn one_value_a_name(headers: &HeaderMap) -> HeaderMap {
    let names = headers.keys().filter(|name| *name != header::SET_COOKIE);
    names.filter_map(|name| Some((name.clone(), HeaderValue::from_str(&joined(headers, name)).ok()?))).collect()
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

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the answer ended early")
    }
}

impl StdError for Cut {}

thread_local! {
    /// While it is there, nothing on this thread is logged.
    static HUSH: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Silences this thread until the [`Hushed`] around it has been polled: the next thing that lambda_runtime does with a
/// prelude is to write it into the log at TRACE, cookies and all.
fn hush() {
    HUSH.set(Some(dispatcher::set_default(&Dispatch::none())));
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
        let polled = self.project().inner.poll(cx);
        drop(HUSH.take());
        polled
    }
}
