//! `lambda-session keys`: the ring in SSM Parameter Store, listed, rotated and revoked, with one write each.

mod arguments;
mod import;
mod list;
mod parameter;
mod plan;
mod ring;
mod trouble;
mod verdict;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use lambda_session::config::{Settings, Variables};
use lambda_session::keyring::Secret;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::keys::arguments::{Command, Writing};
use crate::keys::import::Imported;
use crate::keys::parameter::{Manner, Parameter, Stored};
use crate::keys::plan::{Facts, Haste, Plan, Refusal};
use crate::keys::ring::Ring;
use crate::keys::verdict::Verdict;
use crate::output::{Failure, Out, Style, one_line, tell};

pub(crate) use crate::keys::arguments::{Arguments, EXAMPLES};

pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    runtime.block_on(carry_out(arguments, out))
}

async fn carry_out(arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let environment = Environment::read()?;
    let name = name(&arguments.command, &environment)?;
    let haste = |is_now: bool| if is_now { Haste::Now } else { Haste::Safe };
    let fresh = Secret::generate().map_err(|error| Failure::Environment(format!("{error:?}")))?;
    let parameter = Parameter::open(&name, environment.region()).await?;
    match &arguments.command {
        Command::List(list) => {
            let now = now();
            let (stored, ring) = existing(&parameter).await?;
            if list.json {
                return out.line(list::json(&ring, &name, stored.version, now));
            }
            list::print(&ring, now, out)
        }
        Command::Init(init) => create(&parameter, init, |facts| plan::init(facts, &fresh), out).await,
        Command::Import(import) => {
            let imported = Imported::read(&import.file)?;
            let plan = |facts| plan::import(facts, imported.current.trim(), &imported.old());
            create(&parameter, &import.writing, plan, out).await
        }
        Command::Rotate(rotate) => {
            let plan = |ring: &Ring, facts| plan::rotate(ring, facts, rotate.lead, haste(rotate.now), &fresh);
            change(&parameter, &rotate.writing, plan, Asking::No, out).await
        }
        Command::Promote(promote) => {
            let plan = |ring: &Ring, facts| plan::promote(ring, facts, haste(promote.now));
            change(&parameter, &promote.writing, plan, Asking::No, out).await
        }
        Command::Rollback(rollback) => change(&parameter, rollback, plan::rollback, Asking::No, out).await,
        Command::Prune(prune) => {
            let lives = absolute(&environment)?;
            let older_than = prune.older_than.unwrap_or(lives);
            let plan = |ring: &Ring, facts| plan::prune(ring, facts, older_than, lives);
            change(&parameter, &prune.writing, plan, Asking::No, out).await
        }
        Command::Revoke(revoke) => {
            let asking = match (revoke.yes || revoke.writing.dry_run, io::stdin().is_terminal()) {
                (true, _) => Asking::No,
                (false, true) => Asking::Yes,
                (false, false) => {
                    return Err(Failure::Usage(
                        "revoke asks before it ends sessions, and there is no terminal to ask on: give --yes".into(),
                    ));
                }
            };
            let plan = |ring: &Ring, facts| plan::revoke(ring, facts, &revoke.kid, &fresh);
            change(&parameter, &revoke.writing, plan, asking, out).await
        }
    }
}

/// Whether a person has to agree before anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Yes,
    No,
}

/// Makes the parameter.
async fn create(
    parameter: &Parameter,
    writing: &Writing,
    plan: impl FnOnce(Facts) -> Result<Plan, Refusal>,
    out: &mut Out,
) -> Result<(), Failure> {
    let name = parameter.name();
    let is_there = || {
        Failure::Refused(format!(
            "parameter {name} is there already: `lambda-session keys list` shows what it holds, `keys rotate` adds a key"
        ))
    };
    if parameter.read().await?.is_some() {
        return Err(is_there());
    }
    let manner = Manner::first(writing.kms_key.as_deref());
    let now = now();
    let facts = Facts { now, written: now, limit_bytes: manner.limit_bytes() };
    let Some(ring) = told(plan(facts).map_err(refused)?, writing, out)? else { return Ok(()) };
    let version = parameter.create(&ring.text(), &manner).await?.ok_or_else(is_there)?;
    confirm_written(parameter, None, version, &ring, out).await?;
    out.line(format!("functions with SESSION_KEYS_PARAMETER={name} and no SECRET_KEY_BASE read it"))
}

/// Writes the parameter's next version: reads, decides, says what will happen, writes once, reads again.
async fn change(
    parameter: &Parameter,
    writing: &Writing,
    plan: impl FnOnce(&Ring, Facts) -> Result<Plan, Refusal>,
    asking: Asking,
    out: &mut Out,
) -> Result<(), Failure> {
    let name = parameter.name();
    let (stored, ring) = existing(parameter).await?;
    let manner = parameter.describe(writing.kms_key.as_deref()).await?;
    let facts = Facts { now: now(), written: stored.written, limit_bytes: manner.limit_bytes() };
    if let Some(warning) = manner.warning() {
        tell(warning);
    }
    let Some(new) = told(plan(&ring, facts).map_err(refused)?, writing, out)? else { return Ok(()) };
    if asking == Asking::Yes && !agrees()? {
        return Err(Failure::Refused("nothing is written".into()));
    }
    let version = parameter.overwrite(&new.text(), &manner).await?;
    // Only a write that must not overwrite can find that something is there.
    let version = version.ok_or_else(|| Failure::Environment(format!("cannot write parameter {name}")))?;
    confirm_written(parameter, Some((stored.version, &ring)), version, &new, out).await
}

/// Says what a plan does; gives what is to be written, if anything is.
fn told(plan: Plan, writing: &Writing, out: &mut Out) -> Result<Option<Ring>, Failure> {
    let (ring, effects) = match plan {
        Plan::Nothing(why) => return out.line(why).map(|()| None),
        Plan::Write { ring, effects } => (ring, effects),
    };
    match tell_effects(&effects, out) {
        Ok(()) if writing.dry_run => out.line(out.paint(Style::Note, "dry run: nothing is written")).map(|()| None),
        // A quiet end would look like a rotation that is done.
        Err(Failure::Closed) if !writing.dry_run => Err(Failure::Refused(
            "standard output is closed, so nobody was told what this does: nothing is written".into(),
        )),
        result => result.map(|()| Some(ring)),
    }
}

fn tell_effects(effects: &[String], out: &mut Out) -> Result<(), Failure> {
    for effect in effects {
        let hurts = effect.starts_with(plan::HURTS);
        out.line(if hurts { out.paint(Style::Bad, effect) } else { effect.clone() })?;
    }
    out.flush()
}

/// SSM has no compare-and-set: whether somebody else wrote meanwhile shows only afterwards.
async fn confirm_written(
    parameter: &Parameter,
    before: Option<(i64, &Ring)>,
    version: i64,
    ring: &Ring,
    out: &mut Out,
) -> Result<(), Failure> {
    let name = parameter.name();
    let read = parameter.read().await;
    let after = read.as_ref().ok().and_then(Option::as_ref);
    let (number, old) = before.map_or((0, None), |(number, old)| (number, Some(old)));
    let verdict = Verdict::of(number, version, after.map_or(version, |stored| stored.version));
    if verdict.is_alone() {
        return match read {
            Err(failure) => Err(Failure::Environment(format!(
                "version {version} of {name} is written; whether somebody wrote after it is not known: {}",
                failure.message()
            ))),
            Ok(_) => {
                out.line(out.paint(Style::Good, format!("written: version {version} of {name}")))?;
                out.flush()
            }
        };
    }
    let mut undone = Vec::new();
    for other in verdict.overwrote.clone().into_iter().flatten() {
        undone.extend(match parameter.read_version(other).await {
            Some(stored) => verdict::undone(other, old, &stored.text, ring),
            None => vec![format!("version {other} cannot be read")],
        });
    }
    if let (Some(by), Some(last)) = (verdict.overwritten, after) {
        undone.extend(match Ring::parse(&last.text) {
            Ok(last) => verdict::undone(version, old, &ring.text(), &last),
            Err(_) => vec![format!("version {by} holds no ring")],
        });
    }
    Err(Failure::Refused(verdict.text(name, version, &undone)))
}

async fn existing(parameter: &Parameter) -> Result<(Stored, Ring), Failure> {
    let name = parameter.name();
    let stored = parameter.read().await?.ok_or_else(|| {
        Failure::Environment(format!(
            "there is no parameter {name} in this region: `lambda-session keys init` makes it, `keys import` takes the \
             secrets of a .env file along"
        ))
    })?;
    let ring = Ring::parse(&stored.text)
        .map_err(|error| Failure::Environment(one_line(&format!("parameter {name}, {error:?}"))))?;
    Ok((stored, ring))
}

/// The one parameter to work on; to look at, a version of it as well.
fn name(command: &Command, environment: &Environment) -> Result<String, Failure> {
    let given = command.place().parameter.clone().or_else(|| environment.value("SESSION_KEYS_PARAMETER"));
    let name = given.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::Usage(
            "which parameter? give --parameter NAME, or set SESSION_KEYS_PARAMETER, such as /shop/prod/session/keys"
                .into(),
        )
    })?;
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    let (plain, version) = name.split_once(':').unwrap_or((&name, "1"));
    let is_one = plain == name || matches!(command, Command::List(_));
    if is_one && plain.bytes().all(is_legal) && version.parse::<u64>().is_ok() {
        return Ok(name);
    }
    Err(Failure::Usage(
        "keys works on one parameter, by its plain name, such as /shop/prod/session/keys: no comma, no ARN, and a version \
         only for `keys list`"
            .into(),
    ))
}

/// How long a session lives by this application's settings. The others are none of ours, whatever is wrong with them.
fn absolute(environment: &Environment) -> Result<Duration, Failure> {
    let lifetime = |name: &str| LIFETIME.contains(&name).then(|| environment.value(name)).flatten();
    let settings = Settings::read(&lifetime);
    let settings = settings.map_err(|error| Failure::Environment(one_line(&format!("{error:?}"))))?;
    Ok(settings.lifetime().absolute())
}

/// The variables that say how long a session lives.
const LIFETIME: [&str; 3] = ["SESSION_EXPIRE_AFTER", "SESSION_IDLE", "SESSION_ABSOLUTE"];

fn agrees() -> Result<bool, Failure> {
    let _ = write!(io::stderr(), "go on? [y/N] ");
    let mut answer = Zeroizing::new(String::new());
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Environment(format!("cannot read standard input: {error}")))?;
    let agrees = matches!(answer.trim(), "y" | "Y" | "yes");
    if !agrees {
        tell("");
    }
    Ok(agrees)
}

/// In whole seconds, as a ring's times are.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since.as_secs())).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Usage(text) => Failure::Usage(text),
        Refusal::Ring(text) => Failure::Refused(text),
    }
}

#[cfg(test)]
mod model_tests;
