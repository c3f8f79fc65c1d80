//! Secrets from a place of your own: here the AWS Parameters and Secrets extension, a layer that keeps parameters at hand.
//!
//! It answers only after the start, so the ring is fetched by the first request that needs it.
//!
//! It keeps a parameter for 300 s itself (`SSM_PARAMETER_STORE_TTL`, in seconds), which adds to our six minutes: a revoked key is
//! good for up to eleven. Set that variable to 1, or give a new key as much more time: `keys rotate --in 25m`.

use axum::{Router, routing::get};
use lambda_session::keyring::Keyring;
use lambda_session::secrets::{Keys, Secrets};
use lambda_session::store::CookieStore;
use lambda_session::{Error, ErrorKind, Session, SessionLayer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

struct Extension {
    port: u16,
    parameter: String,
    token: String,
}

impl Secrets for Extension {
    async fn fetch(&self) -> Result<Keyring, Error> {
        let Self { port, parameter, token } = self;
        let request = format!(
            "GET /systemsmanager/parameters/get?withDecryption=true&name={} HTTP/1.0\r\nX-Aws-Parameters-Secrets-Token: {token}\r\n\r\n",
            parameter.replace('/', "%2F")
        );
        let mut answer = Zeroizing::new(String::new());
        let silent = |error| Error::new(ErrorKind::Unavailable, "the extension gives no answer").with_source(error);
        let mut stream = TcpStream::connect(("127.0.0.1", *port)).await.map_err(silent)?;
        stream.write_all(request.as_bytes()).await.map_err(silent)?;
        stream.read_to_string(&mut answer).await.map_err(silent)?;
        let json = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json: Value = serde_json::from_str(json).unwrap_or_default();
        let value = json["Parameter"]["Value"].as_str();
        Keyring::parse(value.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the extension gives no parameter"))?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::tracing::init_default_subscriber();
    let variable = |name| std::env::var(name).map_err(|_| Error::new(ErrorKind::Config, format!("{name} is not set")));
    let extension = Extension {
        port: variable("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT")
            .ok()
            .and_then(|port| port.parse().ok())
            .unwrap_or(2773),
        parameter: variable("SESSION_KEYS_PARAMETER")?,
        token: variable("AWS_SESSION_TOKEN")?,
    };
    let sessions = <SessionLayer>::new(CookieStore::encrypted(Keys::on_demand(extension)));
    lambda_session::run(Router::new().route("/", get(visit)).layer(sessions)).await
}

async fn visit(mut session: Session) -> Result<String, Error> {
    let count = session.get::<u64>("count").unwrap_or(0).saturating_add(1);
    session.insert("count", count)?;
    Ok(format!("visit {count}\n"))
}
