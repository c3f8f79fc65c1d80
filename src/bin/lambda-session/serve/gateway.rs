//! One request's way: from HTTP to an event, to an instance of the function, and its answer back.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::oneshot;
use tokio::time;

use crate::answer::Answer;
use crate::duration::spoken;
use crate::function::{Ending, Settled, StartError};
use crate::output::{one_line, tell};
use crate::posted::read_answer;
use crate::runtime_api::{Invocation, request_id};
use crate::serve::event::{self, Ids};
use crate::serve::front::Front;
use crate::serve::hosts::Hosts;
use crate::serve::instances::{Instance, Instances};
use crate::serve::ledger::{Entry, Kept, Ledger};
use crate::serve::log::{self, Trouble};
use crate::serve::pages;
use crate::serve::record::{Name, Recorder};
use crate::serve::refusal::{Excess, Refusal};
use crate::serve::reply::{Reply, reply};
use crate::serve::request::Request;
use crate::serve::watch::gate::Gate;

/// What stands between HTTP and the function.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) front: Front,
    pub(super) hosts: Hosts,
    /// How long the front door waits; `None`: as long as the function may take.
    pub(super) patience: Option<Duration>,
    /// How long the function may take.
    pub(super) limit: Duration,
    /// Closed while the function is built.
    pub(super) gate: Gate,
    pub(super) instances: Instances,
    pub(super) ledger: Ledger,
    pub(super) recorder: Option<Recorder>,
}

/// A request that has become an event.
#[derive(Debug)]
struct Exchange {
    request: Request,
    ids: Ids,
    event: Bytes,
    /// An instance is at it, or is being started for it.
    has_begun: AtomicBool,
    /// The front door has answered without the function.
    is_given_up: AtomicBool,
}

impl Gateway {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>, peer: IpAddr, port: u16) -> Reply {
        let front = self.front;
        let asked = format!("{} {}", request.method(), request.uri().path());
        let ids = Ids { invocation: request_id(), gateway: gateway_id() };
        let id = self.id_of(&ids).to_owned();
        let exchange = match self.read(request, ids, peer, port).await {
            Ok(Read::Exchange(exchange)) => exchange,
            Ok(Read::Page(page)) => return page,
            Err(refusal) => {
                log::refused(&asked, refusal.status(front).as_u16(), &refusal.cause());
                return refusal.reply(front, &id);
            }
        };
        self.gate.pass().await;
        let (tell, told) = oneshot::channel();
        let patience = self.patience;
        // A task of its own: a browser that goes away, or a front door that waits no longer, does not stop the function.
        tokio::spawn(Arc::clone(&self).run(Arc::clone(&exchange), tell));
        let told = match patience {
            Some(patience) => time::timeout(patience, told).await.unwrap_or_else(|_| {
                self.give_up(&exchange, patience);
                Ok(Refusal::Impatient.reply(front, &id))
            }),
            None => told.await,
        };
        told.unwrap_or_else(|_| Refusal::NoAnswer.reply(front, &id))
    }

    /// Tells of a request that the front door waits for no longer.
    fn give_up(&self, exchange: &Exchange, patience: Duration) {
        exchange.is_given_up.store(true, Ordering::Relaxed);
        let status = Refusal::Impatient.status(self.front).as_u16();
        let is_at_work = exchange.has_begun.load(Ordering::Relaxed);
        let rest = if is_at_work { "the function is still at it" } else { "all instances were at work" };
        let cause = format!("the front door waited no longer than {}; {rest}", spoken(patience));
        Trouble {
            id: &exchange.ids.invocation,
            request: &exchange.asked(),
            cause: &cause,
            status,
            after: None,
            output: "",
        }
        .tell();
        // Else it is added once the function is through.
        if !is_at_work {
            self.ledger.add(exchange.entry(status, patience, Vec::new()));
        }
    }

    async fn read(
        &self,
        request: hyper::Request<Incoming>,
        ids: Ids,
        peer: IpAddr,
        port: u16,
    ) -> Result<Read, Refusal> {
        let now = SystemTime::now();
        let (parts, body) = request.into_parts();
        let mut request = Request::read(parts, self.front, peer, port, now)?;
        if pages::is_asked(&request) {
            return Ok(Read::Page(pages::page(&request, &self.ledger, self.gate.news(), now).await));
        }
        if !self.hosts.contain(&request.host()) {
            return Err(Refusal::Host);
        }
        // Whole before an instance is asked for, so that a slow client holds none.
        request.body = whole(body, self.front.body_limit_bytes()).await?;
        let event = event::event(self.front, &request, &ids)?;
        let (has_begun, is_given_up) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Read::Exchange(Arc::new(Exchange { request, ids, event, has_begun, is_given_up })))
    }

    /// Takes the event through an instance, hands out the reply as soon as there is one, and sees the instance to its rest.
    async fn run(self: Arc<Self>, exchange: Arc<Exchange>, mut told: oneshot::Sender<Reply>) {
        let place = tokio::select! {
            biased;
            // Nobody waits for it any more, and nothing has begun.
            () = told.closed() => return,
            place = self.instances.place() => place,
        };
        exchange.has_begun.store(true, Ordering::Relaxed);
        let id = &exchange.ids.invocation;
        let recorded = self.record_event(&exchange);
        let mut instance = match self.instances.enter(place).await {
            Ok(instance) => instance,
            Err(error) => {
                log::start(id);
                return self.not_started(&exchange, &error, recorded.as_ref(), told);
            }
        };
        log::start(id);
        let before = match self.ledger.sees_kept() {
            true => self.ledger.look(&exchange.request.cookies(), &[]).await,
            false => None,
        };
        let mut notes = Vec::new();
        let invocation = Invocation { id: id.clone(), event: exchange.event.clone(), limit: self.limit };
        let ending = match self.instances.invoke(&mut instance, &invocation, &mut notes).await {
            Ok(ending) => ending,
            Err(error) => return self.not_started(&exchange, &error, recorded.as_ref(), told),
        };
        let (reply, mut set_cookies, trouble) = match self.judge(&exchange, &ending, &mut notes) {
            Ok((reply, set_cookies)) => (reply, set_cookies, None),
            Err(cause) => (self.refused(&exchange, Refusal::NoAnswer), Vec::new(), Some(cause)),
        };
        let mut status = reply.status().as_u16();
        if told.is_closed() {
            // What the function did it did, but the browser has nothing of it, its cookies neither.
            set_cookies.clear();
            if exchange.is_given_up.load(Ordering::Relaxed) {
                status = Refusal::Impatient.status(self.front).as_u16();
                notes.push(format!("the function's {} came too late", reply.status().as_u16()));
            } else {
                notes.push("the browser was gone before the answer".to_owned());
            }
        }
        let mut entry = exchange.entry(status, ending.took, set_cookies);
        // Before the browser has its answer, lest its next request comes in between.
        let after = self.ledger.look(&entry.cookies, &entry.set_cookies).await;
        entry.kept = Kept { before, after };
        self.ledger.add(entry.clone());
        // A client that has gone does not hear it.
        let _ = told.send(reply);
        self.conclude(instance, ending, Conclusion { entry, trouble, notes, recorded }).await;
    }

    /// What the browser gets for `ending`, with the cookies that the function set; or why there is no answer.
    fn judge(
        &self,
        exchange: &Exchange,
        ending: &Ending,
        notes: &mut Vec<String>,
    ) -> Result<(Reply, Vec<String>), String> {
        let posted = ending.result.as_ref().map_err(ToString::to_string)?;
        let answer: Answer = read_answer(self.front.kind(), posted, notes).map_err(|(_, message)| message)?;
        let set_cookies = answer.set_cookies.clone();
        let reply = reply(self.front, &exchange.request.method, answer, self.id_of(&exchange.ids), notes)?;
        Ok((reply, set_cookies))
    }

    /// All that is done once the browser has its answer.
    async fn conclude(&self, mut instance: Instance, ending: Ending, conclusion: Conclusion) {
        let Conclusion { entry, trouble, mut notes, recorded } = conclusion;
        let Entry { id, request, status, took, .. } = &entry;
        let settled = self.instances.settle(&mut instance, &ending).await;
        let memory_bytes = log::memory_bytes(instance.process());
        let change = self.ledger.change(&entry);
        log::end(id, &log::told(request, *status, change.as_ref()), *took, instance.started, memory_bytes);
        if trouble.is_none() {
            notes.extend(told_of_rest(&settled));
        }
        for note in &notes {
            log::note(id, note);
        }
        if let (Some(recorder), Some(name)) = (&self.recorder, &recorded) {
            complain(recorder.answer(name, &ending.result));
        }
        if let Some(cause) = &trouble {
            let (status, after, output) = (*status, Some(*took), &*instance.output());
            Trouble { id, request, cause, status, after, output }.tell();
        }
        self.instances.leave(instance, settled).await;
    }

    /// Tells of an event that no instance took, and answers its request.
    fn not_started(
        &self,
        exchange: &Exchange,
        error: &StartError,
        recorded: Option<&Name>,
        told: oneshot::Sender<Reply>,
    ) {
        let is_late = exchange.is_given_up.load(Ordering::Relaxed);
        let refusal = if is_late { Refusal::Impatient } else { Refusal::NoAnswer };
        let status = refusal.status(self.front).as_u16();
        self.ledger.add(exchange.entry(status, Duration::ZERO, Vec::new()));
        let (id, request, cause) = (&*exchange.ids.invocation, &*exchange.asked(), &*error.to_string());
        Trouble { id, request, cause, status, after: None, output: "" }.tell();
        log::end(id, &log::told(request, status, None), Duration::ZERO, None, None);
        if let (Some(recorder), Some(name)) = (&self.recorder, recorded) {
            complain(recorder.not_started(name, error));
        }
        let _ = told.send(self.refused(exchange, refusal));
    }

    fn refused(&self, exchange: &Exchange, refusal: Refusal) -> Reply {
        refusal.reply(self.front, self.id_of(&exchange.ids))
    }

    fn record_event(&self, exchange: &Exchange) -> Option<Name> {
        let recorder = self.recorder.as_ref()?;
        let Request { method, path, .. } = &exchange.request;
        complain(recorder.event(method, path, &exchange.event))
    }

    /// What the front door calls the request.
    fn id_of<'a>(&self, ids: &'a Ids) -> &'a str {
        match self.front {
            Front::HttpApi => &ids.gateway,
            Front::Rest | Front::FunctionUrl | Front::Alb | Front::AlbMulti => &ids.invocation,
        }
    }
}

/// What a request turned out to be.
enum Read {
    Exchange(Arc<Exchange>),
    /// One of the gateway's own pages.
    Page(Reply),
}

/// What is known once the browser has its answer.
struct Conclusion {
    entry: Entry,
    /// Why the answer is not the function's.
    trouble: Option<String>,
    notes: Vec<String>,
    recorded: Option<Name>,
}

impl Exchange {
    fn asked(&self) -> String {
        format!("{} {}", self.request.method, self.request.path)
    }

    /// What is kept of it: what the browser got, and after how long.
    fn entry(&self, status: u16, took: Duration, set_cookies: Vec<String>) -> Entry {
        Entry {
            id: self.ids.invocation.clone(),
            at: self.request.at,
            request: self.asked(),
            status,
            took,
            cookies: self.request.cookies(),
            set_cookies,
            kept: Kept::default(),
        }
    }
}

/// A body of at most `limit` bytes. A larger one is read to its end all the same, if that is near: a browser that is answered while
/// it still sends shows a broken connection, and not the answer.
async fn whole(mut body: impl Body<Data = Bytes> + Unpin, limit: usize) -> Result<Bytes, Refusal> {
    let (mut bytes, mut size) = (BytesMut::new(), 0_usize);
    while let Some(frame) = time::timeout(FRAME_LIMIT, body.frame()).await.map_err(|_| Refusal::BadRequest(SILENT))? {
        // Whoever broke off is not there to be told.
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest("its body broke off"))?.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size <= limit {
            bytes.extend_from_slice(&data);
        } else if size > DRAINED_BYTES {
            break;
        }
    }
    if size > limit {
        return Err(Refusal::LargeBody(Excess { what: "a body", bytes: size, limit }));
    }
    Ok(bytes.freeze())
}

/// What a function that answered did then, where that is not to ask for its next event.
fn told_of_rest(settled: &Settled) -> Option<String> {
    match settled {
        Settled::Ready => None,
        Settled::Ended(status) => {
            Some(format!("the function ended after its answer ({status}); the next event starts it again"))
        }
        Settled::Silent => Some("the function asked for no other event; stopped".to_owned()),
    }
}

/// A recording that cannot be written is told, and nothing else: the request goes its way.
fn complain<T>(written: std::io::Result<T>) -> Option<T> {
    written.map_err(|error| tell(format!("lambda-session: cannot record: {}", one_line(&error.to_string())))).ok()
}

/// An id in the shape that API Gateway gives them.
fn gateway_id() -> String {
    let mut bytes = [0; 11];
    // Ids tell requests apart, they guard nothing: without random bytes the zero id serves.
    let _ = getrandom::fill(&mut bytes);
    URL_SAFE.encode(bytes)
}

const SILENT: &str = "nothing more of its body came within 60 s";

/// How long a client may be silent in the middle of a body: as long as a load balancer's connection may be idle.
const FRAME_LIMIT: Duration = Duration::from_secs(60);

/// How much of a body that is too large is read before the answer.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// Says a part of it, and then nothing.
    struct Silent(Option<Bytes>);

    impl Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            self.0.take().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_waited_for_no_longer_than_a_minute() {
        let begin = time::Instant::now();
        let read = whole(Silent(Some(Bytes::from_static(b"half"))), 10).await;
        assert_eq!((read, begin.elapsed()), (Err(Refusal::BadRequest(SILENT)), FRAME_LIMIT));
    }
}
