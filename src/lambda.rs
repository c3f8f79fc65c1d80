//! Lambda's events as HTTP requests, and answers as Lambda wants them: whole.
//!
//! lambda_http 1.3 loses cookies and panics on requests that a stranger can send (DESIGN.md lists them). So this module
//! reads the events itself and hands out the same `lambda_http::Request` with the same extensions: request context,
//! path parameters, stage variables, query parameters, Lambda context. What differs from lambda_http:
//!
//! - Every `Cookie` line arrives, as one line joined with `; `; every `Set-Cookie` leaves.
//! - The path of `uri()` is the one that routes are written for, without the stage (`/posts`, not `/prod/posts`): an HTTP
//!   API's path is relieved of it on API Gateway's own domain, where alone it has it.
//! - A host, query or header that is no URI or header costs itself, never the request.

mod answer;
mod event;
mod wire;

use std::{
    collections::HashMap,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use lambda_http::Request;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Diagnostic, LambdaEvent, LambdaInvocation, Runtime};
use tower_layer::Layer;
use tower_service::Service;

pub use self::answer::Answer;
pub use self::event::{Event, Kind};
use crate::{Error, ErrorKind};

/// What lambda_runtime takes for granted; without one of them it panics.
const RUNTIME_VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Serves Lambda's events with an HTTP service, until the environment ends.
///
/// Takes HTTP API 2.0, REST API 1.0, ALB (both header modes) and function URL events; the service is an axum `Router`
/// or anything else that takes a `lambda_http::Request` and gives an `http::Response` of any body, which is collected. A
/// body is sent as text if its content type is textual, it is not encoded and it is UTF-8, else as base64. A panic in a handler is a function error, counted by Lambda,
/// and the next event is served: build with unwinding panics.
///
/// ```no_run
/// # async fn run() -> Result<(), lambda_session::Error> {
/// use axum::{Router, routing::get};
/// use lambda_session::{Session, SessionLayer};
///
/// async fn visit(mut session: Session) -> Result<String, lambda_session::Error> {
///     let count = session.get::<u64>("count").unwrap_or(0) + 1;
///     session.insert("count", count)?;
///     Ok(format!("visit {count}\n"))
/// }
///
/// lambda_http::tracing::init_default_subscriber();
/// let sessions = <SessionLayer>::from_env().await?;
/// lambda_session::run(Router::new().route("/", get(visit)).layer(sessions)).await
/// # }
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`] outside of Lambda; [`ErrorKind::Event`] when Lambda's runtime API cannot be reached any more.
pub async fn run<S, B>(service: S) -> Result<(), Error>
where
    S: Service<Request, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Diagnostic> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display,
{
    for variable in RUNTIME_VARIABLES {
        if std::env::var_os(variable).is_none() {
            return Err(Error::config(format!(
                "{variable} is not set, so this is not Lambda: start the function with `lambda-session invoke` or \
                 `cargo lambda watch`"
            )));
        }
    }
    let payloads = Payloads::default();
    let adapter = Adapter { service, payloads: payloads.clone() };
    let runtime = Runtime::new(adapter).layer(payloads).layer(TracingLayer::new());
    runtime.run().await.map_err(|error| Error::new(ErrorKind::Event, "the Lambda runtime ended").with_source(error))
}

/// Turns an HTTP service into one of Lambda's events.
#[derive(Clone)]
struct Adapter<S> {
    service: S,
    payloads: Payloads,
}

type Served = Pin<Box<dyn Future<Output = Result<Answer, Diagnostic>> + Send>>;

impl<S, B> Service<LambdaEvent<()>> for Adapter<S>
where
    S: Service<Request, Response = Response<B>>,
    S::Error: Into<Diagnostic> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display,
{
    type Response = Answer;
    type Error = Diagnostic;
    type Future = Served;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, event: LambdaEvent<()>) -> Self::Future {
        let payload = self.payloads.take(&event.context.request_id);
        let read = Event::parse(payload).and_then(|read| {
            let kind = read.kind();
            read.into_request(event.context).map(|request| (kind, request))
        });
        let (kind, request) = match read {
            Ok(read) => read,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let response = self.service.call(request);
        Box::pin(async move {
            let response = response.await.map_err(Into::into)?;
            Ok(Answer::new(kind, answer::collected(response).await?))
        })
    }
}

/// Carries payloads past lambda_runtime, which would write each into the log at TRACE, cookies and all.
#[derive(Clone, Default)]
struct Payloads(Arc<Mutex<HashMap<String, Bytes>>>);

impl Payloads {
    fn put(&self, request_id: &str, payload: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id.to_owned(), payload);
    }

    fn take(&self, request_id: &str) -> Bytes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id).unwrap_or_default()
    }
}

impl<S> Layer<S> for Payloads {
    type Service = Carried<S>;

    fn layer(&self, inner: S) -> Carried<S> {
        Carried { inner, payloads: self.clone() }
    }
}

#[derive(Clone)]
struct Carried<S> {
    inner: S,
    payloads: Payloads,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for Carried<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let payload = mem::replace(&mut invocation.body, Bytes::from_static(b"null"));
        self.payloads.put(&invocation.context.request_id, payload);
        self.inner.call(invocation)
    }
}

/// An error that a handler passes on with `?` is a function error.
impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: format!("LambdaSession.{:?}", error.kind()), error_message: format!("{error:?}") }
    }
}
