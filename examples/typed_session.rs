//! A session as a struct of your own: the whole application of README's first screen, with a shopping cart.
//!
//! ```sh
//! cargo build --example typed_session
//! lambda-session invoke --bootstrap target/debug/examples/typed_session events/http-api-index.json events/http-api-index.json
//! ```

use axum::{Router, routing::get};
use lambda_session::{Error, Session, SessionLayer};
use serde::{Deserialize, Serialize};

/// Keys that this struct does not know are kept, so another function, or the next version, can share the session.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    visits: u64,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    pieces: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::tracing::init_default_subscriber();
    let sessions = SessionLayer::<Cart>::from_env().await?;
    lambda_session::run(Router::new().route("/", get(visit)).route("/posts", get(show).post(add)).layer(sessions)).await
}

async fn visit(mut cart: Session<Cart>) -> String {
    cart.visits += 1;
    format!("visit {}, {} items\n", cart.visits, cart.items.len())
}

async fn add(mut cart: Session<Cart>) -> &'static str {
    match cart.items.iter_mut().find(|item| item.name == "apple") {
        Some(apples) => apples.pieces = apples.pieces.saturating_add(1),
        None => cart.items.push(Item { name: "apple".into(), pieces: 1 }),
    }
    "an apple more\n"
}

/// `Option`: this page is shown also while the store is unavailable.
async fn show(cart: Option<Session<Cart>>) -> String {
    match cart {
        Some(cart) => cart.items.iter().map(|item| format!("{} {}\n", item.pieces, item.name)).collect(),
        None => "your cart is not at hand right now\n".into(),
    }
}
