//! Peer (a): the posts controller as people write it by hand, with the `cookie` crate's signed jar and `serde_json`.

use cookie::{Cookie, CookieJar, Key, SameSite};
use lambda_http::{
    Body, Error, Request, Response,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
    },
    run, service_fn, tracing,
};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

type Data = Map<String, Value>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let key = &Key::try_from(std::env::var("SECRET_KEY_BASE")?.as_bytes())?;
    run(service_fn(move |request| async move { answer(key, &request) })).await
}

fn answer(key: &Key, request: &Request) -> Result<Response<Body>, Error> {
    match (request.method().as_str(), request.uri().path()) {
        ("POST", "/posts") => set(key, request),
        ("GET", "/posts") => {
            let data = data_in(&jar_of(request), key);
            json(serde_json::to_string(&data)?)
        }
        ("GET", "/health") => Ok(Response::new(Body::from("ok"))),
        _ => Ok(Response::builder().status(StatusCode::NOT_FOUND).body(Body::Empty)?),
    }
}

fn set(key: &Key, request: &Request) -> Result<Response<Body>, Error> {
    let Ok(members) = serde_json::from_slice::<Data>(request.body()) else {
        return Ok(Response::builder().status(StatusCode::BAD_REQUEST).body(Body::Empty)?);
    };
    let mut jar = jar_of(request);
    let mut data = data_in(&jar, key);
    data.extend(members);
    data.insert("current_time".to_owned(), OffsetDateTime::now_utc().format(&Rfc3339)?.into());
    jar.signed_mut(key).add(
        Cookie::build((NAME, serde_json::to_string(&data)?))
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(SameSite::Lax),
    );
    let mut response = json(r#"{"message":"set some data in the session"}"#.to_owned())?;
    for cookie in jar.delta() {
        response.headers_mut().append(SET_COOKIE, cookie.encoded().to_string().parse()?);
    }
    Ok(response)
}

fn jar_of(request: &Request) -> CookieJar {
    let mut jar = CookieJar::new();
    let lines = request.headers().get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    for cookie in lines.flat_map(Cookie::split_parse_encoded).flatten() {
        jar.add_original(cookie.into_owned());
    }
    jar
}

fn data_in(jar: &CookieJar, key: &Key) -> Data {
    jar.signed(key).get(NAME).and_then(|cookie| serde_json::from_str(cookie.value()).ok()).unwrap_or_default()
}

fn json(body: String) -> Result<Response<Body>, Error> {
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(Body::from(body))?)
}

const NAME: &str = "__Host-session";
