//! An HTTP service as what lambda_runtime serves events with.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use lambda_http::Request;
use lambda_runtime::{Diagnostic, LambdaEvent};
use tower_service::Service;

use super::event::{Event, Kind};
use super::payload;
use crate::{Error, ErrorKind};

/// Reads the event, calls the service, and makes an `R` of its response.
pub(super) struct Adapter<S, R> {
    service: S,
    reply: PhantomData<fn() -> R>,
}

/// What an event says of how it is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    /// Whether who sent it can take an answer in pieces.
    pub(super) can_stream: bool,
}

/// An answer to an event, made of a response with a body `B`.
pub(super) trait Reply<B>: Sized {
    fn of(asked: Asked, response: Response<B>) -> impl Future<Output = Result<Self, Diagnostic>> + Send;
}

impl<S, R> Adapter<S, R> {
    pub(super) fn new(service: S) -> Self {
        Self { service, reply: PhantomData }
    }
}

impl<S: Clone, R> Clone for Adapter<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.service.clone())
    }
}

impl<S, R, B> Service<LambdaEvent<()>> for Adapter<S, R>
where
    S: Service<Request, Response = Response<B>>,
    S::Error: Into<Diagnostic> + Send + 'static,
    S::Future: Send + 'static,
    R: Reply<B> + Send + 'static,
    B: Send + 'static,
{
    type Response = R;
    type Error = Diagnostic;
    type Future = Pin<Box<dyn Future<Output = Result<R, Diagnostic>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, event: LambdaEvent<()>) -> Self::Future {
        let (asked, request) = match read(event.context) {
            Ok(read) => read,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let response = self.service.call(request);
        Box::pin(async move { R::of(asked, response.await.map_err(Into::into)?).await })
    }
}

/// The request in the payload of the call that is being made.
fn read(context: lambda_http::Context) -> Result<(Asked, Request), Error> {
    let payload =
        payload::take().ok_or_else(|| Error::new(ErrorKind::Event, "the invocation came without a payload"))?;
    let event = Event::parse(payload)?;
    let asked = Asked { kind: event.kind(), can_stream: event.can_stream() };
    Ok((asked, event.into_request(context)?))
}
