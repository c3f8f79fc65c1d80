//! A session begins empty, so its type has a default.
use lambda_session::Session;

#[derive(serde::Serialize, serde::Deserialize)]
struct User {
    name: String,
}

async fn read(request: http::Request<String>) -> Result<String, lambda_session::Error> {
    let session: Session<User> = Session::of(&request).await?;
    Ok(session.name.clone())
}

fn main() {
    let _ = read;
}
