//! A token is as good as a password: showing it takes `as_str`.
fn show(token: &lambda_session::Token) -> String {
    token.to_string()
}

fn main() {
    let _ = show;
}
