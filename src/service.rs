//! [`SessionService`]: what happens before and after the handler.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::{debug_span, field::Empty, warn};

use crate::commit::{Stamp, commit};
use crate::cookie;
use crate::layer::Settings;
use crate::metrics::Count;
use crate::session::Handle;
use crate::slot::{Closing, Slot, escaped, lost, unavailable};
use crate::visit::Visit;
use crate::{Error, ErrorKind};

/// A cookie above this size is worth a warning: an HTTP API takes 10,240 bytes of request line and headers in all.
const LARGE_COOKIE_BYTES: usize = 3_500;
/// All `Set-Cookie` lines together above this size likewise (security.md, AR4).
const LARGE_COOKIES_BYTES: usize = 8_000;

/// The service that a [`SessionLayer`](crate::SessionLayer) makes of another.
///
/// Its answers have the inner service's body type, which must be able to hold a `&'static str`: it says so when a
/// session cannot be saved.
pub struct SessionService<S, T> {
    inner: S,
    settings: Arc<Settings>,
    of: PhantomData<fn() -> T>,
}

impl<S, T> SessionService<S, T> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings, of: PhantomData }
    }
}

impl<S: Clone, T> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: self.settings.clone(), of: PhantomData }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, T, A, B> Service<Request<A>> for SessionService<S, T>
where
    S: Service<Request<A>, Response = Response<B>>,
    T: 'static,
    B: From<&'static str>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let now = (self.settings.clock)();
        let context = request.extensions().get::<lambda_runtime::Context>();
        let request_id = context.map(|context| context.request_id.as_str());
        // At INFO it would cost each request 2.4 µs, more than a session does (DESIGN.md, "What does counting cost?").
        let span = debug_span!("session", request_id, session.id_hash = Empty);
        let end = context.and_then(|context| end(context, self.settings.reserve));
        let slot = Arc::new(Slot::new(self.settings.clone(), now, end, request_id, span));
        request.extensions_mut().insert(Handle::<T> { slot: slot.clone(), of: PhantomData });
        let handler = slot.span.in_scope(|| self.inner.call(request));
        ResponseFuture { handler, slot, committing: None }
    }
}

/// When a store's answers come too late for this invocation: so long before it ends; `None` if it has no end.
fn end(context: &lambda_runtime::Context, reserve: Duration) -> Option<Instant> {
    let deadline = Some(context.deadline).filter(|deadline| *deadline > 0)?;
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(deadline))?;
    // The runtime's own clock: a test's clock says nothing of when Lambda ends the invocation.
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left.saturating_sub(reserve))
}

pin_project! {
    /// The answer of a [`SessionService`]: the handler's, with the session saved.
    pub struct ResponseFuture<F, B> {
        #[pin]
        handler: F,
        slot: Arc<Slot>,
        committing: Option<Committing<B>>,
    }
}

struct Committing<B> {
    response: Response<B>,
    commit: Pin<Box<dyn Future<Output = Result<Stamp, Error>> + Send>>,
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: From<&'static str>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let slot: &Arc<Slot> = this.slot;
        let _entered = slot.span.enter();
        if this.committing.is_none() {
            let answer = ready!(this.handler.poll(cx));
            let (response, visit) = match settle(slot, answer) {
                Settled::Answered(answer) => {
                    slot.tell();
                    return Poll::Ready(answer);
                }
                Settled::Saving(response, visit) => (response, visit),
            };
            let commit = Box::pin(commit(slot.clone(), visit));
            *this.committing = Some(Committing { response, commit });
        }
        let Some(Committing { commit, .. }) = this.committing.as_mut() else { return Poll::Pending };
        let stamp = ready!(commit.as_mut().poll(cx));
        let Some(Committing { response, .. }) = this.committing.take() else { return Poll::Pending };
        let answer = match stamp {
            Ok(stamp) => stamped(response, stamp, slot),
            Err(error) => refuse(slot, &error),
        };
        slot.tell();
        Poll::Ready(Ok(answer))
    }
}

enum Settled<B, E> {
    Answered(Result<Response<B>, E>),
    Saving(Response<B>, Box<Visit>),
}

/// Takes the session back from a handler that has answered: whether there is something to save, and if not the answer.
fn settle<B: From<&'static str>, E>(slot: &Slot, answer: Result<Response<B>, E>) -> Settled<B, E> {
    let closing = slot.close();
    let mut response = match (answer, &closing) {
        (Ok(response), _) => response,
        // A handler that passed on "unavailable" with `?` means this answer.
        (Err(_), Closing::Unavailable(cause)) => return Settled::Answered(Ok(refuse(slot, &unavailable(cause)))),
        (Err(error), _) => return Settled::Answered(Err(error)),
    };
    if !matches!(closing, Closing::Untouched) {
        vary(response.headers_mut());
    }
    match closing {
        Closing::Visited(mut visit) if !has_failed(response.status()) => {
            match visit.failure.take().filter(|_| !visit.is_destroyed) {
                Some(failure) => return Settled::Answered(Ok(refuse(slot, &failure))),
                None => return Settled::Saving(response, visit),
            }
        }
        Closing::Escaped => return Settled::Answered(Ok(refuse(slot, &escaped()))),
        Closing::Lost => slot.settings.notices.log(&lost(), slot.now()),
        Closing::Unavailable(_) => slot.count(Count::Unavailable),
        Closing::Visited(_) | Closing::Untouched => {}
    }
    cookie::keep_last(response.headers_mut(), &slot.settings.name);
    Settled::Answered(Ok(response))
}

/// Whether an answer says that the handler did not get to its end: 5xx, and 408, which is how a time limit between this layer
/// and the handler (tower-http's `TimeoutLayer`) says that it cut it off half way.
fn has_failed(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}

fn stamped<B>(mut response: Response<B>, stamp: Stamp, slot: &Slot) -> Response<B> {
    let settings = &slot.settings;
    let headers = response.headers_mut();
    let Stamp::Set(line) = stamp else {
        cookie::keep_last(headers, &settings.name);
        return response;
    };
    let own = line.len();
    if let (Some(tally), Some(bytes)) = (slot.tally(), cookie::pair_bytes(&line)) {
        tally.set_cookie(bytes);
    }
    cookie::put(headers, &settings.name, line);
    no_store(headers);
    let all: usize = headers.get_all(header::SET_COOKIE).iter().map(HeaderValue::len).sum();
    if (own > LARGE_COOKIE_BYTES || all > LARGE_COOKIES_BYTES) && settings.notices.large_cookie.is_due(slot.now()) {
        warn!(
            "an answer sets cookies of {all} bytes, {own} of them the session: an HTTP API takes 10240 bytes of \
             request line and headers; keep less in the session, or keep it in a server-side store"
        );
    }
    response
}

/// The answer to a request whose session could not be had or saved: generic, without any cookie, said once in the log.
fn refuse<B: From<&'static str>>(slot: &Slot, error: &Error) -> Response<B> {
    slot.settings.notices.log(error, slot.now());
    if error.kind() == ErrorKind::Unavailable {
        slot.count(Count::Unavailable);
    }
    let mut response = refusal(error);
    vary(response.headers_mut());
    response
}

pub(crate) fn refusal<B: From<&'static str>>(error: &Error) -> Response<B> {
    let status = error.status();
    let text = match error.kind() {
        ErrorKind::Unavailable => "service unavailable\n",
        ErrorKind::Conflict => "conflict\n",
        _ => "internal server error\n",
    };
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if error.kind() == ErrorKind::Unavailable {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Adds `Vary: Cookie`: a cache must not give one visitor's page to another.
fn vary(headers: &mut HeaderMap) {
    let is_there = headers.get_all(header::VARY).iter().any(|line| {
        line.as_bytes().split(|&byte| byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"cookie")
        })
    });
    if !is_there {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
}

/// An answer that sets the cookie is stored by no cache, unless the handler itself said `private` or `no-store`.
fn no_store(headers: &mut HeaderMap) {
    let is_closed = headers.get_all(header::CACHE_CONTROL).iter().any(|line| {
        line.as_bytes().split(|&byte| byte == b',').any(|directive| {
            let name = directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
            name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"private")
        })
    });
    if !is_closed {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
