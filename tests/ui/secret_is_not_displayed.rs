//! Neither a secret nor a ring prints itself.
use lambda_session::keyring::{Keyring, Secret};

fn print(secret: &Secret, keyring: &Keyring) -> String {
    format!("{secret} {keyring}")
}

fn main() {
    let _ = print;
}
