//! F4, F5: connections that are cut at every byte, and answers that are somebody else's.

use std::{sync::Arc, time::Duration};

use crate::{
    figure::Fault,
    shared::{App, Browser, refusal},
    support::{Counts, Harm, Leads, Memcached, Proxy, client, patient, run},
    visits::{Held, app, enter},
};

/// The one node's name, wherever it leads to.
const CACHE: &str = "cache.example:11211";

fn app_at(port: u16) -> App {
    app(&client(patient(CACHE).resolver(Arc::new(Leads::to(port)))))
}

/// What became of one visit for every place at which its connection was cut.
#[derive(Default)]
struct Cuts {
    places: usize,
    right: usize,
    refused: usize,
    wrong: usize,
}

impl Cuts {
    fn report(&self, fault: Fault, wrong: &str) -> Fault {
        fault
            .at_least("places, in requests and answers", 200, self.places)
            .all("answered right", self.places, self.right)
            .no_more("answers of 503", 0, self.refused)
            .no_more(wrong, 0, self.wrong)
    }
}

/// Does `visit` with a connection that is cut at each byte in turn, until the cut comes after the end.
async fn at_every_byte(server: &Memcached, mut visit: impl AsyncFnMut(App, &mut Cuts)) -> Cuts {
    let mut cuts = Cuts::default();
    for harm in [Harm::CutRequest as fn(usize) -> Harm, Harm::CutAnswer] {
        for offset in 0.. {
            let proxy = Proxy::start(server.port, move |number| if number == 0 { harm(offset) } else { Harm::None });
            visit(app_at(proxy.port), &mut cuts).await;
            cuts.places += 1;
            if proxy.accepted() == 1 {
                break;
            }
        }
    }
    cuts
}

pub(crate) fn cuts() -> Fault {
    run(async {
        let server = Memcached::start(&[]);
        let well = app_at(server.port);
        let cuts = at_every_byte(&server, async |app, cuts: &mut Cuts| {
            let alice = enter(&well, "alice").await;
            let answer = alice.at(app).visit("/count").await;
            let stored = alice.at(well.clone()).visit("/read").await.body;
            if answer == refusal(503) {
                cuts.refused += 1;
                cuts.wrong += usize::from(stored != "alice 0" && stored != "alice 1");
            } else {
                cuts.right += usize::from((answer.status, answer.body.as_str()) == (200, "alice 1"));
                cuts.wrong += usize::from(stored != "alice 1");
            }
        })
        .await;
        let fault = Fault::new("a connection is cut at every byte", "a visit that reads its session, counts and saves");
        cuts.report(fault, "writes lost or applied twice")
    })
}

pub(crate) fn cuts_a_logout() -> Fault {
    run(async {
        let server = Memcached::start(&[]);
        let well = app_at(server.port);
        let cuts = at_every_byte(&server, async |app, cuts: &mut Cuts| {
            let alice = enter(&well, "alice").await;
            let save = Held::begin(&well, &alice.token().unwrap(), "/count").await;
            let answer = alice.at(app).visit("/leave").await;
            save.finish().await;
            let stored = alice.at(well.clone()).visit("/read").await.body;
            if answer == refusal(503) {
                cuts.refused += 1;
            } else {
                cuts.right += usize::from(answer.status == 200);
                cuts.wrong += usize::from(stored != " 0");
            }
        })
        .await;
        let fault = Fault::new(
            "the same, at a logout",
            "another request has loaded the session before it, and saves it after it",
        );
        cuts.report(fault, "sessions revived")
    })
}

pub(crate) fn twists() -> Fault {
    const ROUNDS: usize = 50_000;
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::Twist);
        let counts = Arc::new(Counts::default());
        let settings = patient(CACHE).resolver(Arc::new(Leads::to(proxy.port))).observer(counts.clone());
        let twisted = app(&client(settings.probe_interval(Duration::ZERO)));
        let well = app_at(server.port);
        let mut users = [User::enter(&well, &twisted, "alice").await, User::enter(&well, &twisted, "bobby").await];
        for round in 0..ROUNDS {
            let path = if round % 3 == 0 { "/count" } else { "/read" };
            let [alice, bobby] = &mut users;
            tokio::join!(alice.visit(path), bobby.visit(path));
        }
        let sum = |figure: fn(&User) -> usize| users.iter().map(figure).sum::<usize>();
        let done =
            "in turn: right, another connection's answer, the answer before on the same one, twice; two users at once";
        Fault::new("answers are swapped, shifted and doubled", done)
            .all("requests", 2 * ROUNDS, sum(|user| user.right + user.refused + user.foreign + user.lost))
            .no_more("foreign sessions", 0, sum(|user| user.foreign))
            .no_more("sessions or counts lost", 0, sum(|user| user.lost))
            .at_least("answered right", 1_000, sum(|user| user.right))
            .at_least("connections found out", ROUNDS / 2, counts.of("Desynchronised"))
    })
}

/// One user, and what they were answered.
struct User {
    name: &'static str,
    browser: Browser,
    /// How often they counted, and were told so.
    asked: u64,
    told: u64,
    right: usize,
    refused: usize,
    foreign: usize,
    lost: usize,
}

impl User {
    async fn enter(well: &App, twisted: &App, name: &'static str) -> Self {
        let browser = enter(well, name).await.at(twisted.clone());
        Self { name, browser, asked: 0, told: 0, right: 0, refused: 0, foreign: 0, lost: 0 }
    }

    async fn visit(&mut self, path: &str) {
        self.asked += u64::from(path == "/count");
        let answer = self.browser.visit(path).await;
        if answer == refusal(503) {
            self.refused += 1;
            return;
        }
        self.told += u64::from(path == "/count");
        let (name, count) = answer.body.split_once(' ').unwrap_or_default();
        let count: u64 = count.parse().unwrap_or(u64::MAX);
        if !name.is_empty() && name != self.name {
            self.foreign += 1;
        } else if answer.status == 200 && name == self.name && (self.told..=self.asked).contains(&count) {
            self.right += 1;
        } else {
            self.lost += 1;
        }
    }
}
