//! Lambda's events, one after another.
//!
//! lambda_runtime's own loop sets the environment variable `_X_AMZN_TRACE_ID` anew for each event. glibc keeps every value that a
//! variable ever had, so an environment would grow by 160 bytes an event (DESIGN.md, "What does a load of 1,000 requests a
//! second do?"); and who reads the environment from another thread meanwhile, as a resolver of names does, may read what
//! is no longer there. This loop leaves the variable alone, as lambda_runtime does where it serves several events at once.

use std::{
    cell::Cell,
    future::{Ready, poll_fn, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use lambda_runtime::{Config, Error as BoxError, LambdaInvocation, Runtime};
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};
use tower_layer::Layer;
use tower_service::Service;

/// The next invocation, in Lambda's runtime API of 2018-06-01.
const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";

/// A client of the runtime API, for one event after another.
pub(super) fn client() -> Arc<PooledClient> {
    Arc::new(PooledClient::builder().with_pool_size(1).build())
}

/// Serves the events that this client is given, until the runtime API cannot be reached any more.
pub(super) async fn serve<S>(mut service: S, client: &PooledClient) -> Result<(), BoxError>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
{
    let config = Arc::new(Config::from_env());
    loop {
        let (parts, body) = client.call(build_request().uri(NEXT).body(Body::empty())?).await?.into_parts();
        // Emulators say so where there is nothing to do.
        if parts.status == StatusCode::NO_CONTENT {
            continue;
        }
        let body = body.collect().await?.to_bytes();
        let context = lambda_runtime::Context::new(request_id(&parts.headers)?, config.clone(), &parts.headers)?;
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(LambdaInvocation { parts, body, context }).await?;
    }
}

fn request_id(headers: &HeaderMap) -> Result<&str, BoxError> {
    let id = headers.get(REQUEST_ID).ok_or("the runtime API gave an invocation without a request id")?;
    Ok(id.to_str()?)
}

/// What a runtime serves its events with: it shows that to the layers that are put around it, and to nobody else.
pub(super) fn service_of<S>(runtime: Runtime<S>) -> Result<S, BoxError> {
    let seen = Cell::new(None);
    drop(runtime.layer(Taker(&seen)));
    seen.take().ok_or_else(|| "lambda_runtime shows no service".into())
}

/// Takes the service that it is put around.
struct Taker<'a, S>(&'a Cell<Option<S>>);

impl<S> Layer<S> for Taker<'_, S> {
    type Service = Nobody;

    fn layer(&self, service: S) -> Nobody {
        self.0.set(Some(service));
        Nobody
    }
}

/// Stands where a service was taken.
struct Nobody;

impl Service<LambdaInvocation> for Nobody {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: LambdaInvocation) -> Self::Future {
        ready(Ok(()))
    }
}
