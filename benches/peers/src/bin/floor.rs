//! The floor: a bare `lambda_http` handler that knows no session.

use lambda_http::{Body, Error, Request, Response, http::header::CONTENT_TYPE, run, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    run(service_fn(answer)).await
}

async fn answer(_request: Request) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"message":"set some data in the session"}"#))?)
}
