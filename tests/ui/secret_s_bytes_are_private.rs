//! Nothing gives key material back.
use lambda_session::keyring::{Keyring, Secret};

fn bytes(secret: &Secret, keyring: &Keyring) {
    let _ = &secret.0;
    let _ = &keyring.0;
}

fn main() {
    let _ = bytes;
}
