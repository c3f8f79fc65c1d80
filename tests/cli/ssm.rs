//! An SSM on loopback with one parameter: it keeps versions, counts calls, and lets others write in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::{Place, Ran};

pub(crate) const NAME: &str = "/shop/prod/session/keys";

/// It lives as long as the test's process.
pub(crate) struct Ssm {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// What the parameter held, the first version first, each with the second in which it was written.
    pub(crate) versions: Vec<(String, u64)>,
    pub(crate) kind: Option<&'static str>,
    /// Each call: what it is called, and its body.
    pub(crate) calls: Vec<(String, Value)>,
    /// The region that each call was signed for.
    pub(crate) regions: Vec<String>,
    /// Calls that are answered with this error, code and message.
    pub(crate) refused: Option<(&'static str, &'static str)>,
    /// How many are; all of them, if nothing else is said.
    pub(crate) refusals: Option<usize>,
    /// What somebody else writes right before, and right after, our write.
    pub(crate) before_ours: Option<String>,
    pub(crate) after_ours: Option<String>,
    /// What is refused from our write on.
    pub(crate) refused_after_ours: Option<(&'static str, &'static str)>,
}

impl Ssm {
    pub(crate) fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away has no answer to get.
                let _ = answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state }
    }

    /// With a parameter that was written so many seconds ago.
    pub(crate) fn holding(text: impl Into<String>, seconds: u64) -> Self {
        let ssm = Self::empty();
        ssm.state().versions.push((text.into(), now() - seconds));
        ssm
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What the parameter holds.
    pub(crate) fn text(&self) -> String {
        self.state().versions.last().unwrap().0.clone()
    }

    /// The calls of this name since the last question.
    pub(crate) fn take(&self, name: &str) -> Vec<Value> {
        let mut state = self.state();
        let calls = std::mem::take(&mut state.calls);
        calls.into_iter().filter(|(call, _)| call == name).map(|(_, body)| body).collect()
    }

    /// The regions of the calls since the last question.
    pub(crate) fn take_regions(&self) -> Vec<String> {
        std::mem::take(&mut self.state().regions)
    }

    /// The variables that lead a command here.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        [
            ("AWS_ENDPOINT_URL_SSM", endpoint.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AK"),
            ("AWS_SECRET_ACCESS_KEY", "SK"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("SESSION_KEYS_PARAMETER", NAME),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Runs `lambda-session keys` with these words.
    pub(crate) fn keys(&self, place: &Place, words: &str) -> Ran {
        let mut command = place.command(&["keys"]);
        Ran::of(command.args(words.split_whitespace()).envs(self.variables()).output().unwrap())
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let (mut call, mut length, mut region) = (String::new(), 0, None);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => call = value.trim().strip_prefix("AmazonSSM.").unwrap().to_owned(),
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => {
                let scope = value.trim().strip_prefix("AWS4-HMAC-SHA256 Credential=AK/");
                region = scope.and_then(|scope| scope.split('/').nth(1)).map(str::to_owned);
            }
            _ => {}
        }
    }
    state.lock().unwrap().regions.extend(region.clone());
    assert!(region.is_some(), "{call} is signed");
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    let (status, answer) = state.lock().unwrap().answer(&call, serde_json::from_slice(&body).unwrap());
    let answer = answer.to_string();
    write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

impl State {
    fn answer(&mut self, call: &str, body: Value) -> (&'static str, Value) {
        self.calls.push((call.to_owned(), body.clone()));
        let error = |code: &str, message: &str| ("400 Bad Request", json!({"__type": code, "message": message}));
        if let Some((code, message)) = self.refused.filter(|(refused, _)| refused.starts_with(call)) {
            let (_, answer) = error(&code[call.len() + 1..], message);
            self.refusals = self.refusals.map(|count| count - 1);
            if self.refusals == Some(0) {
                self.refused = None;
            }
            let is_server_s = code.contains("Internal");
            return (if is_server_s { "500 Internal Server Error" } else { "400 Bad Request" }, answer);
        }
        let (name, version) = selected(&body, self.versions.len());
        assert_eq!(name, NAME);
        match call {
            "GetParameter" => match self.versions.get(version.wrapping_sub(1)) {
                Some((value, written)) => {
                    assert_eq!(body["WithDecryption"], json!(true));
                    let kind = self.kind.unwrap_or("SecureString");
                    let parameter = json!({
                        "Name": NAME, "Type": kind, "Value": value, "Version": version, "LastModifiedDate": *written as f64,
                    });
                    ("200 OK", json!({ "Parameter": parameter }))
                }
                None => error("ParameterNotFound", ""),
            },
            "DescribeParameters" => {
                let parameter = json!({
                    "Name": NAME, "Type": "SecureString", "KeyId": "arn:aws:kms:eu-west-1:1:key/2", "Tier": "Standard",
                    "Description": "ours", "AllowedPattern": "(?s)v1 .*",
                });
                // As AWS may do it: a page with nothing on it, and more to come.
                match body["NextToken"].as_str() {
                    None => ("200 OK", json!({"Parameters": [], "NextToken": "more"})),
                    Some(_) => ("200 OK", json!({ "Parameters": [parameter] })),
                }
            }
            "PutParameter" => {
                if !self.versions.is_empty() && body["Overwrite"] != json!(true) {
                    return error("ParameterAlreadyExists", "");
                }
                self.versions.extend(self.before_ours.take().map(|text| (text, now())));
                self.versions.push((body["Value"].as_str().unwrap().to_owned(), now()));
                let version = self.versions.len();
                self.versions.extend(self.after_ours.take().map(|text| (text, now())));
                self.refused = self.refused_after_ours;
                ("200 OK", json!({"Version": version, "Tier": "Standard"}))
            }
            other => panic!("{other} is none of ours"),
        }
    }
}

/// The name and the version that a call asks for.
fn selected(body: &Value, newest: usize) -> (String, usize) {
    let name = body["Name"].as_str().or(body["ParameterFilters"][0]["Values"][0].as_str()).unwrap();
    match name.split_once(':') {
        Some((name, version)) => (name.to_owned(), version.parse().unwrap()),
        None => (name.to_owned(), newest),
    }
}
