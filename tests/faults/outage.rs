//! F1, F2, F3: the node refuses, is silent, or answers too slowly.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    figure::Fault,
    shared::{App, Browser, Sets, refusal},
    support::{Counts, Harm, Memcached, Proxy, Shift, client, run, settings},
    visits::{app, enter, timed},
};

const REQUESTS: usize = 1_000;
/// What all of a request's calls to the store may take on open connections.
const WARM: Duration = Duration::from_millis(250);
/// Timers of the runtime have a millisecond.
const TICKS: Duration = Duration::from_millis(5);
/// How late a busy machine may wake one of several.
const BUSY: Duration = Duration::from_millis(100);
/// How many environments meet the silent node for the first time.
const ENVIRONMENTS: usize = 9;
/// Longer than any visit to a cache on loopback that answers, shorter than any time-out.
const SLOW: Duration = Duration::from_millis(40);

/// What was answered while the node was away.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    refused: usize,
    cookies: usize,
    /// How many requests had been answered when the breaker opened.
    until_open: Option<usize>,
}

impl Seen {
    async fn of(browsers: &mut [Browser], counts: &Counts) -> Self {
        let mut seen = Self::default();
        for number in 0..REQUESTS {
            let place = number % browsers.len();
            let path = if number % 2 == 0 { "/count" } else { "/read" };
            let (answer, took) = timed(&mut browsers[place], path).await;
            seen.times.push(took);
            seen.cookies += usize::from(answer.sets() != Sets::Nothing);
            seen.refused += usize::from(answer == refusal(503));
            if counts.of("BreakerOpen") > 0 && seen.until_open.is_none() {
                seen.until_open = Some(number + 1);
            }
        }
        seen
    }

    fn report(&self, fault: Fault) -> Fault {
        fault.all("of 1,000 requests answered, with 503 and Retry-After", REQUESTS, self.refused).no_more(
            "Set-Cookie",
            0,
            self.cookies,
        )
    }

    /// Of those after the breaker opened.
    fn p99(&self) -> Duration {
        let mut times = self.times[self.until_open.unwrap_or(REQUESTS)..].to_vec();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).copied().unwrap_or(Duration::MAX)
    }

    fn slow(&self) -> usize {
        self.times.iter().filter(|&&time| time > SLOW).count()
    }

    fn longest(&self) -> Duration {
        self.times.iter().max().copied().unwrap_or_default()
    }
}

/// Environments with an open connection each, by a browser that has visited all of them.
async fn environments(cache: &str, browser: &Browser) -> Vec<Browser> {
    let mut environments = Vec::new();
    for _ in 0..ENVIRONMENTS {
        let mut there = browser.at(app(&client(settings(cache))));
        assert_eq!(there.visit("/read").await.status, 200);
        environments.push(there);
    }
    environments
}

/// What the first answer of each environment takes, sorted.
async fn first_answers(environments: &mut [Browser]) -> Vec<Duration> {
    let mut times = Vec::new();
    for environment in environments {
        let (answer, took) = timed(environment, "/count").await;
        assert_eq!(answer, refusal(503));
        times.push(took);
    }
    times.sort_unstable();
    times
}

/// One slow answer each, and that bounded. Their median, since a busy machine wakes some of them late.
fn bounded(fault: Fault, times: &[Duration]) -> Fault {
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    fault.at_most("first answers of 9 environments: median (250 + 5 ms)", WARM + TICKS, median).at_most(
        "and the longest, however busy the machine",
        WARM + BUSY,
        longest,
    )
}

async fn visitors(app: &App) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for number in 0..20 {
        browsers.push(enter(app, &format!("visitor-{number}")).await);
    }
    browsers
}

/// How long it takes from now until somebody is served.
async fn back(browser: &mut Browser) -> Duration {
    let began = Instant::now();
    while browser.visit("/read").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

pub(crate) fn refuses() -> Fault {
    run(async {
        let mut server = Memcached::start(&[]);
        let counts = Arc::new(Counts::default());
        let app = app(&client(settings(&server.name()).observer(counts.clone())));
        let mut browsers = visitors(&app).await;
        server.kill();
        let seen = Seen::of(&mut browsers, &counts).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        browsers[0].visit("/read").await;
        server.restart();
        let back = back(&mut browsers[0]).await;
        seen.report(Fault::new("the node refuses", "memcached killed with open connections; restarted after 2 s"))
            .at_most("first answer", Duration::from_millis(120), seen.times[0])
            .no_more("requests until the breaker is open", 2, seen.until_open.unwrap_or(REQUESTS))
            .at_most("p99 with the breaker open", Duration::from_millis(5), seen.p99())
            .at_most("served again after its return", Duration::from_secs(2), back)
    })
}

pub(crate) fn refuses_for_an_hour() -> Fault {
    run(async {
        let mut server = Memcached::start(&[]);
        let (shift, counts) = (Shift::new(), Arc::new(Counts::default()));
        let app = app(&client(settings(&server.name()).clock(shift.clock()).observer(counts.clone())));
        let mut browsers = visitors(&app).await;
        server.kill();
        let mut refused = 0;
        for _ in 0..3600 {
            refused += usize::from(browsers[0].visit("/read").await == refusal(503));
            shift.forward(Duration::from_secs(1));
        }
        server.restart();
        let back = back(&mut browsers[0]).await;
        Fault::new(
            "the same, for an hour",
            "the client's clock set forward by a second between two requests, 3,600 times",
        )
        .all("of 3,600 requests answered with 503", 3600, refused)
        .at_most("served again after its return", Duration::from_secs(2), back)
    })
}

pub(crate) fn is_silent() -> Fault {
    run(async {
        let (server, well) = (Memcached::start(&[]), Memcached::start(&[]));
        let counts = Arc::new(Counts::default());
        let names = [server.name(), well.name()].join(",");
        let app = app(&client(settings(&names).observer(counts.clone())));
        let (mut browsers, mut others) = (Vec::new(), Vec::new());
        for browser in visitors(&app).await {
            let at = crate::visits::node_of(&browser.token().unwrap());
            if at == server.id() { browsers.push(browser) } else { others.push(browser) }
        }
        let mut environments = environments(&names, &browsers[0]).await;
        server.signal("-STOP");
        let first = first_answers(&mut environments).await;
        let seen = Seen::of(&mut browsers, &counts).await;
        let mut undisturbed = 0;
        for number in 0..REQUESTS {
            let place = number % others.len();
            let (answer, took) = timed(&mut others[place], "/count").await;
            undisturbed += usize::from(answer.status == 200 && took < SLOW);
        }
        server.signal("-CONT");
        let back = back(&mut browsers[0]).await;
        let done = "memcached stopped (SIGSTOP) with open connections";
        bounded(seen.report(Fault::new("the node accepts and never answers", done)), &first)
            .no_more("slow answers before the breaker", 1, seen.slow())
            .at_most("p99 with the breaker open", Duration::from_millis(5), seen.p99())
            .figure("other node: ≥ 990 of 1,000 below 40 ms", undisturbed, undisturbed >= 990)
            .at_most("served again after SIGCONT", Duration::from_secs(2), back)
    })
}

pub(crate) fn is_silent_from_the_start() -> Fault {
    run(async {
        let server = Memcached::start(&[]);
        let warm = app(&client(settings(&server.name())));
        let visitors = visitors(&warm).await;
        let counts = Arc::new(Counts::default());
        let cold = app(&client(settings(&server.name()).observer(counts.clone())));
        let mut browsers: Vec<_> = visitors.iter().map(|browser| browser.at(cold.clone())).collect();
        server.signal("-STOP");
        let seen = Seen::of(&mut browsers, &counts).await;
        seen.report(Fault::new(
            "the same, in a new environment",
            "no connection open yet: the dial hangs while greeting",
        ))
        .at_most("longest answer", Duration::from_secs(1), seen.longest())
        .no_more("slow answers before the breaker", 1, seen.slow())
    })
}

pub(crate) fn dribbles() -> Fault {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let counts = Arc::new(Counts::default());
        let app = app(&client(settings(&proxy.name()).observer(counts.clone())));
        let mut browsers = visitors(&app).await;
        let mut environments = environments(&proxy.name(), &browsers[0]).await;
        proxy.dribble(Duration::from_millis(20));
        let first = first_answers(&mut environments).await;
        let seen = Seen::of(&mut browsers, &counts).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let open = proxy.open();
        proxy.dribble(Duration::ZERO);
        let back = back(&mut browsers[0]).await;
        let fault = Fault::new("the node answers a byte every 20 ms", "also on connections that are open");
        bounded(seen.report(fault), &first)
            .no_more("slow answers before the breaker", 1, seen.slow())
            .no_more("connections left open", 0, open)
            .at_most("served again when it is quick", Duration::from_secs(2), back)
    })
}
