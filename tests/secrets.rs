//! A ring that is refreshed while the function lives (security.md, SS5 to SS9; faults F9, F15, F17), with time passed in.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use lambda_session::keyring::{Keyring, Secret};
use lambda_session::secrets::{Keys, Secrets};
use lambda_session::store::{Call, CookieStore, Found, Store};
use lambda_session::{Error, ErrorKind, Lifetime, Record, Token};

/// A source that answers what the test has put into it, the last answer again and again.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    calls: u32,
}

#[derive(Clone)]
enum Answer {
    Ring(Vec<(u64, u8)>),
    Fails(ErrorKind),
    Hangs,
    /// It panics; `true`: before it has waited for anything.
    Panics(bool),
    /// A ring, after so many milliseconds.
    Late(u64, Vec<(u64, u8)>),
}

impl Scripted {
    fn answers(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), calls: 0 };
        Self(Arc::new(Mutex::new(script)))
    }

    fn then(&self, answer: Answer) {
        let mut script = self.0.lock().unwrap();
        script.answers.clear();
        script.answers.push_back(answer);
    }

    fn calls(&self) -> u32 {
        self.0.lock().unwrap().calls
    }
}

impl Secrets for Scripted {
    async fn fetch(&self) -> Result<Keyring, Error> {
        let answer = {
            let mut script = self.0.lock().unwrap();
            script.calls += 1;
            if script.answers.len() > 1 { script.answers.pop_front() } else { script.answers.front().cloned() }.unwrap()
        };
        match answer {
            Answer::Ring(keys) => ring(&keys),
            Answer::Fails(kind) => Err(Error::new(kind, "as scripted")),
            Answer::Hangs => std::future::pending().await,
            Answer::Panics(is_early) => {
                if !is_early {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("the source has a bug");
            }
            Answer::Late(milliseconds, keys) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                ring(&keys)
            }
        }
    }
}

fn secret(seed: u8) -> Secret {
    Secret::from_bytes((0..32).map(|i| i ^ seed.wrapping_mul(37)).collect()).unwrap()
}

/// Keys by the second from which on they seal, and their seed.
fn ring(keys: &[(u64, u8)]) -> Result<Keyring, Error> {
    Keyring::dated(keys.iter().map(|(from, seed)| (at(*from), secret(*seed))))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

const START: u64 = 1_795_369_800;

/// No jitter: the middle of its range.
fn middle(buffer: &mut [u8]) -> Result<(), Error> {
    buffer.iter_mut().zip([0x80, 0]).for_each(|(byte, value)| *byte = value);
    Ok(())
}

fn call(now: SystemTime) -> Call {
    let lifetime = Lifetime::new(Duration::from_secs(90_000), Duration::from_secs(200_000)).unwrap();
    Call::new(now, Instant::now() + Duration::from_secs(5), lifetime, "__Host-session", "")
}

async fn store(source: &Scripted) -> CookieStore {
    CookieStore::encrypted(Keys::refreshed_at(source.clone(), at(0), middle).await.unwrap())
}

async fn seal(store: &CookieStore, seconds: u64) -> Result<Token, Error> {
    seal_at(store, at(seconds)).await
}

async fn seal_at(store: &CookieStore, now: SystemTime) -> Result<Token, Error> {
    store.create(&Record::new(b"{}".to_vec(), now).unwrap(), &call(now)).await
}

async fn opens(store: &CookieStore, token: &Token, seconds: u64) -> bool {
    matches!(store.load(token, &call(at(seconds))).await, Ok(Found::Live(_)))
}

/// SS6: one call at start, none while the ring is fresh, one when it is older than 300 s.
#[tokio::test]
async fn a_fresh_ring_is_not_fetched_again() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    for seconds in 0..299 {
        seal(&store, seconds).await.unwrap();
    }
    assert_eq!(source.calls(), 1);
    seal(&store, 301).await.unwrap();
    assert_eq!(source.calls(), 2);
}

/// SS6: the time after which it is fetched differs by up to a fifth, so that environments do not ask in step.
#[tokio::test]
async fn environments_do_not_refresh_in_step() {
    for (random, last_fresh, first_stale) in [
        ((|_| Ok(())) as fn(&mut [u8]) -> Result<(), Error>, 239, 241),
        (
            |b| {
                b.fill(255);
                Ok(())
            },
            359,
            361,
        ),
    ] {
        let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
        let store = CookieStore::encrypted(Keys::refreshed_at(source.clone(), at(0), random).await.unwrap());
        seal(&store, last_fresh).await.unwrap();
        assert_eq!(source.calls(), 1);
        seal(&store, first_stale).await.unwrap();
        assert_eq!(source.calls(), 2);
    }
}

/// F9, SS6: a source that is down for a day costs one attempt every 30 s and loses no session; after that it is an outage.
#[tokio::test(start_paused = true)]
async fn the_last_good_ring_serves_for_a_day() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let token = seal(&store, 0).await.unwrap();
    source.then(Answer::Fails(ErrorKind::Unavailable));
    let mut calls = source.calls();
    for seconds in (301..86_400).step_by(5) {
        assert!(opens(&store, &token, seconds).await, "at {seconds} s");
    }
    calls = source.calls() - calls;
    assert!((86_100 / 35..=86_100 / 30 + 1).contains(&calls), "{calls} calls");
    let error = store.load(&token, &call(at(86_400))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    source.then(Answer::Ring(vec![(0, 1)]));
    assert!(opens(&store, &token, 86_431).await, "it recovers by itself");
}

/// SS6: a refresh that finds a bad or denied parameter keeps the ring.
#[tokio::test]
async fn a_bad_refresh_keeps_the_ring() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let token = seal(&store, 0).await.unwrap();
    source.then(Answer::Fails(ErrorKind::Config));
    assert!(opens(&store, &token, 301).await);
}

/// SS6, F9: a source with a bug is a source that is down: the last good ring serves, and what the panic says stays out of the
/// answer. At a start it is asked again, and the environment lives.
#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_one_that_is_down() {
    for is_early in [true, false] {
        let ring = || Answer::Ring(vec![(0, 1)]);
        let source = Scripted::answers([Answer::Panics(is_early), Answer::Panics(is_early), ring()]);
        let store = store(&source).await;
        assert_eq!(source.calls(), 3, "at the start");
        let token = seal(&store, 0).await.unwrap();
        source.then(Answer::Panics(is_early));
        for seconds in 301..331 {
            assert!(opens(&store, &token, seconds).await, "at {seconds} s");
        }
        assert_eq!(source.calls(), 4, "asked again after 30 s, as after any failure");
        let error = store.load(&token, &call(at(86_410))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        source.then(ring());
        assert!(opens(&store, &token, 86_450).await, "it recovers by itself");
    }
}

/// SS5, F12: without a ring a panic is 503, and the next request asks again; a panic while the source says what it is late with is
/// one too.
#[tokio::test(start_paused = true)]
async fn a_panic_without_a_ring_is_an_outage() {
    struct Broken(Answer);

    impl Secrets for Broken {
        async fn fetch(&self) -> Result<Keyring, Error> {
            Scripted::answers([self.0.clone()]).fetch().await
        }
        fn late(&self, _: Duration) -> Error {
            panic!("another bug");
        }
    }

    for trouble in [Answer::Panics(true), Answer::Panics(false), Answer::Hangs] {
        let store = CookieStore::encrypted(Keys::on_demand(Broken(trouble)));
        for seconds in [0, 60] {
            assert_eq!(seal(&store, seconds).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }
}

/// SS5, F11: what will not pass by itself ends the start at once, after one call.
#[tokio::test(start_paused = true)]
async fn permanent_trouble_ends_the_start() {
    let denied = Scripted::answers([Answer::Fails(ErrorKind::Config)]);
    let start = tokio::time::Instant::now();
    let error = Keys::refreshed_at(denied.clone(), at(0), middle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!((start.elapsed(), denied.calls()), (Duration::ZERO, 1));
}

/// SS4: what may pass is tried again while the start has time for it.
#[tokio::test(start_paused = true)]
async fn passing_trouble_is_tried_again_at_start() {
    let fails = Answer::Fails(ErrorKind::Unavailable);
    let source = Scripted::answers([fails.clone(), Answer::Hangs, fails.clone(), fails, Answer::Ring(vec![(0, 1)])]);
    let start = tokio::time::Instant::now();
    let store = store(&source).await;
    // The middle of the pauses' range: 50, 100, 200 and 400 ms; and 2 s for the call that hung.
    let took = start.elapsed().as_millis();
    assert!((2750..2760).contains(&took), "{took} ms");
    seal(&store, 1).await.unwrap();
    assert_eq!(source.calls(), 5);
}

/// SS5, F12: what has not passed in 8 s does not end the start: 503 until it has, with an attempt every 1 to 5 s, not 30, since there is
/// nothing to go on with.
#[tokio::test(start_paused = true)]
async fn passing_trouble_does_not_end_the_start() {
    for trouble in [Answer::Fails(ErrorKind::Unavailable), Answer::Hangs] {
        let source = Scripted::answers([trouble]);
        let start = tokio::time::Instant::now();
        let store = store(&source).await;
        assert!(start.elapsed() <= Duration::from_millis(8010), "{:?}", start.elapsed());
        let calls = source.calls();
        assert!((4..=15).contains(&calls), "{calls} calls");
        assert_eq!(seal(&store, 10).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(source.calls(), calls, "not asked again at once");
        assert_eq!(seal(&store, 12).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(source.calls(), calls + 1);
        source.then(Answer::Ring(vec![(0, 1)]));
        seal(&store, 20).await.unwrap();
    }
}

/// F9: while the source fails, nothing brings an attempt forward, and no request makes two.
#[tokio::test]
async fn an_unknown_key_does_not_hurry_a_source_that_fails() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let foreign = seal(&CookieStore::encrypted(Keyring::new([secret(9)]).unwrap()), 1).await.unwrap();
    source.then(Answer::Fails(ErrorKind::Unavailable));
    for seconds in 301..331 {
        assert!(!opens(&store, &foreign, seconds).await);
    }
    assert_eq!(source.calls(), 2);
    source.then(Answer::Ring(vec![(0, 1)]));
    assert!(!opens(&store, &foreign, 331).await);
    assert_eq!(source.calls(), 3, "once for what is due, not again for the key");
}

/// SS6: a request that is cancelled in the middle of a refresh does not call forth the next attempt.
#[tokio::test(start_paused = true)]
async fn a_cancelled_refresh_is_a_failed_one() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    source.then(Answer::Hangs);
    tokio::time::timeout(Duration::from_millis(10), seal(&store, 301)).await.unwrap_err();
    for seconds in 301..331 {
        seal(&store, seconds).await.unwrap();
    }
    assert_eq!(source.calls(), 2);
}

/// F15: a ring that came while the clock was ahead is not good until the clock has caught up.
#[tokio::test]
async fn a_clock_that_was_ahead_gives_no_ring_for_ever() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let ahead = 80 * 365 * 86_400;
    seal(&store, ahead).await.unwrap();
    assert_eq!(source.calls(), 2);
    source.then(Answer::Fails(ErrorKind::Unavailable));
    seal(&store, 100).await.unwrap();
    assert_eq!(source.calls(), 3, "asked at once when the clock is right again");
    seal(&store, 86_400).await.unwrap();
    assert_eq!(seal(&store, 86_501).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// F12: a source that hangs costs a request at most its own time, and then the last good ring serves.
#[tokio::test(start_paused = true)]
async fn a_hanging_source_costs_half_a_second_at_most() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let token = seal(&store, 0).await.unwrap();
    source.then(Answer::Hangs);
    let start = tokio::time::Instant::now();
    assert!(opens(&store, &token, 301).await);
    assert!(start.elapsed() <= Duration::from_millis(510), "{:?}", start.elapsed());
    let start = tokio::time::Instant::now();
    assert!(opens(&store, &token, 302).await);
    assert_eq!(start.elapsed(), Duration::ZERO, "not twice in 30 s");
}

/// SS9: a source that always takes longer than a request waits is heard all the same, by the attempt after; its answer is as
/// old as its question.
#[tokio::test(start_paused = true)]
async fn a_slow_source_is_heard_by_the_next_attempt() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    source.then(Answer::Late(900, vec![(0, 2)]));
    let sealed_by = async |seed, seconds| {
        let alone = CookieStore::encrypted(Keyring::new([secret(seed)]).unwrap());
        opens(&alone, &seal(&store, seconds).await.unwrap(), seconds).await
    };
    assert!(sealed_by(1, 301).await);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(sealed_by(2, 331).await, "the revoked key is gone");
    assert_eq!(source.calls(), 2, "with no second call");
    seal(&store, 600).await.unwrap();
    assert_eq!(source.calls(), 2);
    seal(&store, 602).await.unwrap();
    assert_eq!(source.calls(), 3, "due 300 s after the question, not after the answer");

    // What was asked an hour ago, before the environment was frozen, is too old to go by.
    tokio::time::advance(Duration::from_secs(1)).await;
    source.then(Answer::Ring(vec![(0, 3)]));
    assert!(sealed_by(3, 4200).await);
    assert_eq!(source.calls(), 4);
}

/// SS7, F17: environments that refresh at different times never meet a token that they cannot open, through a rotation.
#[tokio::test]
async fn a_rotation_loses_nobody_whenever_environments_refresh() {
    let rotated = Answer::Ring(vec![(900, 2), (0, 1)]);
    let (early, late) = (Scripted::answers([rotated.clone()]), Scripted::answers([Answer::Ring(vec![(0, 1)])]));
    let (early_store, late_store) = (store(&early).await, store(&late).await);
    late.then(rotated);
    for seconds in (0..2000).step_by(10) {
        for (from, to) in [(&early_store, &late_store), (&late_store, &early_store)] {
            let token = seal(from, seconds).await.unwrap();
            assert!(opens(to, &token, seconds).await, "at {seconds} s");
        }
    }
    let token = seal(&early_store, 2000).await.unwrap();
    let alone = CookieStore::encrypted(Keyring::new([secret(2)]).unwrap());
    assert!(opens(&alone, &token, 2000).await, "the new key seals from its time on");
}

/// What an old key sealed is sealed anew on its next visit.
#[tokio::test]
async fn what_an_old_key_sealed_is_stale() {
    let source = Scripted::answers([Answer::Ring(vec![(100, 2), (0, 1)])]);
    let store = store(&source).await;
    let token = seal(&store, 0).await.unwrap();
    for (seconds, stale) in [(99, false), (100, true)] {
        match store.load(&token, &call(at(seconds))).await.unwrap() {
            Found::Live(loaded) => assert_eq!(loaded.stale_key, stale, "at {seconds} s"),
            other => panic!("{other:?}"),
        }
    }
}

/// SS8: a key id that the ring does not know asks for a refresh at most once a minute.
#[tokio::test]
async fn an_unknown_key_id_asks_at_most_once_a_minute() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let foreign = seal(&CookieStore::encrypted(Keyring::new([secret(9)]).unwrap()), 1).await.unwrap();
    for seconds in 1..=60 {
        assert!(!opens(&store, &foreign, seconds).await);
    }
    assert_eq!(source.calls(), 2);
    source.then(Answer::Ring(vec![(0, 9), (0, 1)]));
    assert!(opens(&store, &foreign, 61).await, "a key that came meanwhile is found at once");
    assert_eq!(source.calls(), 3);
}

/// SS9: a key that is gone from the ring opens nothing once the ring is fetched.
#[tokio::test]
async fn a_revoked_key_opens_nothing_after_the_refresh() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let token = seal(&store, 0).await.unwrap();
    source.then(Answer::Ring(vec![(0, 2)]));
    assert!(opens(&store, &token, 299).await);
    assert!(!opens(&store, &token, 301).await);
}

/// F15: a clock that jumps never stops the refreshing for longer than one interval.
#[tokio::test]
async fn a_clock_that_went_back_does_not_stop_the_refreshing() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    seal(&store, 100_000).await.unwrap();
    assert_eq!(source.calls(), 2);
    seal(&store, 10).await.unwrap();
    assert_eq!(source.calls(), 3, "back by a day: fetched at once");
}

/// Tasks that come while one fetches go on with the ring that is there.
#[tokio::test(start_paused = true)]
async fn whoever_comes_during_a_refresh_does_not_wait() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    source.then(Answer::Hangs);
    let start = tokio::time::Instant::now();
    let slow = {
        let store = store.clone();
        tokio::spawn(async move { seal(&store, 301).await.map(drop) })
    };
    tokio::task::yield_now().await;
    seal(&store, 301).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    slow.await.unwrap().unwrap();
    assert_eq!(source.calls(), 2);
}

/// A source that cannot be asked at start is asked by the first request that needs it, and then refreshed as any other.
#[tokio::test]
async fn a_ring_on_demand_is_fetched_by_the_first_request() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = CookieStore::encrypted(Keys::on_demand(source.clone()));
    assert_eq!(source.calls(), 0);
    seal(&store, 0).await.unwrap();
    seal(&store, 200).await.unwrap();
    assert_eq!(source.calls(), 1);
    seal(&store, 361).await.unwrap();
    assert_eq!(source.calls(), 2);

    let denied = Scripted::answers([Answer::Fails(ErrorKind::Config)]);
    let store = CookieStore::encrypted(Keys::on_demand(denied.clone()));
    for seconds in [0, 0, 6] {
        assert_eq!(seal(&store, seconds).await.unwrap_err().status(), 503, "at {seconds} s");
    }
    assert_eq!(denied.calls(), 2, "every 1 to 5 s");
}

/// F15: whatever the clock says, nothing panics, and once it is right again the ring is fetched within its usual time.
#[tokio::test]
async fn a_clock_that_jumps_costs_one_refresh_at_most() {
    let hour = Duration::from_secs(3600);
    for (name, jump) in [
        ("an hour back", at(1000) - hour),
        ("an hour ahead", at(1000) + hour),
        ("1970", SystemTime::UNIX_EPOCH),
        ("2106", SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into())),
    ] {
        let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
        let keys = Keys::refreshed_at(source.clone(), at(1000), middle).await.unwrap();
        let store = CookieStore::encrypted(keys);
        let token = seal(&store, 1000).await.unwrap();
        seal_at(&store, jump).await.unwrap();
        source.then(Answer::Ring(vec![(0, 2), (0, 1)]));
        let before = source.calls();
        for seconds in 1001..1_302 {
            assert!(opens(&store, &token, seconds).await, "{name}, at {seconds} s");
        }
        let calls = source.calls() - before;
        assert!((1..=2).contains(&calls), "{name}: {calls} calls");
    }
}

/// F16: without random bytes there is no jitter: the start tries again at its slowest, and the ring is refreshed.
#[tokio::test(start_paused = true)]
async fn without_random_bytes_a_start_is_slow_and_works() {
    let none: fn(&mut [u8]) -> Result<(), Error> = |_| Err(Error::new(ErrorKind::Random, "none"));
    let fails = Answer::Fails(ErrorKind::Unavailable);
    let source = Scripted::answers([fails.clone(), fails.clone(), fails, Answer::Ring(vec![(0, 1)])]);
    let start = tokio::time::Instant::now();
    let store = CookieStore::encrypted(Keys::refreshed_at(source.clone(), at(0), none).await.unwrap());
    let took = start.elapsed().as_millis();
    assert!((700..710).contains(&took), "100, 200 and 400 ms: {took}");
    seal(&store, 359).await.unwrap();
    assert_eq!(source.calls(), 4);
    seal(&store, 361).await.unwrap();
    assert_eq!(source.calls(), 5);
}

/// What a token of a key that is not in the ring is told.
async fn told(store: &CookieStore, token: &Token, seconds: u64) -> &'static str {
    match store.load(token, &call(at(seconds))).await {
        Ok(Found::Nothing) => "nothing",
        Err(error) if error.kind() == ErrorKind::Unavailable => "unavailable",
        other => panic!("{other:?}"),
    }
}

/// SS8: an unknown key is nobody's while the ring is certain to hold all that seal; where it may lack one it is unavailable, for
/// "I cannot look" is never "nothing": a handler would write over a session that is there.
#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_nothing_only_where_the_ring_is_certain() {
    let foreign = seal(&CookieStore::encrypted(Keyring::new([secret(9)]).unwrap()), 0).await.unwrap();
    let ring = || Answer::Ring(vec![(0, 1)]);
    let fails = || Answer::Fails(ErrorKind::Unavailable);
    for (name, then, seconds, expected) in [
        ("the ring is new", ring(), 1, "nothing"),
        ("it is fetched for the key", ring(), 200, "nothing"),
        ("it was due", ring(), 301, "nothing"),
        ("after a freeze", ring(), 3600, "nothing"),
        ("the question for the key fails", fails(), 200, "unavailable"),
        ("the refresh fails", fails(), 301, "unavailable"),
        ("the refresh after a freeze fails", fails(), 3600, "unavailable"),
        ("no answer, and the ring is new enough", Answer::Hangs, 301, "nothing"),
        ("no answer after a freeze", Answer::Hangs, 3600, "unavailable"),
    ] {
        let source = Scripted::answers([ring()]);
        let store = store(&source).await;
        let ours = seal(&store, 0).await.unwrap();
        source.then(then);
        assert_eq!(told(&store, &foreign, seconds).await, expected, "{name}");
        assert!(opens(&store, &ours, seconds).await, "{name}: what a known key sealed opens whatever the source does");
        source.then(ring());
        assert_eq!(told(&store, &foreign, seconds + 60).await, "nothing", "{name}: until the source answers");
    }
    let fixed = CookieStore::encrypted(Keyring::new([secret(1)]).unwrap());
    assert_eq!(told(&fixed, &foreign, 1).await, "nothing", "a stranger's cookie is an empty session");
}

/// SS9: an answer that comes late is heard by the next request, and waited for by one that needs it.
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_heard_by_the_next_request() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    source.then(Answer::Late(700, vec![(0, 2), (0, 1)]));
    let start = tokio::time::Instant::now();
    seal(&store, 301).await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(510), "{:?}", start.elapsed());
    let newer = seal(&CookieStore::encrypted(Keyring::new([secret(2)]).unwrap()), 301).await.unwrap();
    assert!(opens(&store, &newer, 301).await, "a session of a new key waits for the rest");
    assert!(start.elapsed() <= Duration::from_millis(710), "{:?}", start.elapsed());

    source.then(Answer::Late(700, vec![(0, 3)]));
    seal(&store, 602).await.unwrap();
    tokio::time::advance(Duration::from_millis(300)).await;
    let start = tokio::time::Instant::now();
    let token = seal(&store, 603).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(opens(&CookieStore::encrypted(Keyring::new([secret(3)]).unwrap()), &token, 603).await);
    assert_eq!(source.calls(), 3);
}

/// SS8: key ids that are nobody's, as of a revoked key, cost two calls between two refreshes, not one a minute.
#[tokio::test]
async fn a_revoked_key_s_cookies_cost_two_calls() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let revoked = seal(&CookieStore::encrypted(Keyring::new([secret(9)]).unwrap()), 1).await.unwrap();
    for seconds in 1..360 {
        assert_eq!(told(&store, &revoked, seconds).await, "nothing");
    }
    assert_eq!(source.calls(), 3);
}

/// A request without time asks nothing: an attempt of no time is none that failed.
#[tokio::test(start_paused = true)]
async fn a_request_without_time_does_not_put_off_the_next() {
    let source = Scripted::answers([Answer::Ring(vec![(0, 1)])]);
    let store = store(&source).await;
    let now = at(301);
    let lifetime = Lifetime::new(Duration::from_secs(600), Duration::from_secs(600)).unwrap();
    let over = Call::new(now, Instant::now(), lifetime, "__Host-session", "");
    store.create(&Record::new(b"{}".to_vec(), now).unwrap(), &over).await.unwrap();
    assert_eq!(source.calls(), 1);
    seal(&store, 302).await.unwrap();
    assert_eq!(source.calls(), 2);
}
