//! One holder at a time.
fn twice(session: &lambda_session::Session) -> lambda_session::Session {
    session.clone()
}

fn main() {
    let _ = twice;
}
