//! The client's side of one program: which event comes next, and whether its answer is right.
//!
//! That the session comes back is proved over the whole chain of events: the first event alone puts `born` into the
//! session, each later one only `n`; so a session that was ever lost has no `born` when `GET /posts` shows it.

use serde_json::{Value, json};

use crate::event::{Foreign, Template};

/// What an event asks the program for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// `POST /posts`: the session is read, changed and written.
    Write,
    /// The same with 10 KB of other people's cookies around ours, some dozens of them.
    WriteAmongFew,
    /// The same, but as many and as short as they get.
    WriteAmongMany,
    /// `GET /health`, with the session's cookie, which nobody asks for.
    Untouched,
    /// `GET /posts`: shows what the session holds, and checks it.
    Show,
}

/// What a program is expected to do about sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None: one fixed answer. It is sent a cookie of the usual size all the same, so that its events weigh as much.
    Bare,
    /// The cookie carries the session, so each write makes another one.
    InCookie,
    /// The cookie carries an id, which may stay.
    ById,
}

/// One browser with one session.
pub struct Browser {
    kind: Kind,
    template: Template,
    few: Foreign,
    many: Foreign,
    cookie: Option<String>,
    count: u64,
    visits: u64,
    shown_bytes: usize,
}

impl Browser {
    /// A browser that was never there before.
    pub fn new(kind: Kind) -> Self {
        let cookie = (kind == Kind::Bare).then(|| format!("__Host-session={}", "A".repeat(USUAL_TOKEN_CHARS)));
        Self {
            kind,
            template: Template::new(),
            few: Foreign::few(),
            many: Foreign::many(),
            cookie,
            count: FIRST_COUNT,
            visits: 0,
            shown_bytes: 0,
        }
    }

    /// The size of the largest session that `/posts` showed, in bytes.
    pub fn shown_bytes(&self) -> usize {
        self.shown_bytes
    }

    /// Writes the answer to `next`: head and event.
    pub fn write_event(&mut self, errand: Errand, out: &mut Vec<u8>) {
        self.visits += 1;
        let body = match errand {
            Errand::Untouched | Errand::Show => None,
            _ => Some(self.body()),
        };
        let path = if errand == Errand::Untouched { "/health" } else { "/posts" };
        let foreign = match errand {
            Errand::WriteAmongFew => Some(&self.few),
            Errand::WriteAmongMany => Some(&self.many),
            _ => None,
        };
        self.template.write(self.visits, path, body.as_deref(), self.cookie.as_deref(), foreign, out);
    }

    /// Checks an answer and keeps its cookie.
    pub fn take_answer(&mut self, errand: Errand, path: &str, body: &[u8]) -> Result<(), String> {
        let expected_path = format!("/2018-06-01/runtime/invocation/{}/response", Template::id(self.visits));
        let wrong = |what: &str| format!("{what}: {path} {}", String::from_utf8_lossy(body));
        if path != expected_path {
            return Err(wrong("not a response to the event"));
        }
        let answer: Value = serde_json::from_slice(body).map_err(|_| wrong("no JSON"))?;
        if answer["statusCode"] != 200 {
            return Err(wrong("not status 200"));
        }
        let text = answer["body"].as_str().unwrap_or_default();
        let cookies = answer["cookies"].as_array().map(Vec::as_slice).unwrap_or_default();
        match (self.kind, errand) {
            (Kind::Bare, _) => check(is_message(text) && cookies.is_empty(), || wrong("not the floor's answer")),
            (_, Errand::Untouched) => {
                check(text == "ok" && cookies.is_empty(), || wrong("not an untouched session's answer"))
            }
            (_, Errand::Show) => {
                self.keep(cookies);
                self.shown_bytes = self.shown_bytes.max(text.len());
                let shown: Value = serde_json::from_str(text).map_err(|_| wrong("no session"))?;
                let is_ours = shown["born"] == BORN && shown["n"] == self.count;
                check(is_ours, || wrong(&format!("not the session born {BORN:?} with n {}", self.count)))
            }
            _ => {
                check(is_message(text), || wrong("not the expected message"))?;
                let before = self.cookie.clone();
                let is_same_name = |name: &str| before.as_deref().is_none_or(|old| name_of(old) == name);
                check(cookies.len() == 1, || wrong("not one cookie"))?;
                self.keep(cookies);
                check(is_same_name(name_of(self.cookie.as_deref().unwrap_or_default())), || wrong("another name"))?;
                check(self.kind == Kind::ById || before != self.cookie, || wrong("the cookie did not change"))
            }
        }
    }

    fn body(&mut self) -> String {
        self.count += 1;
        if self.count == FIRST_COUNT + 1 {
            json!({"born": BORN, "n": self.count, "pad": PAD}).to_string()
        } else {
            json!({"n": self.count, "pad": PAD}).to_string()
        }
    }

    fn keep(&mut self, cookies: &[Value]) {
        for line in cookies.iter().filter_map(Value::as_str) {
            self.cookie = line.split(';').next().map(str::to_owned);
        }
    }
}

fn check(is_right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(wrong()) }
}

fn is_message(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value == json!({"message": "set some data in the session"}))
}

fn name_of(cookie: &str) -> &str {
    cookie.split('=').next().unwrap_or_default()
}

/// What an encrypted token of a session of 100 bytes takes.
const USUAL_TOKEN_CHARS: usize = 187;

const BORN: &str = "k3v9x2ab";

/// With `born`, `n` and `current_time` it makes a session of 100 bytes of JSON.
const PAD: &str = "abcdefghijkl";

/// So large that the counter's length never changes.
const FIRST_COUNT: u64 = 1_000_000;
