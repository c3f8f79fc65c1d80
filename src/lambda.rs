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

mod adapter;
mod answer;
mod contained;
mod event;
mod payload;
mod streamed;
mod turns;
mod whole;
mod wire;

use std::fmt;

use http::Response;
use http_body::Body as HttpBody;
use lambda_http::Request;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Diagnostic, Runtime};
use tower_layer::Layer;
use tower_service::Service;

use self::adapter::Adapter;
pub use self::answer::Answer;
pub use self::event::{Event, Kind};
use self::payload::Payloads;
use self::streamed::{Hush, Streamed};
use self::whole::Whole;
use crate::{Error, ErrorKind, config};

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
/// One event at a time, as Lambda sends them; on Lambda Managed Instances as many at once as
/// `AWS_LAMBDA_MAX_CONCURRENCY` says, each with its own session. There a handler that computes needs tokio's
/// multi-threaded runtime, or it holds up the others.
///
/// An event's X-Ray trace id is in its Lambda context, and put into `_X_AMZN_TRACE_ID`, where AWS SDKs look for it, only
/// with `SESSION_TRACE_ENV=on`: every value that the variable ever had stays in memory, 160 bytes an event.
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
/// [`ErrorKind::Config`] outside of Lambda; [`ErrorKind::Event`] when Lambda's runtime API cannot be reached any more. On
/// Managed Instances lambda_runtime 1.5 logs that and polls on, and this never returns.
pub async fn run<S, B>(service: S) -> Result<(), Error>
where
    S: Service<Request, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Diagnostic> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display,
{
    check_environment()?;
    let adapter = Adapter::<S, Answer>::new(service);
    let ended = if is_one_after_another()? {
        let client = turns::client();
        let whole = Payloads.layer(Whole::new(adapter, client.clone()));
        turns::serve(TracingLayer::new().layer(whole), &client).await
    } else {
        Runtime::new(adapter).layer(Payloads).layer(TracingLayer::new()).run_concurrent().await
    };
    ended.map_err(over)
}

/// Serves Lambda's events like [`run`], and answers in pieces: the head as soon as the handler has answered, the body as
/// it comes, up to 200 MB in place of 6 (Lambda quotas).
///
/// The session is saved before the head leaves, for its cookie leaves with it. So what streams the body cannot have the
/// session: one that is held by then is answered 500, and [`Session::of`](crate::Session::of) is
/// [`ErrorKind::Escaped`] from then on. Take what the body needs out of the session first.
///
/// In pieces are answered a function URL, whose invoke mode must be `RESPONSE_STREAM`, and a REST API, whose method must
/// have the response transfer mode `STREAM`. HTTP APIs and ALBs take no pieces: their events are answered whole, as [`run`]
/// does, by the same binary. A body that breaks off half way is logged, as is one that panics; the visitor's answer ends with a
/// line that says so. Two things lambda_runtime 1.5 does otherwise than [`run`], each with a warning once a minute: an answer
/// without a content type becomes `application/octet-stream`, and a header that is not ASCII is lost.
///
/// ```no_run
/// # async fn run() -> Result<(), lambda_session::Error> {
/// use http::{Request, Response};
/// use lambda_session::{Error, Session, SessionLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// async fn report(request: Request<lambda_http::Body>) -> Result<Response<axum::body::Body>, Error> {
///     let session: Session = Session::of(&request).await?;
///     let user = session.get::<String>("user").unwrap_or_default();
///     drop(session);
///     // Any body will do; this one has one piece.
///     Ok(Response::new(axum::body::Body::from(format!("the report for {user}\n"))))
/// }
///
/// let sessions = <SessionLayer>::from_env().await?;
/// lambda_session::run_streaming(ServiceBuilder::new().layer(sessions).service(service_fn(report))).await
/// # }
/// ```
///
/// # Errors
///
/// As [`run`].
pub async fn run_streaming<S, B>(service: S) -> Result<(), Error>
where
    S: Service<Request, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Diagnostic> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: fmt::Display,
{
    check_environment()?;
    let runtime = Runtime::new(Adapter::<S, Streamed>::new(service)).layer(Payloads).layer(Hush);
    let runtime = runtime.layer(TracingLayer::new());
    let ended = if is_one_after_another()? {
        match turns::service_of(runtime) {
            Ok(service) => turns::serve(service, &turns::client()).await,
            Err(error) => Err(error),
        }
    } else {
        runtime.run_concurrent().await
    };
    ended.map_err(over)
}

/// Whether events come one after another, and none of what lambda_runtime alone can do is asked for.
fn is_one_after_another() -> Result<bool, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let most = variable("AWS_LAMBDA_MAX_CONCURRENCY").and_then(|most| most.parse::<u32>().ok());
    let is_restored = variable("AWS_LAMBDA_INITIALIZATION_TYPE").as_deref() == Some("snap-start");
    Ok(most.is_none_or(|most| most <= 1) && !is_restored && !config::has_trace_env(&config::environment()?)?)
}

fn over(error: lambda_runtime::Error) -> Error {
    Error::new(ErrorKind::Event, "the Lambda runtime ended").with_source(error)
}

fn check_environment() -> Result<(), Error> {
    match RUNTIME_VARIABLES.iter().find(|variable| std::env::var_os(variable).is_none()) {
        None => Ok(()),
        Some(variable) => Err(Error::config(format!(
            "{variable} is not set, so this is not Lambda: start the function with `lambda-session invoke` or \
             `cargo lambda watch`"
        ))),
    }
}

/// An error that a handler passes on with `?` is a function error.
impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: format!("LambdaSession.{:?}", error.kind()), error_message: format!("{error:?}") }
    }
}
