//! A session that was destroyed is gone.
async fn logout(mut session: lambda_session::Session) {
    lambda_session::Session::destroy(session);
    let _ = session.insert("user", "alice");
}

fn main() {
    let _ = logout;
}
