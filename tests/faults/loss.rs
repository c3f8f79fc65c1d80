//! F7, F14, F19: what an environment does not know, what the server forgets, and what it has no room for.

use lambda_session::memcached::Client;
use lambda_session::store::MemcachedStore;

use crate::{
    figure::Fault,
    shared::{App, Sets, keyring, layer, refusal},
    support::{Memcached, client, patient, run},
    visits::{app, app_over, enter},
};

fn with_ring(client: &Client, seeds: &[u8]) -> App {
    app_over(layer(MemcachedStore::new(client.clone(), keyring(seeds))))
}

pub(crate) fn stale_ring() -> Fault {
    const REQUESTS: usize = 10_000;
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let (mut lost, mut cleared) = (0, 0);
        let mut browsers = Vec::new();
        for number in 0..20 {
            browsers.push(enter(&with_ring(&client, &[0]), &format!("visitor-{number}")).await);
        }
        // The new secret opens first, and seals when every instance has it.
        for (stale, fresh) in [(&[0][..], &[0, 1][..]), (&[0, 1], &[1, 0])] {
            let instances = [with_ring(&client, stale), with_ring(&client, fresh)];
            for number in 0..REQUESTS / 2 {
                let place = number % browsers.len();
                let mut browser = browsers[place].at(instances[number * 7919 / 64 % 2].clone());
                let answer = browser.visit(if number % 3 == 0 { "/count" } else { "/read" }).await;
                lost += usize::from(!answer.body.starts_with(&format!("visitor-{place} ")));
                cleared += usize::from(answer.sets() == Sets::Removal);
                browsers[place] = browser;
            }
        }
        // The new secret seals at once: an instance that cannot read a cookie lets it be.
        let (stale, fresh) = (with_ring(&client, &[0]), with_ring(&client, &[2, 0]));
        let mut alice = enter(&fresh, "alice").await.at(stale);
        let answer = alice.visit("/read").await;
        let back = alice.at(fresh).visit("/read").await;
        Fault::new(
            "half of the instances have a stale ring",
            "rotation in two steps, 10,000 requests; then one in one step",
        )
        .no_more("of 10,000 requests lost their session", 0, lost)
        .no_more("cookies cleared", 0, cleared)
        .figure(
            "one step: cookie left alone, session back",
            format!("{:?}, {:?}", answer.sets(), back.body),
            answer.sets() == Sets::Nothing && back.body == "alice 0",
        )
    })
}

pub(crate) fn forgets() -> Fault {
    const USERS: usize = 200;
    run(async {
        let mut server = Memcached::start(&[]);
        let app = app(&client(patient(&server.name())));
        let (mut empty, mut errors, mut again) = (0, 0, 0);
        for restart in [false, true] {
            let mut browsers = Vec::new();
            for number in 0..USERS {
                browsers.push(enter(&app, &format!("user-{number}")).await);
            }
            if restart {
                server.restart();
            } else {
                server.tell("flush_all\r\n");
            }
            for (number, browser) in browsers.iter_mut().enumerate() {
                let answers = [browser.visit("/read").await, browser.visit(&format!("/enter-user-{number}")).await];
                empty += usize::from(answers[0].body == " 0");
                errors += answers.iter().filter(|answer| answer.status >= 500).count();
                again += usize::from(browser.visit("/count").await.body == format!("user-{number} 1"));
            }
        }
        Fault::new("the node forgets everything", "200 users; flush_all, then a restart")
            .all("of 400 sessions empty", 2 * USERS, empty)
            .no_more("answers of 5xx", 0, errors)
            .all("new logins work", 2 * USERS, again)
    })
}

pub(crate) fn outgrows() -> Fault {
    run(async {
        let server = Memcached::start(&[]);
        let mut alice = enter(&app(&client(patient(&server.name()))), "alice").await;
        alice.visit("/count").await;
        let over = alice.visit("/big-300000").await;
        let after = alice.visit("/read").await;
        // Ours is more than this server takes; it drops what it has then.
        let small = Memcached::start(&["-I", "512k"]);
        let mut bobby = enter(&app(&client(patient(&small.name()).value_limit(1_000_000))), "bobby").await;
        let refused = bobby.visit("/big-600000").await;
        let told = bobby.visit("/read").await.status;
        Fault::new("a session outgrows the cache", "300,000 bytes; then 600,000 with our limit set above the server's")
            .figure("an error, no cookie", format!("{}, {:?}", over.status, over.sets()), over == refusal(500))
            .figure("old state intact", format!("{:?}", after.body), after.body == "alice 1")
            .figure(
                "the server's own refusal: an error, no cookie",
                format!("{}, {:?}", refused.status, refused.sets()),
                refused == refusal(503),
            )
            .figure("and no error after it", told, told == 200)
    })
}
