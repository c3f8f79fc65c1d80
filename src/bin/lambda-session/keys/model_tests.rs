//! Rotation as a model: environments that learn of the ring by the real rule, at any time and in any order, and people
//! whose sessions every one of them must open (security.md, SS7, SS9, F17).
//!
//! Ring, stores and refresh are the library's own, the commands are those of [`plan`](super::plan); time is passed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_session::keyring::Keyring;
use lambda_session::random::RandomSource;
use lambda_session::secrets::{Keys, Secrets};
use lambda_session::store::{Call, CookieStore, Found, Store};
use lambda_session::{Error, ErrorKind, Lifetime, Record, Token};
use proptest::prelude::*;

use crate::keys::plan::{self, Facts, HURTS, Haste, Plan};
use crate::keys::ring::Ring;

const START: u64 = 1_795_370_400;
/// How long sessions live here: short, so that keys are pruned while the model runs.
const LIVES: Duration = Duration::from_secs(3600);

/// The parameter, as environments see it.
struct Shown {
    text: String,
    answers: bool,
    /// How many of the next fetches fail, and when the last one did.
    failing: u32,
    failed: Option<u64>,
    now: u64,
}

/// One environment's way to it, and when that brought a ring last.
#[derive(Clone)]
struct Source {
    parameter: Arc<Mutex<Shown>>,
    heard: Arc<Mutex<Option<u64>>>,
}

impl Secrets for Source {
    async fn fetch(&self) -> Result<Keyring, Error> {
        let mut shown = self.parameter.lock().unwrap();
        if shown.failing > 0 {
            shown.failing -= 1;
            shown.failed = Some(shown.now);
            return Err(Error::new(ErrorKind::Unavailable, "throttled"));
        }
        if !shown.answers {
            return Err(Error::new(ErrorKind::Unavailable, "closed"));
        }
        *self.heard.lock().unwrap() = Some(shown.now);
        Keyring::parse(&shown.text)
    }
}

/// Whether an environment may ask for the ring when it meets a key that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rescue {
    /// As it is: once a minute; strangers who invent key ids can use that up.
    OnceAMinute,
    /// Never, as while SSM throttles: the times in the ring alone must do.
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    /// Somebody new comes to this environment, after everybody who has a session.
    Visit(usize),
    /// The same everywhere, twice: what each seals, each opens.
    Everybody,
    /// A token with a key id that nobody has.
    Stranger(usize),
    /// The environment is replaced by a new one.
    Start(usize),
    /// So many of the fetches to come fail.
    Fail(u32),
    Command(Command),
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Rotate { lead: u64, haste: Haste },
    Promote(Haste),
    Rollback,
    Prune,
    Revoke(usize),
}

/// One environment: how far its clock is off, when in its range it refreshes, its store, and when it heard of the ring last.
struct Environment {
    ahead: i64,
    jitter: RandomSource,
    store: CookieStore,
    heard: Arc<Mutex<Option<u64>>>,
}

struct World {
    now: u64,
    rescue: Rescue,
    parameter: Arc<Mutex<Shown>>,
    written: u64,
    secrets: u8,
    environments: Vec<Environment>,
    /// For each key the session that it sealed last, and its end.
    sessions: BTreeMap<String, (Token, SystemTime)>,
    /// When a key was revoked.
    revoked: BTreeMap<String, u64>,
    /// Until when a key that a command hurried may be unknown.
    hurried: BTreeMap<String, u64>,
    /// How many commands wrote.
    writes: usize,
    /// Whether a 503 after a refresh that failed is no loss: the session is there when the refresh is made up for.
    forgives: bool,
    runtime: Rc<tokio::runtime::Runtime>,
}

impl World {
    fn new(rescue: Rescue, environments: &[(i64, RandomSource)]) -> Self {
        let Plan::Write { ring, .. } = plan::init(facts(0, 0), &secret(0)).unwrap() else { panic!() };
        let shown = Shown { text: ring.text().to_string(), answers: true, failing: 0, failed: None, now: 0 };
        let mut world = Self {
            now: 0,
            rescue,
            parameter: Arc::new(Mutex::new(shown)),
            written: 0,
            secrets: 0,
            environments: Vec::new(),
            sessions: BTreeMap::new(),
            revoked: BTreeMap::new(),
            hurried: BTreeMap::new(),
            writes: 0,
            forgives: false,
            runtime: RUNTIME.with(|runtime| Rc::clone(&runtime.borrow())),
        };
        for (ahead, jitter) in environments {
            let environment = world.cold_start(*ahead, *jitter);
            world.environments.push(environment);
        }
        world
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        self.parameter.lock().unwrap().now = self.now;
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Visit(index) => return self.visit(index % self.environments.len()),
            Step::Everybody => {
                let everywhere = 0..self.environments.len();
                return everywhere.clone().chain(everywhere).try_for_each(|index| self.visit(index));
            }
            Step::Stranger(index) => {
                let environment = &self.environments[index % self.environments.len()];
                let token = Token::parse(b"Af__AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
                let call = call(self.clock(environment.ahead));
                let found = self.runtime.block_on(environment.store.load(&token, &call));
                // 503 only after a question without an answer.
                let is_nobody = matches!(found, Ok(Found::Nothing));
                let is_unanswered = self.rescue == Rescue::Never || self.is_in_trouble();
                assert!(is_nobody || is_unanswered && found.is_err(), "a stranger is nobody: {found:?}");
            }
            Step::Start(index) => {
                let index = index % self.environments.len();
                let Environment { ahead, jitter, .. } = self.environments[index];
                self.environments[index] = self.cold_start(ahead, jitter);
            }
            Step::Fail(count) => self.parameter.lock().unwrap().failing = count,
            Step::Command(command) => self.command(command),
        }
        Ok(())
    }

    fn cold_start(&self, ahead: i64, jitter: RandomSource) -> Environment {
        let source = Source { parameter: Arc::clone(&self.parameter), heard: Arc::default() };
        let heard = Arc::clone(&source.heard);
        let keys = self.runtime.block_on(Keys::refreshed_at(source, self.clock(ahead), jitter)).unwrap();
        Environment { ahead, jitter, store: CookieStore::encrypted(keys), heard }
    }

    /// Everybody's session is opened, or is over by right; then a new one begins.
    fn visit(&mut self, index: usize) -> Result<(), String> {
        let environment = &self.environments[index];
        let now = self.clock(environment.ahead);
        let call = call(now);
        // The first to come pays for the refresh, if one is due.
        let record = Record::new(b"{}".to_vec(), now).unwrap();
        let created = self.runtime.block_on(environment.store.create(&record, &call));
        self.parameter.lock().unwrap().answers = self.rescue == Rescue::OnceAMinute;
        for (id, (token, end)) in &self.sessions {
            let found = self.runtime.block_on(environment.store.load(token, &call));
            let opens = matches!(found, Ok(Found::Live(_)));
            // "I cannot look" may be forgiven, "nothing" never.
            let is_excused = self.forgives && found.is_err() && self.is_in_trouble();
            match self.revoked.get(id) {
                Some(at) if opens && self.is_known(*at) => {
                    return Err(format!(
                        "at {} s: key {id}, revoked at {at} s, opens in environment {index}",
                        self.now
                    ));
                }
                Some(_) => {}
                None if !opens && !is_excused && now < *end && !self.is_hurried(id) => {
                    return Err(format!("at {} s: key {id} is lost in environment {index}: {found:?}", self.now));
                }
                None => {}
            }
        }
        self.parameter.lock().unwrap().answers = true;
        let heard = *environment.heard.lock().unwrap();
        match created {
            // Who has not heard of the ring for longer than the commands wait seals with a key that may be pruned.
            Ok(token) if heard.is_some_and(|heard| self.now <= heard + plan::SAFE_AFTER.as_secs()) => {
                self.sessions.insert(key_id(&token), (token, now + LIVES));
            }
            Ok(_) => assert!(self.parameter.lock().unwrap().failed.is_some(), "a ring is fetched on a visit"),
            Err(error) => assert!(self.is_in_trouble(), "nothing failed: {error:?}"),
        }
        Ok(())
    }

    fn command(&mut self, command: Command) {
        let before = Ring::parse(&self.parameter.lock().unwrap().text).unwrap();
        let facts = facts(self.now, self.written);
        self.secrets += 1;
        let fresh = secret(self.secrets);
        let plan = match command {
            Command::Rotate { lead, haste } => {
                plan::rotate(&before, facts, Some(Duration::from_secs(lead)), haste, &fresh)
            }
            Command::Promote(haste) => plan::promote(&before, facts, haste),
            Command::Rollback => plan::rollback(&before, facts),
            Command::Prune => plan::prune(&before, facts, LIVES, LIVES),
            Command::Revoke(index) => {
                let keys = before.keys().count();
                let key = before.keys().nth(index % keys).unwrap().id.clone();
                self.revoked.insert(key.clone(), self.now);
                plan::revoke(&before, facts, &key, &fresh)
            }
        };
        let Ok(Plan::Write { ring, effects }) = plan else { return };
        for hurt in effects.iter().filter_map(|effect| effect.strip_prefix(HURTS)) {
            // What is warned of is allowed, for as long as the warning says, and no longer.
            let bound = if self.rescue == Rescue::Never { self.known_after() } else { 60 };
            let known = ring.keys().filter(|key| hurt.contains(&format!(" {} ", key.id)));
            self.hurried.extend(known.map(|key| (key.id.clone(), self.now + bound)));
        }
        self.parameter.lock().unwrap().text = ring.text().to_string();
        self.written = self.now;
        self.writes += 1;
    }

    /// Six minutes; a question that gets no answer puts the next one off by 30 s.
    fn known_after(&self) -> u64 {
        plan::KNOWN_AFTER.as_secs() + if self.rescue == Rescue::Never { 30 } else { 0 }
    }

    /// Whether every environment knows what was written then, where it had to ask again after a refresh that failed.
    fn is_known(&self, written: u64) -> bool {
        let failed = self.parameter.lock().unwrap().failed.unwrap_or(0);
        self.now > written.max(failed) + self.known_after()
    }

    /// Whether a refresh has failed that some environment may not have made up for yet.
    fn is_in_trouble(&self) -> bool {
        self.parameter.lock().unwrap().failed.is_some_and(|failed| self.now <= failed + self.known_after())
    }

    fn is_hurried(&self, id: &str) -> bool {
        self.hurried.get(id).is_some_and(|until| self.now <= *until)
    }

    fn clock(&self, ahead: i64) -> SystemTime {
        // Not on the count from the start: that would stand still for a clock that is behind.
        SystemTime::UNIX_EPOCH + Duration::from_secs((START + self.now).saturating_add_signed(ahead))
    }
}

thread_local! {
    static RUNTIME: RefCell<Rc<tokio::runtime::Runtime>> =
        RefCell::new(Rc::new(tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()));
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

fn facts(now: u64, written: u64) -> Facts {
    Facts { now: at(now), written: at(written), limit_bytes: 4096 }
}

fn call(now: SystemTime) -> Call {
    let lifetime = Lifetime::new(LIVES, LIVES).unwrap();
    Call::new(now, Instant::now() + Duration::from_secs(5), lifetime, "__Host-session", "")
}

/// The secret of this number.
fn secret(number: u8) -> String {
    let bytes: Vec<u8> = (0..32_u8).map(|place| place.wrapping_mul(number.wrapping_mul(2) | 1) ^ number).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_id(token: &Token) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
    format!("{:02x}{:02x}", bytes[1], bytes[2])
}

/// The ends and the middle of the range in which an environment refreshes.
const JITTERS: [RandomSource; 3] = [
    |buffer| {
        buffer.fill(0);
        Ok(())
    },
    |buffer| {
        buffer.fill(0x80);
        Ok(())
    },
    |buffer| {
        buffer.fill(0xff);
        Ok(())
    },
];

fn haste() -> impl Strategy<Value = Haste> {
    prop_oneof![4 => Just(Haste::Safe), 1 => Just(Haste::Now)]
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => Just(Command::Rotate { lead: plan::SAFE_AFTER.as_secs(), haste: Haste::Safe }),
        2 => (780..1800_u64).prop_map(|lead| Command::Rotate { lead, haste: Haste::Safe }),
        1 => (0..780_u64).prop_map(|lead| Command::Rotate { lead, haste: Haste::Now }),
        3 => haste().prop_map(Command::Promote),
        3 => Just(Command::Rollback),
        3 => Just(Command::Prune),
        2 => (0..4_usize).prop_map(Command::Revoke),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..90_u64).prop_map(Step::Wait),
        3 => (90..900_u64).prop_map(Step::Wait),
        // About when something comes due.
        3 => (0..6_u64, 0..60_u64).prop_map(|(half, more)| Step::Wait(half * 60 + more + 240)),
        1 => (900..5000_u64).prop_map(Step::Wait),
        6 => (0..4_usize).prop_map(Step::Visit),
        6 => Just(Step::Everybody),
        1 => (0..4_usize).prop_map(Step::Stranger),
        1 => (0..4_usize).prop_map(Step::Start),
        1 => (1..12_u32).prop_map(Step::Fail),
        3 => commands().prop_map(Step::Command),
    ];
    proptest::collection::vec(step, 1..120)
}

fn fleets() -> impl Strategy<Value = Vec<(i64, RandomSource)>> {
    // Clocks that differ by a minute at most.
    let environment = (-30..=30_i64, 0..JITTERS.len()).prop_map(|(ahead, jitter)| (ahead, JITTERS[jitter]));
    proptest::collection::vec(environment, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// SS7, SS9: whatever is commanded when, and whoever refreshes when, no session is lost whose key is not revoked, but
    /// those that a command has warned of; and what is revoked opens nowhere after six minutes. Refreshes that fail cost 503s,
    /// and sessions only of who goes on sealing for 13 minutes without having heard of the ring.
    #[test]
    fn no_schedule_loses_a_session(fleet in fleets(), steps in steps(), rescued in any::<bool>()) {
        let rescue = if rescued { Rescue::OnceAMinute } else { Rescue::Never };
        let mut world = World::new(rescue, &fleet);
        world.forgives = true;
        for step in steps {
            if let Err(loss) = world.take(step) {
                return Err(TestCaseError::fail(loss));
            }
        }
    }
}

/// Every order in which three environments can refresh, to a minute or two, around each command.
#[test]
fn every_order_of_refreshes_is_safe() {
    let rotate = Command::Rotate { lead: 780, haste: Haste::Safe };
    let late = Command::Rotate { lead: 1500, haste: Haste::Safe };
    let scenarios: [&[(u64, Command)]; 5] = [
        &[(420, rotate)],
        &[(420, late), (540, Command::Promote(Haste::Safe)), (1320, Command::Rollback)],
        &[(420, rotate), (1200, Command::Rollback), (1260, Command::Rollback), (1320, rotate)],
        &[(420, rotate), (1200, rotate), (2100, Command::Revoke(0)), (2220, Command::Rollback)],
        &[(420, rotate), (6000, Command::Prune), (6060, rotate)],
    ];
    for scenario in scenarios {
        for order in 0..6 * 6 * 3 {
            let starts: [u64; 3] = [order % 6 * 60, order / 6 % 6 * 60, order / 36 * 120];
            let fleet = [(-30, JITTERS[2]), (30, JITTERS[2]), (0, JITTERS[0])];
            let mut world = World::new(Rescue::Never, &fleet);
            let end = scenario.last().unwrap().0 + 1200;
            for now in (0..end).step_by(60) {
                world.now = now;
                for (index, start) in starts.iter().enumerate() {
                    if now == *start {
                        world.take(Step::Start(index)).unwrap();
                    }
                }
                if let Some((_, command)) = scenario.iter().find(|(time, _)| *time == now) {
                    world.take(Step::Command(*command)).unwrap();
                }
                // Those who come rarely refresh late.
                let is_seldom = now % 180 > 0;
                for index in 0..if is_seldom { 2 } else { 3 } {
                    let loss = world.take(Step::Visit(index));
                    assert_eq!(loss, Ok(()), "{scenario:?}, {starts:?}");
                }
            }
            assert_eq!(world.writes, scenario.len(), "{scenario:?}");
        }
    }
}

/// An environment that learns last of a key's end seals with it for six minutes more, and those sessions live on as long as
/// others: no minute at which the key may be pruned is too soon for them.
#[test]
fn no_key_is_pruned_that_a_late_environment_sealed_with() {
    for after in (3000..5400).step_by(60) {
        let mut world = World::new(Rescue::Never, &[(-30, JITTERS[2]), (30, JITTERS[0])]);
        let at = |world: &mut World, now: u64, step: Step| {
            world.now = now;
            world.take(step).unwrap();
        };
        at(&mut world, 60, Step::Command(Command::Rotate { lead: 780, haste: Haste::Safe }));
        for now in [400, 800, 1200] {
            at(&mut world, now, Step::Visit(0));
        }
        // Back to the first key, of which environment 0 hears 359 s later; until then the second goes on.
        at(&mut world, 1201, Step::Command(Command::Rollback));
        at(&mut world, 1559, Step::Visit(0));
        at(&mut world, 1201 + after, Step::Command(Command::Prune));
        at(&mut world, 1202 + after, Step::Start(1));
        at(&mut world, 1202 + after, Step::Visit(1));
    }
}

/// A key that came in a hurry is not known everywhere the sooner for being gone back to.
#[test]
fn a_rollback_to_a_hurried_key_waits_until_it_is_known() {
    let mut world = World::new(Rescue::Never, &[(0, JITTERS[2]), (0, JITTERS[2])]);
    let hurried = Step::Command(Command::Rotate { lead: 0, haste: Haste::Now });
    for step in [hurried, Step::Wait(60), hurried, Step::Wait(60), Step::Command(Command::Rollback), Step::Start(0)] {
        world.take(step).unwrap();
    }
    assert_eq!(world.writes, 3);
    // Of the hurried keys only the last may be missed still: the rollback says that nobody is hurt by the one before.
    let ring = Ring::parse(&world.parameter.lock().unwrap().text).unwrap();
    world.hurried.remove(&ring.keys().nth(1).unwrap().id);
    for _ in 0..20 {
        assert_eq!(world.take(Step::Everybody), Ok(()));
        world.now += 60;
    }
}

/// The model finds a loss where there is one: a key that seals before everybody knows it.
#[test]
fn a_key_that_seals_at_once_hurts_as_it_says() {
    for (lead, rescue, is_lost) in [
        (0, Rescue::Never, true),
        (300, Rescue::Never, true),
        (780, Rescue::Never, false),
        // The stranger has used up what the environment may ask.
        (0, Rescue::OnceAMinute, true),
        (60, Rescue::OnceAMinute, false),
    ] {
        let mut world = World::new(rescue, &[(0, JITTERS[2]), (0, JITTERS[2])]);
        world.now = 100;
        // The second has just asked; the first starts after the command, so it knows the new key.
        world.take(Step::Start(1)).unwrap();
        world.take(Step::Stranger(1)).unwrap();
        world.take(Step::Command(Command::Rotate { lead, haste: Haste::Now })).unwrap();
        world.take(Step::Start(0)).unwrap();
        let warned = !world.hurried.is_empty();
        assert_eq!(warned, lead < 780, "{lead} s");
        world.hurried.clear();
        world.now += lead;
        world.take(Step::Visit(0)).unwrap();
        let visit = world.take(Step::Visit(1));
        assert_eq!(visit.is_err(), is_lost, "{lead} s, {rescue:?}: {visit:?}");
    }
}

/// The second six minutes of the thirteen are for refreshes that fail: each failure puts the next one off by 30 s, and eleven
/// in a row lose nobody where people come all the time. Seven minutes would not do.
#[test]
fn a_rotation_outlasts_eleven_refreshes_that_fail() {
    let lost_after = |lead: u64, failures: u32| {
        let lost = |start: u64| {
            let mut world = World::new(Rescue::Never, &[(30, JITTERS[0]), (-30, JITTERS[2])]);
            world.now = start;
            world.take(Step::Start(1)).unwrap();
            world.now = 360;
            let hasty = if lead < plan::SAFE_AFTER.as_secs() { Haste::Now } else { Haste::Safe };
            world.take(Step::Command(Command::Rotate { lead, haste: hasty })).unwrap();
            // What it warns of counts as a loss here.
            world.hurried.clear();
            world.take(Step::Fail(failures)).unwrap();
            for now in (360..=330 + lead).step_by(30) {
                world.now = now;
                world.take(Step::Visit(1)).unwrap();
            }
            let left = world.parameter.lock().unwrap().failing;
            assert!(left == 0 || hasty == Haste::Now, "{left} of {failures} were not tried, started at {start} s");
            assert_eq!(world.writes, 1);
            // Its clock is ahead, so this one seals with the new key first; the other opens it, or has not heard.
            world.take(Step::Fail(0)).unwrap();
            world.take(Step::Start(0)).unwrap();
            world.take(Step::Visit(0)).unwrap();
            world.take(Step::Visit(1)).is_err()
        };
        (1..360).step_by(10).filter(|start| lost(*start)).count()
    };
    for failures in 0..=11 {
        assert_eq!(lost_after(780, failures), 0, "{failures} failures");
    }
    assert_eq!(lost_after(420, 0), 0, "seven minutes do where nothing fails");
    assert!(lost_after(420, 3) > 0, "and nowhere else");
}
