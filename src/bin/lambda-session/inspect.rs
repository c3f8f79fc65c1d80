//! `lambda-session inspect`: what a session cookie is, or which rule refuses it.

use std::io::{self, IsTerminal, Read};
use std::time::SystemTime;

use lambda_session::config::{self, Settings};
use lambda_session::inspect::Inspection;

use crate::environment::Environment;
use crate::facts::facts;
use crate::output::{Failure, Out, Style, harmless, one_line, tell};
use crate::pretty::pretty;
use crate::sessions::{Sessions, contradiction};

/// The arguments of `inspect`: the cookie itself comes on standard input.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Show what the session holds, too
    #[arg(long)]
    reveal: bool,
}

/// Whether a function with these settings and secrets would take the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodness {
    Good,
    Refused,
    /// Without a secret nobody can tell.
    Unknown,
}

pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<Goodness, Failure> {
    let text = read_input()?;
    let failure = |error: lambda_session::Error| Failure::Environment(one_line(&format!("{error:?}")));
    let environment = Environment::read()?;
    let settings = Settings::read(&environment).map_err(failure)?;
    let keyring = config::keyring(&environment);
    let keyring = keyring.inspect_err(|error| tell(format!("lambda-session: {}", one_line(&format!("{error:?}")))));
    let has_secret = keyring.is_ok();
    let sessions = Sessions::new(settings, keyring.ok());
    let values = values_of(&text, sessions.name()).map_err(Failure::Usage)?;

    let now = SystemTime::now();
    let found: Vec<_> = values.iter().map(|value| (value, sessions.inspect(value, now))).collect();
    let good = found.iter().filter(|(_, inspection)| inspection.refusal.is_none()).count();
    for (index, (value, inspection)) in found.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        explain(value, inspection, &sessions, now, out)?;
        let verdict = match &inspection.refusal {
            _ if !has_secret => out.paint(Style::Note, "unknown: there is no secret to open it with"),
            None if good > 1 => out.paint(Style::Bad, format!("refused: {}", contradiction(good))),
            None => out.paint(Style::Good, "good"),
            Some(_) if value.is_empty() => {
                out.paint(Style::Note, "refused: it is empty, as in the line that removes a cookie")
            }
            Some(rule) => out.paint(Style::Bad, format!("refused: {}", one_line(rule))),
        };
        field("verdict", verdict, out)?;
        if arguments.reveal {
            reveal(inspection, out)?;
        }
    }
    out.flush()?;
    Ok(match good {
        _ if !has_secret => Goodness::Unknown,
        1 => Goodness::Good,
        _ => Goodness::Refused,
    })
}

fn explain(
    value: &str,
    inspection: &Inspection,
    sessions: &Sessions,
    now: SystemTime,
    out: &mut Out,
) -> Result<(), Failure> {
    for (label, text) in facts(value, inspection, sessions, now) {
        field(label, text, out)?;
    }
    for (key, size) in &inspection.sizes {
        field("", format!("{size:>5} bytes  {}", one_line(key)), out)?;
    }
    if inspection.refusal.is_none() && inspection.record.is_none() {
        field("data", "kept by the function; the cookie only names it", out)?;
    }
    Ok(())
}

fn reveal(inspection: &Inspection, out: &mut Out) -> Result<(), Failure> {
    let Some(record) = &inspection.record else { return field("payload", "none to show", out) };
    let text = String::from_utf8_lossy(record.payload());
    field("payload", "", out)?;
    for line in harmless(pretty(&text).as_deref().unwrap_or(&text)).lines() {
        out.line(format!("  {line}"))?;
    }
    Ok(())
}

fn field(label: &str, text: impl std::fmt::Display, out: &mut Out) -> Result<(), Failure> {
    let label = out.paint(Style::Dim, format!("{label:<14}"));
    out.line(format!("{label}{text}").trim_end())
}

/// The values of the cookies called `name` in what was pasted: a bare value, or lines with pairs.
fn values_of(text: &str, name: &str) -> Result<Vec<String>, String> {
    let lines: Vec<_> = text.lines().map(Line::of).filter(|line| !line.text.is_empty()).collect();
    let has_headers = lines.iter().any(|line| line.kind != LineKind::Bare);
    let (mut values, mut others) = (Vec::new(), Vec::new());
    for line in lines.iter().filter(|line| !has_headers || line.kind != LineKind::Bare) {
        if line.kind == LineKind::Bare && !line.text.contains(['=', ';']) {
            values.push(line.text);
            continue;
        }
        let pairs = line.text.split(';').take(if line.kind == LineKind::SetCookie { 1 } else { usize::MAX });
        for (found, value) in pairs.filter_map(|pair| pair.split_once('=')) {
            if found.trim() == name { values.push(value.trim()) } else { others.push(one_line(found.trim())) }
        }
    }
    let mut different: Vec<String> = Vec::new();
    for value in values {
        if !different.iter().any(|known| known == value) {
            different.push(value.to_owned());
        }
    }
    match (different.is_empty(), others.is_empty()) {
        (false, _) => Ok(different),
        (true, true) => {
            Err("there is no cookie on standard input: give a value, or a Cookie or Set-Cookie line".to_owned())
        }
        (true, false) => {
            let others = others.join(", ");
            Err(format!("there is no cookie called {name} there, only {others}; SESSION_NAME says which one is ours"))
        }
    }
}

/// One pasted line, without the name of its header.
struct Line<'a> {
    kind: LineKind,
    text: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Bare,
    Cookie,
    SetCookie,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        // `curl -v` marks the direction.
        let line = line.trim().trim_start_matches(['<', '>', '\u{feff}']).trim();
        let header = line.split_once(':').map(|(name, text)| (name.to_ascii_lowercase(), text.trim()));
        match header {
            Some((name, text)) if name == "cookie" => Self { kind: LineKind::Cookie, text },
            Some((name, text)) if name == "set-cookie" => Self { kind: LineKind::SetCookie, text },
            // As copied from an event or a program: in quotes, with a comma.
            _ => Self { kind: LineKind::Bare, text: line.trim_matches(['"', '\'', ',']) },
        }
    }
}

fn read_input() -> Result<String, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        tell("paste a cookie value, or a Cookie or Set-Cookie line, then press Ctrl-D:");
    }
    let mut bytes = Vec::new();
    let read = stdin.lock().take(INPUT_LIMIT_BYTES.saturating_add(1)).read_to_end(&mut bytes);
    let usage = |text: String| Err(Failure::Usage(text));
    match (read, String::from_utf8(bytes)) {
        (Err(error), _) => usage(format!("cannot read standard input: {error}")),
        (Ok(_), Err(_)) => usage("standard input is not text".to_owned()),
        (Ok(_), Ok(text)) if u64::try_from(text.len()).unwrap_or(u64::MAX) > INPUT_LIMIT_BYTES => {
            usage(format!("standard input has more than {INPUT_LIMIT_BYTES} bytes"))
        }
        (Ok(_), Ok(text)) => Ok(text),
    }
}

/// Every `Cookie` line that a gateway lets through is far shorter.
const INPUT_LIMIT_BYTES: u64 = 64 * 1024;

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lambda-session inspect < cookie.txt          a value, or a Cookie or Set-Cookie line
  curl -si https://shop.example/ | lambda-session inspect
  pbpaste | lambda-session inspect --reveal    and what the session holds

It reads the function's own variables (SECRET_KEY_BASE, SECRET_KEY_BASE_OLD,
SESSION_NAME, SESSION_SCOPE and the others) from the environment, .env.local and .env.
Among several cookies it takes the one called SESSION_NAME.

Exit codes: 0 the cookie is good; 1 it is refused, the verdict says by which rule;
2 usage, or no such cookie; 3 there is no secret to open it with.";

#[cfg(test)]
mod tests {
    use super::*;

    type Texts<'a> = &'a [&'a str];

    #[test]
    fn our_cookie_is_found_in_what_was_pasted() {
        let none = Err("there is no cookie on standard input: give a value, or a Cookie or Set-Cookie line");
        let rows: Vec<(&str, &str, Result<Texts<'_>, &str>)> = vec![
            ("a value", "AaJ3\n", Ok(&["AaJ3"])),
            ("a value in quotes", "\"AaJ3\",\n", Ok(&["AaJ3"])),
            ("a pair", "s=AaJ3", Ok(&["AaJ3"])),
            ("a Cookie line", "Cookie: a=1; s=AaJ3; b=2\r\n", Ok(&["AaJ3"])),
            ("without its name", "a=1; s=AaJ3", Ok(&["AaJ3"])),
            ("a Set-Cookie line", "set-cookie: s=AaJ3; Path=/; Secure", Ok(&["AaJ3"])),
            ("without its name", "s=AaJ3; Path=/; Secure", Ok(&["AaJ3"])),
            ("a removal", "Set-Cookie: s=; Max-Age=0", Ok(&[""])),
            (
                "attributes are no cookies",
                "Set-Cookie: a=1; s=AaJ3",
                Err("there is no cookie called s there, only a; SESSION_NAME says which one is ours"),
            ),
            ("two", "Cookie: s=AaJ3; s=AaJ4; s=AaJ3", Ok(&["AaJ3", "AaJ4"])),
            ("a whole answer", "HTTP/1.1 200 OK\nvary: a=b\nSet-Cookie: s=AaJ3; Path=/\n\n{}", Ok(&["AaJ3"])),
            ("curl -v", "> Cookie: s=AaJ3\n< HTTP/1.1 200", Ok(&["AaJ3"])),
            (
                "another cookie",
                "Cookie: t=1",
                Err("there is no cookie called s there, only t; SESSION_NAME says which one is ours"),
            ),
            ("nothing", "", none),
            ("blank", " \n\n", none),
        ];
        for (name, text, expected) in rows {
            let expected = expected.map(|values| values.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(values_of(text, "s"), expected.map_err(str::to_owned), "{name}");
        }
    }
}
