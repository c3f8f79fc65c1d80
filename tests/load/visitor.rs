//! Somebody with a session, who knows what must be in it.

use serde_json::{Value, json};

use crate::connection::{Answer, Connection, Failed};

/// One browser: its connection, its cookie, and what its session must hold.
pub(crate) struct Visitor {
    number: u32,
    connection: Connection,
    cookie: Option<String>,
    expected: Expected,
}

/// What a session must hold; nothing, before its first write and after a logout.
#[derive(Default)]
struct Expected {
    mark: Option<u32>,
    visits: u64,
    user: Option<String>,
}

/// One request of the twelve that follow one another.
#[derive(Clone, Copy)]
enum Deed {
    /// Writes whose session it is.
    Mark,
    /// Reads and counts.
    Visit,
    /// Reads all of it.
    List,
    /// Asks for no session.
    Pass,
    /// Logs in: another id, the same data.
    Login,
    /// Ends it.
    Logout,
}

use Deed::{List, Login, Logout, Mark, Pass, Visit};

const ROUND: [Deed; 12] = [Mark, Visit, List, Visit, Login, Visit, List, Pass, Visit, Visit, List, Logout];

impl Visitor {
    pub(crate) fn new(number: u32, port: u16) -> Self {
        Self { number, connection: Connection::new(port), cookie: None, expected: Expected::default() }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The request of this step, and whether it was answered as it must be. Visitors are at different places of the round.
    pub(crate) async fn ask(&mut self, step: usize) -> Result<(), Failed> {
        let deed = ROUND[(step + self.number as usize) % ROUND.len()];
        let (number, user) = (self.number, format!("visitor {}", self.number));
        let (line, body) = match deed {
            Mark => ("POST /posts", json!({ "mark": number }).to_string()),
            Visit => ("GET /", String::new()),
            List => ("GET /posts", String::new()),
            Pass => ("GET /health", String::new()),
            Login => ("POST /login", json!({ "user": user }).to_string()),
            Logout => ("POST /logout", String::new()),
        };
        let answer = self.connection.ask(line, self.cookie.as_deref(), &body).await?;
        match deed {
            Mark => self.expected.mark = Some(number),
            Visit => self.expected.visits += 1,
            Login => self.expected.user = Some(user),
            Logout => self.expected = Expected::default(),
            List | Pass => {}
        }
        let right = answer.status == 200
            && match deed {
                Visit => self.expected.is_on_the_page(&answer.body),
                List => self.expected.is_listed(&answer.body),
                Pass => answer.body == "ok" && answer.set_cookies.is_empty(),
                Mark | Login | Logout => true,
            };
        self.keep(&answer);
        if matches!(deed, Logout) && self.cookie.is_some() {
            return Err(format!("visitor {number} still has a cookie after {line}"));
        }
        if right { Ok(()) } else { Err(format!("visitor {number}, {line}: {} {}", answer.status, answer.body)) }
    }

    /// Keeps the cookie as a browser does.
    fn keep(&mut self, answer: &Answer) {
        for line in &answer.set_cookies {
            let pair = line.split(';').next().unwrap_or_default();
            let ends = line.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            self.cookie = (!ends).then(|| pair.to_owned());
        }
    }
}

impl Expected {
    fn is_on_the_page(&self, page: &str) -> bool {
        let user = self.user.as_deref().unwrap_or("nobody");
        page.contains(&format!("<h1>Visit {}</h1>", self.visits)) && page.contains(&format!("<b id=user>{user}</b>"))
    }

    fn is_listed(&self, text: &str) -> bool {
        let Ok(Value::Object(mut found)) = serde_json::from_str(text) else { return false };
        found.remove("current_time");
        let visits = Some(self.visits).filter(|visits| *visits > 0);
        let owed = [
            ("mark", self.mark.map(Value::from)),
            ("visits", visits.map(Value::from)),
            ("user", self.user.clone().map(Value::from)),
        ];
        let owed = owed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        found == owed.collect()
    }
}
