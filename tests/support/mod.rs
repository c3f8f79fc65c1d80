//! What every test file shares: a clock, keyrings, an application driven by paths, a browser, stores that count, fail
//! and take turns, a capture of the log.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use std::{
    cell::Cell,
    collections::VecDeque,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use lambda_session::keyring::{Keyring, Secret};
use lambda_session::store::{Call, CookieStore, Found, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{Data, Error, ErrorKind, Lifetime, Record, Session, SessionLayer, Token, Values};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

/// The moment of architecture.md's vectors, at which every test's clock begins.
pub const START: u64 = 1_795_369_800;
pub const NAME: &str = "__Host-session";

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(START) };
}

/// This thread's clock, for `SessionLayer::clock`: every test has a thread of its own.
pub fn clock() -> SystemTime {
    at(NOW.get())
}

pub fn seconds_now() -> u64 {
    NOW.get()
}

pub fn set_clock(seconds: u64) {
    NOW.set(seconds);
}

pub fn advance(seconds: u64) {
    NOW.set(NOW.get() + seconds);
}

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// 32 bytes, all different; seed 0 is the secret of architecture.md's vectors.
pub fn secret_bytes(seed: u8) -> Vec<u8> {
    (0..32).map(|byte: u8| byte ^ seed).collect()
}

/// A ring of these seeds' secrets, the sealing one first.
pub fn keyring(seeds: &[u8]) -> Keyring {
    Keyring::new(seeds.iter().map(|&seed| Secret::from_bytes(secret_bytes(seed)).unwrap())).unwrap()
}

pub fn call_at(now: SystemTime, name: &str, scope: &str) -> Call {
    Call::new(now, Instant::now() + Duration::from_secs(5), Lifetime::default(), name, scope)
}

pub fn call() -> Call {
    call_at(clock(), NAME, "")
}

/// What a future that never waits comes to.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

pub fn record(payload: &str) -> Record {
    Record::new(payload.into(), clock()).unwrap()
}

// ---- the application

pub type App = BoxCloneService<Request<String>, Response<String>, Error>;

/// A layer over this store, on the test's clock.
pub fn layer<T: Data>(store: impl Store) -> SessionLayer<T> {
    SessionLayer::new(store).clock(clock)
}

/// The application that [`script`] describes, with sessions in this store.
pub fn app(store: impl Store) -> App {
    scripted(layer(store))
}

pub fn scripted(layer: SessionLayer<Values>) -> App {
    with_handler(layer, script)
}

pub fn with_handler<T, F, A>(layer: SessionLayer<T>, handler: F) -> App
where
    T: Data,
    F: Fn(Request<String>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<String>, Error>> + Send + 'static,
{
    BoxCloneService::new(layer.layer(service_fn(handler)))
}

/// The schedules that follow from one of two requests' steps, `true` for the second's: every choice that it did not give fell to the
/// first, and each of these leads to an order of its own.
pub fn further(schedule: &[bool], taken: &[bool]) -> Vec<Vec<bool>> {
    let free = taken.iter().enumerate().skip(schedule.len()).filter(|(_, choice)| !**choice);
    free.map(|(place, _)| taken[..place].iter().copied().chain([true]).collect()).collect()
}

/// A handler whose deeds are the segments of the path, in their order: `/set-a=1/renew`. Each holds the session anew.
///
/// `read`, `set-KEY=VALUE`, `remove-KEY`, `big-BYTES`, `renew`, `destroy`, `deep-LEVELS`, `status-CODE`,
/// `cookie-LINE`, `header-NAME=VALUE`, `err`, `panic`. The body is the session as the last deed saw it; `untouched`
/// is no deed.
pub async fn script(request: Request<String>) -> Result<Response<String>, Error> {
    let mut response = Response::new(String::new());
    for deed in request.uri().path().split('/').filter(|deed| !deed.is_empty()) {
        let (verb, rest) = deed.split_once('-').unwrap_or((deed, ""));
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        match verb {
            "untouched" => {}
            "status" => *response.status_mut() = StatusCode::from_u16(rest.parse().unwrap()).unwrap(),
            "cookie" => {
                response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_str(rest).unwrap());
            }
            "header" => {
                let name: HeaderName = name.parse().unwrap();
                response.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
            }
            "err" => return Err(Error::new(ErrorKind::Data, "the handler failed")),
            "panic" => panic!("the handler panicked"),
            _ => {
                let mut session: Session = Session::of(&request).await?;
                match verb {
                    "read" => {}
                    "set" => session.insert(name, value)?,
                    "remove" => drop(session.remove(name)),
                    "big" => session.insert("big", "x".repeat(rest.parse().unwrap()))?,
                    "deep" => {
                        let levels = rest.parse().unwrap();
                        let value = (0..levels).fold(serde_json::Value::Null, |inner, _| vec![inner].into());
                        session.insert("deep", value)?;
                    }
                    "renew" => Session::renew(&mut session),
                    "destroy" => {
                        Session::destroy(session);
                        continue;
                    }
                    _ => panic!("{deed} is no deed"),
                }
                *response.body_mut() = serde_json::to_string(&*session).unwrap();
            }
        }
    }
    Ok(response)
}

// ---- the browser

/// What a browser got.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn of(response: Response<String>) -> Self {
        let headers = response.headers();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        headers.sort_by(|(one, _), (two, _)| one.cmp(two));
        Self { status: response.status().as_u16(), headers, body: response.into_body() }
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.header("set-cookie")
    }

    /// The value of the one cookie that this answer sets.
    pub fn token(&self) -> Option<String> {
        let lines = self.set_cookies();
        assert!(lines.len() <= 1, "{lines:?}");
        lines.first().map(|line| line.split(';').next().unwrap().split_once('=').unwrap().1.to_owned())
    }

    /// What this answer does to the session cookie.
    pub fn sets(&self) -> Sets {
        match self.token().as_deref() {
            None => Sets::Nothing,
            Some("") => Sets::Removal,
            Some(_) => Sets::Cookie,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sets {
    Nothing,
    Cookie,
    Removal,
}

/// The whole answer to a request whose session could not be had or saved.
pub fn refusal(status: u16) -> Answer {
    let (text, retry) = match status {
        500 => ("internal server error\n", None),
        409 => ("conflict\n", None),
        503 => ("service unavailable\n", Some(("retry-after".to_owned(), "1".to_owned()))),
        other => panic!("{other} refuses nothing"),
    };
    let headers = [("cache-control", "no-store"), ("content-type", "text/plain; charset=utf-8")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(retry);
    let headers = headers.chain([("vary".to_owned(), "Cookie".to_owned())]).collect();
    Answer { status, headers, body: text.into() }
}

/// Follows cookies as a browser does, for one host and path.
#[derive(Clone)]
pub struct Browser {
    app: App,
    /// Name, value, and when it goes.
    cookies: Vec<(String, String, Option<u64>)>,
}

impl Browser {
    pub fn new(app: App) -> Self {
        Self { app, cookies: Vec::new() }
    }

    /// The same browser before another instance of the application.
    pub fn at(&self, app: App) -> Self {
        Self { app, cookies: self.cookies.clone() }
    }

    pub fn with_cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push((name.into(), value.into(), None));
        self
    }

    /// The session cookie's value.
    pub fn token(&self) -> Option<String> {
        self.cookies.iter().find(|(name, ..)| name == NAME).map(|(_, value, _)| value.clone())
    }

    pub async fn visit(&mut self, path: &str) -> Answer {
        self.try_visit(path).await.unwrap()
    }

    pub async fn try_visit(&mut self, path: &str) -> Result<Answer, Error> {
        let now = seconds_now();
        self.cookies.retain(|(_, _, until)| until.is_none_or(|until| until > now));
        let mut request = Request::builder().uri(path).body(String::new()).unwrap();
        let line: Vec<_> = self.cookies.iter().map(|(name, value, _)| format!("{name}={value}")).collect();
        if !line.is_empty() {
            request.headers_mut().insert(header::COOKIE, line.join("; ").parse().unwrap());
        }
        let answer = Answer::of(self.app.clone().oneshot(request).await?);
        for line in answer.set_cookies() {
            self.keep(line);
        }
        Ok(answer)
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let max_age = attributes.split(';').find_map(|attribute| attribute.trim().strip_prefix("Max-Age="));
        let until = max_age.map(|age| seconds_now() + age.parse::<u64>().unwrap());
        self.cookies.retain(|(known, ..)| known != name);
        if until.is_none_or(|until| until > seconds_now()) {
            self.cookies.push((name.into(), value.into(), until));
        }
    }
}

/// One request with these `Cookie` lines.
pub async fn send(app: &App, path: &str, cookies: &[&[u8]]) -> Answer {
    Answer::of(app.clone().oneshot(request(path, cookies)).await.unwrap())
}

pub fn request(path: &str, cookies: &[&[u8]]) -> Request<String> {
    let mut request = Request::builder().uri(path).body(String::new()).unwrap();
    for line in cookies {
        request.headers_mut().append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    request
}

pub fn cookie(token: &str) -> String {
    format!("{NAME}={token}")
}

pub fn cookie_headers(lines: &[&[u8]]) -> HeaderMap {
    request("/", lines).headers().clone()
}

// ---- stores

/// How often each question was asked of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub loads: u32,
    pub creates: u32,
    pub updates: u32,
    pub retires: u32,
    pub deletes: u32,
}

/// Counts what reaches the store beneath.
#[derive(Clone)]
pub struct CountingStore<S> {
    inner: S,
    calls: Arc<Mutex<Calls>>,
}

impl<S> CountingStore<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, calls: Arc::default() }
    }

    /// What was asked since the last time that this was asked.
    pub fn calls(&self) -> Calls {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn count(&self, count: impl FnOnce(&mut Calls)) {
        count(&mut self.calls.lock().unwrap());
    }
}

impl<S: Store> Store for CountingStore<S> {
    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        self.count(|calls| calls.loads += 1);
        self.inner.load(token, call).await
    }
    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        self.count(|calls| calls.creates += 1);
        self.inner.create(record, call).await
    }
    async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        self.count(|calls| calls.updates += 1);
        self.inner.update(token, seen, record, call).await
    }
    async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
        self.count(|calls| calls.retires += 1);
        self.inner.retire(token, seen, next, call).await
    }
    async fn delete(&self, token: &Token, seen: Option<Version>, call: &Call) -> Result<(), Error> {
        self.count(|calls| calls.deletes += 1);
        self.inner.delete(token, seen, call).await
    }
}

/// What happens to one question before it reaches the store beneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is passed on.
    Pass,
    /// It fails with this kind, and nothing is done.
    Fail(ErrorKind),
    /// It is never answered.
    Hang,
    /// It waits for the next [`step`], then is passed on: a schedule decides who goes first.
    Wait,
}

/// Answers its questions as a script says, one turn a question; afterwards as its habit is.
#[derive(Clone)]
pub struct ScriptedStore<S> {
    inner: S,
    habit: Turn,
    script: Arc<Mutex<VecDeque<Turn>>>,
}

impl<S> ScriptedStore<S> {
    pub fn new(inner: S, script: impl IntoIterator<Item = Turn>) -> Self {
        Self { inner, habit: Turn::Pass, script: Arc::new(Mutex::new(script.into_iter().collect())) }
    }

    pub fn always(inner: S, habit: Turn) -> Self {
        Self { inner, habit, script: Arc::default() }
    }

    /// What happens to the next questions.
    pub fn next(&self, script: impl IntoIterator<Item = Turn>) {
        *self.script.lock().unwrap() = script.into_iter().collect();
    }

    async fn turn(&self) -> Result<(), Error> {
        let turn = self.script.lock().unwrap().pop_front().unwrap_or(self.habit);
        match turn {
            Turn::Pass => Ok(()),
            Turn::Fail(kind) => Err(Error::new(kind, "the store failed as told")),
            Turn::Hang => std::future::pending().await,
            Turn::Wait => {
                NextStep(STEP.get()).await;
                Ok(())
            }
        }
    }
}

impl<S: Store> Store for ScriptedStore<S> {
    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        self.turn().await?;
        self.inner.load(token, call).await
    }
    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        self.turn().await?;
        self.inner.create(record, call).await
    }
    async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        self.turn().await?;
        self.inner.update(token, seen, record, call).await
    }
    async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
        self.turn().await?;
        self.inner.retire(token, seen, next, call).await
    }
    async fn delete(&self, token: &Token, seen: Option<Version>, call: &Call) -> Result<(), Error> {
        self.turn().await?;
        self.inner.delete(token, seen, call).await
    }
}

thread_local! {
    static STEP: Cell<u64> = const { Cell::new(0) };
}

/// Polls a future whose store waits at every question: it gets as far as the next one.
pub fn step<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    STEP.set(STEP.get() + 1);
    future.poll(&mut Context::from_waker(Waker::noop()))
}

struct NextStep(u64);

impl Future for NextStep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if STEP.get() > self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A store of this crate of any kind, so that a table can run over all.
#[derive(Clone)]
pub enum Any {
    Cookie(CookieStore),
    Memory(MemoryStore),
    #[cfg(feature = "memcached")]
    Memcached(lambda_session::store::MemcachedStore),
}

impl Any {
    /// One of each kind under these secrets.
    pub fn all(seeds: &[u8]) -> Vec<(&'static str, Any)> {
        vec![
            ("encrypted", Any::Cookie(CookieStore::encrypted(keyring(seeds)))),
            ("signed", Any::Cookie(CookieStore::signed(keyring(seeds)))),
            ("memory", Any::Memory(MemoryStore::with_keyring(keyring(seeds)))),
        ]
    }

    /// The same store under another ring.
    pub fn rotated(&self, seeds: &[u8], name: &str) -> Any {
        match (self, name) {
            (Any::Memory(store), _) => Any::Memory(store.rotated(keyring(seeds))),
            #[cfg(feature = "memcached")]
            (Any::Memcached(store), _) => Any::Memcached(store.rotated(keyring(seeds))),
            (Any::Cookie(_), "signed") => Any::Cookie(CookieStore::signed(keyring(seeds))),
            (Any::Cookie(_), _) => Any::Cookie(CookieStore::encrypted(keyring(seeds))),
        }
    }

    /// Whether the cookie is a reference to what a server keeps.
    pub fn is_server(&self) -> bool {
        !matches!(self, Any::Cookie(_))
    }
}

impl Store for Any {
    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        match self {
            Any::Cookie(store) => store.load(token, call).await,
            Any::Memory(store) => store.load(token, call).await,
            #[cfg(feature = "memcached")]
            Any::Memcached(store) => store.load(token, call).await,
        }
    }
    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        match self {
            Any::Cookie(store) => store.create(record, call).await,
            Any::Memory(store) => store.create(record, call).await,
            #[cfg(feature = "memcached")]
            Any::Memcached(store) => store.create(record, call).await,
        }
    }
    async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        match self {
            Any::Cookie(store) => store.update(token, seen, record, call).await,
            Any::Memory(store) => store.update(token, seen, record, call).await,
            #[cfg(feature = "memcached")]
            Any::Memcached(store) => store.update(token, seen, record, call).await,
        }
    }
    async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
        match self {
            Any::Cookie(store) => store.retire(token, seen, next, call).await,
            Any::Memory(store) => store.retire(token, seen, next, call).await,
            #[cfg(feature = "memcached")]
            Any::Memcached(store) => store.retire(token, seen, next, call).await,
        }
    }
    async fn delete(&self, token: &Token, seen: Option<Version>, call: &Call) -> Result<(), Error> {
        match self {
            Any::Cookie(store) => store.delete(token, seen, call).await,
            Any::Memory(store) => store.delete(token, seen, call).await,
            #[cfg(feature = "memcached")]
            Any::Memcached(store) => store.delete(token, seen, call).await,
        }
    }
}

// ---- the log

/// Everything that this thread logs, at TRACE.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        Self::with(tracing_subscriber::fmt::format::FmtSpan::NONE)
    }

    /// The same, and also where each span begins and ends.
    pub fn capture_spans() -> (Self, tracing::subscriber::DefaultGuard) {
        Self::with(tracing_subscriber::fmt::format::FmtSpan::FULL)
    }

    fn with(spans: tracing_subscriber::fmt::format::FmtSpan) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(spans)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that hold this text.
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(text)).map(Into::into).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// ---- a second implementation of the token formats

pub mod other {
    //! Tokens by aws-lc-rs, written from architecture.md section 4 alone.

    use aws_lc_rs::{aead, hkdf, hmac};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    pub const LABEL: &[u8] = b"lambda-session/v1";

    struct Length(usize);

    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    pub fn derive(secret: &[u8], label: &str, length: usize) -> Vec<u8> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL).extract(secret);
        let mut key = vec![0; length];
        prk.expand(&[label.as_bytes()], Length(length)).unwrap().fill(&mut key).unwrap();
        key
    }

    pub fn frame(flags: u8, created: u32, issued: u32, payload: &[u8]) -> Vec<u8> {
        [&[flags], created.to_be_bytes().as_slice(), &issued.to_be_bytes(), payload].concat()
    }

    pub fn header(version: u8, secret: &[u8]) -> [u8; 3] {
        let kid = derive(secret, "kid", 2);
        [version, kid[0], kid[1]]
    }

    fn lp(part: &[u8]) -> Vec<u8> {
        [&u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat()
    }

    fn aad(header: [u8; 3], label: &str, name: &str, scope: &str) -> Vec<u8> {
        [header.to_vec(), lp(LABEL), lp(label.as_bytes()), lp(name.as_bytes()), lp(scope.as_bytes())].concat()
    }

    fn cipher(secret: &[u8], label: &str) -> aead::LessSafeKey {
        let key = derive(secret, label, 32);
        aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM_SIV, &key).unwrap())
    }

    pub fn encrypt(secret: &[u8], name: &str, scope: &str, nonce: [u8; 12], frame: &[u8]) -> String {
        encrypt_under(header(1, secret), "enc", secret, name, scope, nonce, frame)
    }

    /// The same with every choice open, for what must be refused.
    pub fn encrypt_under(
        header: [u8; 3],
        key: &str,
        secret: &[u8],
        name: &str,
        scope: &str,
        nonce: [u8; 12],
        frame: &[u8],
    ) -> String {
        let mut sealed = frame.to_vec();
        let aad = aead::Aad::from(aad(header, "enc", name, scope));
        let unique = aead::Nonce::assume_unique_for_key(nonce);
        cipher(secret, key).seal_in_place_append_tag(unique, aad, &mut sealed).unwrap();
        URL_SAFE_NO_PAD.encode([header.as_slice(), &nonce, &sealed].concat())
    }

    pub fn decrypt(secret: &[u8], name: &str, scope: &str, token: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let header = header(1, secret);
        let body = bytes.strip_prefix(&header)?;
        let (nonce, sealed) = body.split_first_chunk::<12>()?;
        let mut sealed = sealed.to_vec();
        let aad = aead::Aad::from(aad(header, "enc", name, scope));
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        cipher(secret, "enc").open_in_place(nonce, aad, &mut sealed).ok().map(|frame| frame.to_vec())
    }

    fn mac(secret: &[u8], key: &str, parts: &[&[u8]]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, key, 32));
        hmac::sign(&key, &parts.concat()).as_ref()[..16].to_vec()
    }

    pub fn sign(secret: &[u8], name: &str, scope: &str, frame: &[u8]) -> String {
        sign_under(header(3, secret), "mac", secret, name, scope, frame)
    }

    pub fn sign_under(header: [u8; 3], key: &str, secret: &[u8], name: &str, scope: &str, frame: &[u8]) -> String {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        let mac = mac(secret, key, &[&aad(header, "mac", name, scope), &length, frame]);
        URL_SAFE_NO_PAD.encode([header.as_slice(), frame, &mac].concat())
    }

    pub fn verify(secret: &[u8], name: &str, scope: &str, token: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let frame = bytes.get(3..bytes.len().checked_sub(16)?)?;
        (sign(secret, name, scope, frame) == token).then(|| frame.to_vec())
    }

    pub fn refer(secret: &[u8], name: &str, scope: &str, id: [u8; 16], node: [u8; 4]) -> String {
        let header = header(2, secret);
        let mac = mac(secret, "ref", &[&aad(header, "ref", name, scope), &id, &node]);
        URL_SAFE_NO_PAD.encode([header.as_slice(), &id, &node, &mac].concat())
    }

    /// The id and node in a reference that verifies.
    pub fn dereference(secret: &[u8], name: &str, scope: &str, token: &str) -> Option<([u8; 16], [u8; 4])> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let id = bytes.get(3..19)?.try_into().ok()?;
        let node = bytes.get(19..23)?.try_into().ok()?;
        (refer(secret, name, scope, id, node) == token).then_some((id, node))
    }
}
