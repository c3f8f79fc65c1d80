//! The floor with one secret from SSM, fetched at start as people write it: aws-config and aws-sdk-ssm, default features.

use std::env;

use aws_config::BehaviorVersion;
use lambda_http::{Body, Error, Request, Response, http::header::CONTENT_TYPE, run, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let ssm = aws_sdk_ssm::Client::new(&config);
    let name = env::var("SESSION_KEYS_PARAMETER")?;
    let found = ssm.get_parameter().name(name).with_decryption(true).send().await?;
    let secret = found.parameter.and_then(|parameter| parameter.value).ok_or("the parameter has no value")?;
    let secret = secret.as_str();
    run(service_fn(|request| answer(request, secret))).await
}

async fn answer(_request: Request, secret: &str) -> Result<Response<Body>, Error> {
    if secret.is_empty() {
        return Err("the secret is empty".into());
    }
    Ok(Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"message":"set some data in the session"}"#))?)
}
