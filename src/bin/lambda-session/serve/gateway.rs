//! One request's way: from HTTP to an event, to an instance of the function, and its answer back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time;

use crate::answer::Answer;
use crate::function::{Ending, Settled, StartError};
use crate::output::{one_line, tell};
use crate::posted::read_answer;
use crate::runtime_api::{Invocation, request_id};
use crate::serve::event::{self, Ids};
use crate::serve::front::Front;
use crate::serve::instances::{Instance, Instances};
use crate::serve::ledger::{Entry, Ledger};
use crate::serve::log::{self, Trouble};
use crate::serve::pages;
use crate::serve::record::{Name, Recorder};
use crate::serve::refusal::Refusal;
use crate::serve::reply::{Reply, reply};
use crate::serve::request::Request;
use crate::serve::watch::gate::Gate;

/// What stands between HTTP and the function.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) front: Front,
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
}

impl Gateway {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>, peer: IpAddr, port: u16) -> Reply {
        let front = self.front;
        let exchange = match self.read(request, peer, port).await {
            Ok(Read::Exchange(exchange)) => *exchange,
            Ok(Read::Page(page)) => return page,
            Err(refusal) => return refusal.reply(front),
        };
        self.gate.pass().await;
        let (tell, told) = oneshot::channel();
        let patience = self.patience;
        // A task of its own: a browser that goes away, or a front door that waits no longer, does not stop the function.
        tokio::spawn(self.run(exchange, tell));
        let told = match patience {
            Some(patience) => {
                time::timeout(patience, told).await.unwrap_or_else(|_| Ok(Refusal::Impatient.reply(front)))
            }
            None => told.await,
        };
        told.unwrap_or_else(|_| Refusal::NoAnswer.reply(front))
    }

    async fn read(&self, request: hyper::Request<Incoming>, peer: IpAddr, port: u16) -> Result<Read, Refusal> {
        let now = SystemTime::now();
        let (parts, body) = request.into_parts();
        let mut request = Request::read(parts, self.front, peer, port, now)?;
        if pages::is_asked(&request) {
            return Ok(Read::Page(pages::page(&request, &self.ledger, self.gate.news(), now).await));
        }
        // Whole before an instance is asked for, so that a slow client holds none.
        request.body = whole(body, self.front.body_limit_bytes()).await?;
        let ids = Ids { invocation: request_id(), gateway: gateway_id() };
        let event = event::event(self.front, &request, &ids)?;
        Ok(Read::Exchange(Box::new(Exchange { request, ids, event })))
    }

    /// Takes the event through an instance, hands out the reply as soon as there is one, and sees the instance to its rest.
    async fn run(self: Arc<Self>, exchange: Exchange, mut told: oneshot::Sender<Reply>) {
        let place = tokio::select! {
            place = self.instances.place() => place,
            // Nobody waits for it any more, and nothing has begun.
            () = told.closed() => return,
        };
        let id = &exchange.ids.invocation;
        let mut instance = match self.instances.enter(place).await {
            Ok(instance) => instance,
            Err(error) => return self.not_started(&exchange, &error, told),
        };
        log::start(id);
        instance.label(log::prefix(id));
        let recorded = self.record_event(&exchange);
        let invocation = Invocation { id: id.clone(), event: exchange.event.clone(), limit: self.limit };
        let ending = match self.instances.invoke(&mut instance, &invocation).await {
            Ok(ending) => ending,
            Err(error) => return self.not_started(&exchange, &error, told),
        };
        let mut notes = Vec::new();
        let (reply, set_cookies, trouble) = match self.judge(&exchange, &ending, &mut notes) {
            Ok((reply, set_cookies)) => (reply, set_cookies, None),
            Err(cause) => (Refusal::NoAnswer.reply(self.front), Vec::new(), Some(cause)),
        };
        let status = reply.status().as_u16();
        let entry = Entry {
            id: id.clone(),
            at: exchange.request.at,
            request: exchange.asked(),
            status,
            took: ending.took,
            cookies: exchange.request.cookies(),
            set_cookies,
        };
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
        let (status, set_cookies) = (answer.status, answer.set_cookies.clone());
        let reply = reply(self.front, &exchange.request.method, answer, self.id_of(exchange), notes);
        let reply = reply.ok_or_else(|| format!("{status} is no status of an answer"))?;
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

    fn not_started(&self, exchange: &Exchange, error: &StartError, told: oneshot::Sender<Reply>) {
        let status = Refusal::NoAnswer.status(self.front).as_u16();
        let (id, request, cause) = (&*exchange.ids.invocation, &*exchange.asked(), &*error.to_string());
        Trouble { id, request, cause, status, after: None, output: "" }.tell();
        let _ = told.send(Refusal::NoAnswer.reply(self.front));
    }

    fn record_event(&self, exchange: &Exchange) -> Option<Name> {
        let recorder = self.recorder.as_ref()?;
        let Request { method, path, .. } = &exchange.request;
        complain(recorder.event(method, path, &exchange.event))
    }

    /// What the front door calls the request.
    fn id_of<'a>(&self, exchange: &'a Exchange) -> &'a str {
        match self.front {
            Front::HttpApi => &exchange.ids.gateway,
            Front::Rest | Front::FunctionUrl | Front::Alb | Front::AlbMulti => &exchange.ids.invocation,
        }
    }
}

/// What a request turned out to be.
enum Read {
    Exchange(Box<Exchange>),
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
}

/// A body of at most `limit` bytes. A larger one is read to its end all the same, if that is near: a browser that is answered while
/// it still sends shows a broken connection, and not the answer.
async fn whole(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let (mut bytes, mut size) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        // Whoever broke off is not there to be told.
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size <= limit {
            bytes.extend_from_slice(&data);
        } else if size > DRAINED_BYTES {
            break;
        }
    }
    if size > limit { Err(Refusal::LargeBody) } else { Ok(bytes.freeze()) }
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

/// How much of a body that is too large is read before the answer.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;
