//! A secret is moved into its ring, never copied.
use lambda_session::keyring::Secret;

fn copy(secret: &Secret) -> Secret {
    secret.clone()
}

fn main() {
    let _ = copy;
}
