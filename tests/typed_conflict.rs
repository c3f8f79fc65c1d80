//! Two requests change one typed session at once, in every order in which their questions can reach the store (security.md,
//! SL10; issue 3, "Two requests on one session"): what their type does not know is never lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[path = "support/orders.rs"]
mod orders;
mod support;

use http::{Request, Response};
use lambda_session::store::MemoryStore;
use lambda_session::{Conflict, Data, Error, Session, Values};
use orders::{Make, Meeting};
use serde::{Deserialize, Serialize};
use support::*;

/// What one version of an application knows of a session.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    count: u64,
    note: String,
}

/// What the next version knows of it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct CouponCart {
    note: String,
    coupon: Option<String>,
}

/// The same with another name for a field of the first.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct RenamedCart {
    #[serde(alias = "count")]
    items: u64,
    note: String,
    coupon: Option<String>,
}

trait Basket: Data {
    /// `add`, `note-TEXT` or `redeem-TEXT`, as far as it knows that.
    fn change(&mut self, verb: &str, text: &str);
}

impl Basket for Cart {
    fn change(&mut self, verb: &str, text: &str) {
        match verb {
            "add" => self.count += 1,
            _ => self.note = text.into(),
        }
    }
}

impl Basket for CouponCart {
    fn change(&mut self, verb: &str, text: &str) {
        match verb {
            "redeem" => self.coupon = Some(text.into()),
            _ => self.note = text.into(),
        }
    }
}

impl Basket for RenamedCart {
    fn change(&mut self, verb: &str, text: &str) {
        match verb {
            "add" => self.items += 1,
            "redeem" => self.coupon = Some(text.into()),
            _ => self.note = text.into(),
        }
    }
}

/// Deeds by their names, each with the session held anew.
async fn serve<T: Basket>(request: Request<String>) -> Result<Response<String>, Error> {
    for deed in request.uri().path().split('/').filter(|deed| !deed.is_empty()) {
        let (verb, rest) = deed.split_once('-').unwrap_or((deed, ""));
        let mut basket: Session<T> = Session::of(&request).await?;
        match verb {
            "read" => {}
            "renew" => Session::renew(&mut basket),
            _ => basket.change(verb, rest),
        }
    }
    Ok(Response::new(String::new()))
}

fn typed<T: Basket>(policy: Conflict) -> impl Fn(ScriptedStore<MemoryStore>) -> App {
    move |store| with_handler::<T, _, _>(layer(store).on_conflict(policy), serve::<T>)
}

/// What neither version knows; a number that no `f64` holds among it.
const UNKNOWN: &str = r#""user":{"id":12345678901234567890.25,"roles":["a","b"]}"#;

/// SL10: keys that the type does not know are in every session that is left, to the digit, in every order and under every
/// policy; and a change that was saved under `merge` is in it too.
#[tokio::test]
async fn what_the_type_does_not_know_is_never_lost() {
    let session = format!(r#"{{"count":1,"note":"",{UNKNOWN}}}"#);
    for policy in [Conflict::Merge, Conflict::Fail, Conflict::Overwrite] {
        let (cart, coupon, renamed) =
            (typed::<Cart>(policy), typed::<CouponCart>(policy), typed::<RenamedCart>(policy));
        let untyped = |store| scripted(layer::<Values>(store).on_conflict(policy));
        let (cart, coupon, renamed, untyped): (Make<'_>, Make<'_>, Make<'_>, Make<'_>) =
            (&cart, &coupon, &renamed, &untyped);
        for (name, apps, paths, saved) in [
            ("two fields", [cart, cart], ["/add", "/note-n"], [r#""count":2"#, r#""note":"n""#]),
            ("one field", [cart, cart], ["/note-n", "/note-n"], [r#""note":"n""#, r#""note":"n""#]),
            ("two holders", [cart, cart], ["/add/note-n", "/note-m/note-n"], [r#""count":2"#, r#""note":"n""#]),
            ("a reader of an ageing one", [cart, cart], ["/read", "/note-n"], ["", r#""note":"n""#]),
            ("a login", [cart, cart], ["/renew", "/note-n"], ["", r#""note":"n""#]),
            ("two logins", [cart, cart], ["/renew/add", "/renew/note-n"], [r#""count":2"#, r#""note":"n""#]),
            ("two versions", [cart, coupon], ["/add", "/redeem-c"], [r#""count":2"#, r#""coupon":"c""#]),
            ("a key that nobody knew", [cart, untyped], ["/add", "/set-x=1"], [r#""count":2"#, r#""x":"1""#]),
            ("a new name, twice", [renamed, renamed], ["/add", "/redeem-c"], [r#""items":2"#, r#""coupon":"c""#]),
            ("a new name, and a key", [renamed, untyped], ["/add", "/set-x=1"], [r#""items":2"#, r#""x":"1""#]),
        ] {
            for outcome in (Meeting { apps, session: &session, age: 200, paths }).in_every_order().await {
                let order = format!("{name}, {policy:?}, {}: {outcome:?}", outcome.order);
                let [one, two] = &outcome.new;
                let left: Vec<&String> =
                    [&outcome.old, one, two].into_iter().filter(|text| text.contains('{')).collect();
                let left: Vec<_> = left.into_iter().filter(|text| *text != "{}").collect();
                assert!(!left.is_empty() && outcome.kept == 1, "{order}");
                for text in left {
                    assert!(text.contains(UNKNOWN), "{order}");
                    // Whoever comes after a login finds its id gone, and sets no cookie.
                    for (answer, saved) in outcome.answers.iter().zip(saved) {
                        let is_saved = answer.sets() == Sets::Cookie && policy == Conflict::Merge;
                        assert!(!is_saved || text.contains(saved), "{order}");
                    }
                }
            }
        }
    }
}
