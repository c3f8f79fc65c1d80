//! Whole answers on their way to Lambda, by the client that asks for events: so an environment has one connection to its runtime API.

use std::{
    any::{Any, type_name},
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use lambda_runtime::{Diagnostic, Error as BoxError, LambdaEvent, LambdaInvocation};
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};
use tower_service::Service;
use tracing::error;

use super::answer::Answer;

/// Sent back as it came, so that Lambda tells the answer to an invocation that has timed out from the next one's.
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// Serves invocations with a service of events, and posts what it answers. A panic is a function error, as with lambda_runtime.
pub(super) struct Whole<S> {
    service: S,
    client: Arc<PooledClient>,
}

type Panic = Box<dyn Any + Send>;

impl<S> Whole<S> {
    pub(super) fn new(service: S, client: Arc<PooledClient>) -> Self {
        Self { service, client }
    }
}

impl<S> Service<LambdaInvocation> for Whole<S>
where
    S: Service<LambdaEvent<()>, Response = Answer, Error = Diagnostic>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(cx).map_err(|failed| format!("{}: {}", failed.error_type, failed.error_message).into())
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let LambdaInvocation { mut parts, context, .. } = invocation;
        let (id, invocation_id) = (context.request_id.clone(), parts.headers.remove(INVOCATION_ID));
        let answering = catch_unwind(AssertUnwindSafe(|| self.service.call(LambdaEvent::new((), context))));
        let client = self.client.clone();
        Box::pin(async move {
            let answer = match answering {
                Ok(answering) => caught(answering).await,
                Err(panic) => Err(panic),
            };
            let mut request = request(&id, answer)?;
            if let Some(id) = invocation_id {
                request.headers_mut().insert(INVOCATION_ID, id);
            }
            let (parts, body) = client.call(request).await?.into_parts();
            // A connection whose answer is not read to its end is closed.
            body.collect().await?;
            let status = parts.status;
            if !status.is_success() {
                error!(%status, "Lambda took no answer: its invocation was over (410), or the answer is too large (413)");
            }
            Ok(())
        })
    }
}

/// What comes of a future, or of its panic.
async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = std::pin::pin!(future);
    // What panicked has an outcome then, and is not polled again.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// What Lambda is told of the invocation `id`.
fn request(id: &str, answer: Result<Result<Answer, Diagnostic>, Panic>) -> Result<Request<Body>, BoxError> {
    let post =
        |what: &str| build_request().method(Method::POST).uri(format!("/2018-06-01/runtime/invocation/{id}/{what}"));
    let failed = match answer {
        Ok(Ok(answer)) => return Ok(post("response").body(Body::from(serde_json::to_vec(&answer)?))?),
        Ok(Err(failed)) => {
            error!("{failed:?}");
            failed
        }
        Err(panic) => {
            error!("the handler panicked");
            panicked(&*panic)
        }
    };
    let body = Body::from(serde_json::to_vec(&failed)?);
    Ok(post("error").header(ERROR_TYPE, HeaderValue::from_static("unhandled")).body(body)?)
}

/// A panic in lambda_runtime's words.
fn panicked(panic: &(dyn Any + Send)) -> Diagnostic {
    let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).map(|said| format!(": {said}"));
    Diagnostic {
        error_type: type_name::<Panic>().to_owned(),
        error_message: format!("Lambda panicked{}", said.unwrap_or_default()),
    }
}
