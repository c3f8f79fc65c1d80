//! A session's type encodes and decodes: what does not is no session.
use lambda_session::{SessionLayer, store::MemoryStore};

#[derive(Default)]
struct Opaque;

fn main() {
    let _ = SessionLayer::<Opaque>::new(MemoryStore::new().unwrap());
}
