//! `lambda-session keys`, against an SSM on loopback.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ssm::{NAME, Ssm, now};
use crate::support::{Place, Ran, SECRET, Variables};

/// Other secrets than [`SECRET`], whose key ids are 50b2 and c1fa; its own is a277.
const SECOND: &str = "QkVIS05RVFdaXWBjZmlsb3J1eHt-gYSHio2Qk5aZnJ8";
const THIRD: &str = "ODEqIxwVDgcA-fLr5N3Wz8jBurOspZ6XkImCe3RtZl8";

/// A line of a ring: a secret that seals since so many seconds, or in so many.
fn line(seconds: i64, secret: &str) -> String {
    format!("v1 {} {secret}", time(seconds))
}

fn time(seconds: i64) -> String {
    let now = OffsetDateTime::from(SystemTime::UNIX_EPOCH + Duration::from_secs(now()));
    (now - time::Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

const DAY: i64 = 86_400;

/// A key that waits, the one that seals, and one that is retired for long.
fn three() -> String {
    [line(-600, SECRET), line(DAY, SECOND), line(9 * DAY, THIRD)].join("\n")
}

/// CL2, SS12: a secret is nowhere but in the parameter.
fn hides_secrets(ran: &Ran, ssm: &Ssm) {
    let texts = ssm.state().versions.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    let secrets = texts.iter().flat_map(|text| text.split_whitespace()).filter(|word| word.len() >= 43);
    for secret in secrets {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
    }
}

fn ids(ssm: &Ssm) -> Vec<String> {
    ids_of(&ssm.text())
}

fn ids_of(text: &str) -> Vec<String> {
    lambda_session::keyring::Keyring::parse(text).unwrap().ids().collect()
}

/// SS13: init, rotate, promote, rollback, prune and revoke, each with one write, and each says what it does.
#[test]
fn a_ring_lives_through_every_command_with_one_write_each() {
    let (place, ssm) = (Place::new(), Ssm::empty());
    let run = |words: &str| {
        let ran = ssm.keys(&place, words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words}: {ran:?}");
        hides_secrets(&ran, &ssm);
        (ran.out, ssm.take("PutParameter").len())
    };
    let (out, puts) = run("init");
    assert_eq!(puts, 1);
    assert!(out.contains("written: version 1 of /shop/prod/session/keys\n"), "{out}");
    assert!(
        out.ends_with("functions with SESSION_KEYS_PARAMETER=/shop/prod/session/keys and no SECRET_KEY_BASE read it\n")
    );
    let first = ids(&ssm)[0].clone();

    let (out, puts) = run("rotate");
    assert_eq!(puts, 1);
    let second = ids(&ssm)[0].clone();
    assert!(out.starts_with(&format!("key {second} is new, and seals from ")) && out.contains("(in 15 min)"), "{out}");
    assert!(
        out.contains("nobody is logged out") && out.ends_with("written: version 2 of /shop/prod/session/keys\n"),
        "{out}"
    );

    let (out, puts) = run("promote");
    assert_eq!(puts, 1, "13 minutes after the write, not 15: {out}");
    let (out, puts) = run("promote --now");
    assert_eq!(puts, 1);
    assert!(out.contains("this hurts: for up to 6 min"), "{out}");
    assert!(run("list").0.contains(&format!("{second}  sealing")));

    let (out, puts) = run("rollback");
    assert_eq!(puts, 1);
    assert!(out.starts_with(&format!("key {first} seals again")), "{out}");

    let (out, puts) = run("prune");
    assert_eq!((out.as_str(), puts), ("no key has been retired for 12 h 13 min or longer: nothing to prune\n", 0));

    let (out, puts) = run(&format!("revoke {second} --yes"));
    assert_eq!(puts, 1);
    assert!(out.starts_with(&format!("key {second} leaves the ring\n")), "{out}");
    assert_eq!(ids(&ssm), [first.as_str()]);

    let (out, puts) = run(&format!("revoke {first} --yes"));
    assert_eq!((ids(&ssm).len(), puts), (1, 1));
    assert!(ids(&ssm)[0] != first && out.contains("since a ring is never empty"), "{out}");
}

#[test]
fn a_list_shows_states_and_never_a_value() {
    let (place, ssm) = (Place::new(), Ssm::holding(format!("# the shop's\n{}", three()), 60));
    let ran = ssm.keys(&place, "list");
    let head = "key   state     seals from            age\n";
    let (waits, seals, retired) = (time(-600), time(DAY), time(9 * DAY));
    let rest = ran.out.strip_prefix(head).unwrap();
    let lines: Vec<_> = rest.lines().collect();
    assert!(lines[0].starts_with(&format!("a277  accepted  {}", &waits[..14])), "{lines:?}");
    assert!(lines[0].contains("  in 9 min") || lines[0].ends_with("  in 10 min"), "{lines:?}");
    assert!(
        lines[1].starts_with(&format!("50b2  sealing   {}", &seals[..14])) && lines[1].contains("  1 d"),
        "{lines:?}"
    );
    assert!(
        lines[2].starts_with(&format!("c1fa  retired   {}", &retired[..14])) && lines[2].contains("  9 d"),
        "{lines:?}"
    );
    assert_eq!((ran.code, ran.err.as_str(), lines.len()), (0, "", 3));
    hides_secrets(&ran, &ssm);

    let ran = ssm.keys(&place, "list --json");
    hides_secrets(&ran, &ssm);
    let [object] = ran.json().try_into().unwrap();
    assert_eq!((&object["parameter"], &object["version"]), (&json!(NAME), &json!(1)));
    let states: Vec<_> = object["keys"].as_array().unwrap().iter().map(|key| (&key["id"], &key["state"])).collect();
    let expected = [("a277", "accepted"), ("50b2", "sealing"), ("c1fa", "retired")].map(|(a, b)| (json!(a), json!(b)));
    assert_eq!(states, expected.iter().map(|(id, state)| (id, state)).collect::<Vec<_>>());
    assert_eq!(object["keys"][0]["age_seconds"], json!(null));
    assert!(object["keys"][1]["age_seconds"].as_i64().unwrap() >= DAY);

    let bare = Ssm::holding(SECRET, 60);
    assert_eq!(bare.keys(&place, "list").out, format!("{head}a277  sealing   always                unknown\n"));
    assert_eq!(ssm.take("PutParameter").len(), 0);
}

/// A bare secret becomes lines, comments and order stay.
#[test]
fn a_rotation_keeps_what_is_there() {
    let place = Place::new();
    let bare = Ssm::holding(SECRET, 9000);
    assert_eq!(bare.keys(&place, "rotate --in 30m").code, 0);
    assert!(bare.text().ends_with(&format!("\nv1 1970-01-01T00:00:00Z {SECRET}")) && bare.text().lines().count() == 2);
    let text = format!("# the shop's\n\n{}\n# of last year\n{}", line(DAY, SECOND), line(9 * DAY, THIRD));
    let ring = Ssm::holding(text.clone(), 9000);
    assert_eq!(ring.keys(&place, "rotate").code, 0);
    assert_eq!(ring.text().split_once('\n').unwrap().1, text);
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let place = Place::new();
    place.write(".env", format!("SECRET_KEY_BASE={SECRET}\n"));
    for words in ["init", "import", "rotate", "rotate --now", "promote --now", "rollback", "prune", "revoke 50b2"] {
        let creates = ["init", "import"].contains(&words);
        let ssm = || if creates { Ssm::empty() } else { Ssm::holding(three(), 60) };
        let (dry, wet) = (ssm(), ssm());
        let ran = dry.keys(&place, &format!("{words} --dry-run"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words}");
        assert_eq!(dry.take("PutParameter").len(), 0, "{words}");
        let (effects, rest) = ran.out.split_once("dry run: ").unwrap();
        assert_eq!(rest, "nothing is written\n");
        let yes = if words.starts_with("revoke") { " --yes" } else { "" };
        let done = wet.keys(&place, &format!("{words}{yes}"));
        let (said, _) = done.out.split_once("written: version ").unwrap();
        assert_eq!(comparable(said), comparable(effects), "{words}");
        assert_eq!(wet.take("PutParameter").len(), 1, "{words}");
    }
}

/// What two runs say alike: without the ids of keys that each makes for itself, and the time that passes between them.
fn comparable(text: &str) -> String {
    let known = ["a277", "50b2", "c1fa"];
    let is_id = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let made = |word: &str| is_id(word) && !known.contains(&word);
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match bare {
            _ if made(bare) => word.replace(bare, "KID"),
            _ if OffsetDateTime::parse(bare, &Rfc3339).is_ok() => word.replace(bare, "TIME"),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| {
        let spans = line.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
        let text = spans.collect::<Vec<_>>().concat();
        text.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

/// A PutParameter that leaves them out would fall back to the account's default key, tier and no description.
#[test]
fn a_write_keeps_key_tier_and_description() {
    let place = Place::new();
    let ssm = Ssm::holding(three(), 60);
    for (words, key) in [("rotate", "arn:aws:kms:eu-west-1:1:key/2"), ("rotate --kms-key alias/ours", "alias/ours")] {
        assert_eq!(ssm.keys(&place, words).code, 0);
        let mut put = ssm.take("PutParameter").remove(0);
        put["Value"] = json!(null);
        let expected = json!({
            "Name": NAME, "Value": null, "Type": "SecureString", "Overwrite": true, "KeyId": key, "Tier": "Standard",
            "Description": "ours", "AllowedPattern": "(?s)v1 .*",
        });
        assert_eq!(put, expected, "{words}");
    }
    let ssm = Ssm::empty();
    assert_eq!(ssm.keys(&place, "init --kms-key alias/ours").code, 0);
    let put = ssm.take("PutParameter").remove(0);
    assert_eq!((&put["KeyId"], &put["Overwrite"], &put["Tier"]), (&json!("alias/ours"), &json!(false), &json!(null)));
}

/// SSM has no compare-and-set: who writes over somebody else is told, and what is lost.
#[test]
fn a_write_that_was_not_alone_is_told() {
    let place = Place::new();
    let ssm = Ssm::holding(three(), 60);
    ssm.state().before_ours = Some(format!("{}\n{}", line(-900, &SECRET.replace("00", "0a")), three()));
    let ran = ssm.keys(&place, "rotate");
    assert_eq!(ran.code, 1);
    assert!(!ran.out.contains("written"), "{ran:?}");
    let told = "lambda-session: somebody wrote version 2 of /shop/prod/session/keys meanwhile, and ours, version 3, \
                overwrote that; keys ";
    assert!(
        ran.err.starts_with(told) && ran.err.contains(" of version 2 are in the ring no more: compare with `"),
        "{ran:?}"
    );
    hides_secrets(&ran, &ssm);
    // What it says to compare with can be compared with.
    let (_, rest) = ran.err.split_once("compare with `lambda-session keys ").unwrap();
    let looked = ssm.keys(&place, rest.split_once('`').unwrap().0);
    assert_eq!((looked.code, looked.out.lines().count()), (0, 5), "{looked:?}");
    assert_eq!(ssm.keys(&place, &format!("list --parameter {NAME}:9")).code, 3);

    let ssm = Ssm::holding(three(), 60);
    ssm.state().after_ours = Some(three());
    let ran = ssm.keys(&place, "rotate");
    let told = format!(
        "lambda-session: somebody wrote version 3 of /shop/prod/session/keys right after ours, version 2; keys {} of version \
         2 are in the ring no more: look at what is there with `lambda-session keys list`, and run again what is missing\n",
        ids_of(&ssm.state().versions[1].0)[0]
    );
    assert_eq!((ran.code, ran.err), (1, told));
}

/// A leaked key that one operator revokes while another rotates is good again: whoever of the two can see it is told.
#[test]
fn a_revoked_key_that_comes_back_is_told() {
    let (place, without) = (Place::new(), [line(-600, SECRET), line(9 * DAY, THIRD)].join("\n"));
    let ssm = Ssm::holding(three(), 60);
    ssm.state().before_ours = Some(without);
    let ran = ssm.keys(&place, "rotate");
    let told = "lambda-session: somebody wrote version 2 of /shop/prod/session/keys meanwhile, and ours, version 3, overwrote \
                that; keys 50b2, which version 2 had dropped, are back and open sessions: revoke them again: ";
    assert!(ran.code == 1 && ran.err.starts_with(told), "{ran:?}");

    let ssm = Ssm::holding(three(), 60);
    ssm.state().after_ours = Some(three());
    let ran = ssm.keys(&place, "revoke 50b2 --yes");
    let told = "lambda-session: somebody wrote version 3 of /shop/prod/session/keys right after ours, version 2; keys 50b2, \
                which version 2 had dropped, are back and open sessions: revoke them again";
    assert!(ran.code == 1 && ran.err.starts_with(told), "{ran:?}");
}

/// What is written is not called a failure to write.
#[test]
fn a_write_that_cannot_be_read_back_is_told() {
    let (place, ssm) = (Place::new(), Ssm::holding(three(), 60));
    ssm.state().refused_after_ours = Some(("GetParameter ThrottlingException", ""));
    let ran = ssm.keys(&place, "rotate");
    let told = "lambda-session: version 2 of /shop/prod/session/keys is written; whether somebody wrote after it is not known: \
                cannot read parameter /shop/prod/session/keys: SSM answers ThrottlingException\n";
    assert_eq!((ran.code, ran.err.as_str(), ids(&ssm).len()), (3, told, 4));
}

/// CL4: a reader who has seen enough is no reason to panic, and no rotation is called done that is not.
#[test]
fn a_closed_pipe_writes_nothing() {
    let (place, ssm) = (Place::new(), Ssm::holding(three(), 60));
    for (words, code) in [("list", 0), ("prune --older-than 300d", 0), ("rotate --dry-run", 0), ("rotate", 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(&["keys"]);
        command.args(words.split_whitespace()).envs(ssm.variables()).stdout(writer).stderr(Stdio::piped());
        let ran = Ran::of(command.output().unwrap());
        assert_eq!((ran.code, ran.err.lines().count()), (code, usize::try_from(code).unwrap()), "{words}: {ran:?}");
    }
    assert_eq!(ssm.take("PutParameter").len(), 0);
}

/// One line that names what is missing, and nothing of the service's message, which may repeat a value.
#[test]
fn what_may_not_be_done_is_said_in_one_line() {
    let place = Place::new();
    let at = "parameter /shop/prod/session/keys";
    let rows = [
        (
            "GetParameter AccessDeniedException",
            "rotate",
            format!("may not read {at}: the role needs ssm:GetParameter and kms:Decrypt on it and on its KMS key"),
        ),
        (
            "DescribeParameters AccessDeniedException",
            "rotate",
            "cannot see which KMS key encrypts /shop/prod/session/keys (AccessDeniedException), and a write without it would \
             fall back to the account's own: allow ssm:DescribeParameters, or give --kms-key"
                .into(),
        ),
        (
            "PutParameter AccessDeniedException",
            "rotate",
            format!(
                "may not write {at}: the role needs ssm:PutParameter, kms:Encrypt and kms:GenerateDataKey on it and on its \
                 KMS key"
            ),
        ),
        (
            "PutParameter ParameterPatternMismatchException",
            "rotate",
            format!(
                "cannot write {at}: SSM answers ParameterPatternMismatchException; the parameter's allowed pattern must let a \
                 ring pass, or be taken away"
            ),
        ),
        (
            "PutParameter InternalServerError",
            "rotate",
            format!(
                "cannot write {at}: SSM answers InternalServerError; it may have been written: `lambda-session keys list` \
                 shows it"
            ),
        ),
        (
            "PutParameter TooManyUpdates",
            "rotate",
            format!("cannot write {at}: SSM answers TooManyUpdates; somebody else writes it right now: run this again"),
        ),
        (
            "GetParameter InvalidKeyId",
            "list",
            format!(
                "cannot read {at}: SSM answers InvalidKeyId; enable the KMS key that encrypts it, or name another one with \
                 --kms-key"
            ),
        ),
        (
            "GetParameter ExpiredTokenException",
            "list",
            format!(
                "cannot read {at}: SSM answers ExpiredTokenException; the credentials are wrong or have expired: log in \
                 again, and see AWS_PROFILE"
            ),
        ),
        ("GetParameter ThrottlingException", "list", format!("cannot read {at}: SSM answers ThrottlingException")),
    ];
    for (refused, words, expected) in rows {
        let ssm = Ssm::holding(three(), 60);
        ssm.state().refused = Some((refused, "value 'v1 2026-11-22T18:00:00Z secretsecret' failed"));
        let ran = ssm.keys(&place, words);
        assert_eq!((ran.code, ran.err), (3, format!("lambda-session: {expected}\n")), "{refused}");
        assert_eq!(ssm.text(), three_of(&ssm), "{refused}: nothing is written");
    }
    let ssm = Ssm::holding(three(), 60);
    ssm.state().refused = Some(("DescribeParameters AccessDeniedException", ""));
    let ran = ssm.keys(&place, "rotate --kms-key alias/ours");
    let told = "its tier, description and allowed pattern cannot be seen (AccessDeniedException), and this write leaves them to \
                SSM: allow ssm:DescribeParameters to keep them\n";
    assert_eq!((ran.code, ran.err.as_str()), (0, told));
    let ssm = Ssm::holding(three(), 60);
    ssm.state().refused =
        Some(("GetParameter InvalidSignatureException", "Signature expired: 20261122T180000Z is now …"));
    let ran = ssm.keys(&place, "list");
    assert!(
        ran.err.ends_with("SSM answers InvalidSignatureException; this machine's clock is wrong: set it\n"),
        "{ran:?}"
    );
}

/// What SSM throttles for a moment is asked again; a write only where it was surely not carried out.
#[test]
fn what_may_pass_is_tried_again() {
    let place = Place::new();
    for (refused, words, code, puts) in [
        ("GetParameter ThrottlingException", "rotate", 0, 1),
        ("GetParameter InternalServerError", "rotate", 0, 1),
        ("DescribeParameters ThrottlingException", "rotate", 0, 1),
        ("PutParameter ThrottlingException", "rotate", 0, 3),
        ("PutParameter InternalServerError", "rotate", 3, 1),
    ] {
        let ssm = Ssm::holding(three(), 60);
        ssm.state().refused = Some((refused, ""));
        ssm.state().refusals = Some(2);
        let ran = ssm.keys(&place, words);
        assert_eq!((ran.code, ssm.take("PutParameter").len()), (code, puts), "{refused}: {ran:?}");
    }
}

/// The only version that there is.
fn three_of(ssm: &Ssm) -> String {
    assert_eq!(ssm.state().versions.len(), 1);
    ssm.text()
}

#[test]
fn what_the_ring_does_not_allow_is_refused() {
    let place = Place::new();
    let crowded = (1..=50).map(|day| line(i64::from(day) * DAY, SECRET)).collect::<Vec<_>>().join("\n");
    let rows = [
        (
            "",
            "rotate",
            3,
            "there is no parameter /shop/prod/session/keys in this region: `lambda-session keys init` makes it",
        ),
        (&three(), "init", 1, "parameter /shop/prod/session/keys is there already: `lambda-session keys list` shows"),
        (&line(1, SECRET), "promote", 1, "no key waits to seal: `lambda-session keys rotate` adds one"),
        (&line(1, SECRET), "rollback", 1, "no key sealed before the one that seals now"),
        (&line(1, SECRET), "revoke abcd --yes", 1, "there is no key abcd in the ring, only a277"),
        (&line(1, SECRET), "rotate --in 12m", 2, "--in 12 min is too soon"),
        (
            &crowded,
            "rotate",
            1,
            "the ring would have 4517 bytes, and the parameter holds 4096: `lambda-session keys prune`",
        ),
        ("v1 soon x", "list", 3, "parameter /shop/prod/session/keys, line 1: the time is none"),
    ];
    for (text, words, code, expected) in rows {
        let ssm = if text.is_empty() { Ssm::empty() } else { Ssm::holding(text, 60) };
        let ran = ssm.keys(&place, words);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{words}: {ran:?}");
        assert!(ran.err.starts_with(&format!("lambda-session: {expected}")), "{words}: {ran:?}");
        assert_eq!((ran.err.lines().count(), ssm.take("PutParameter").len()), (1, 0), "{words}: {ran:?}");
    }
    let ssm = Ssm::holding(three(), 60);
    ssm.state().kind = Some("String");
    let ran = ssm.keys(&place, "list");
    assert!(ran.code == 3 && ran.err.contains("is no SecureString"), "{ran:?}");
}

/// CL2, CL4: what is wrong with the words is said before anything goes over the wire, and no word is repeated that might
/// be a secret.
#[test]
fn usage_is_checked_first_and_repeats_no_secret() {
    let (place, ssm) = (Place::new(), Ssm::holding(three(), 60));
    let rows: [(&str, Variables<'_>, i32, &str); 8] = [
        ("list", &[("SESSION_KEYS_PARAMETER", "")], 2, "which parameter? give --parameter NAME"),
        ("list", &[("SESSION_KEYS_PARAMETER", "/a,/b")], 2, "keys works on one parameter, by its plain name"),
        ("rotate --parameter /a:3", &[], 2, "keys works on one parameter, by its plain name"),
        ("list", &[("AWS_REGION", "")], 3, "no region is set: set AWS_REGION"),
        ("revoke a277", &[], 2, "revoke asks before it ends sessions, and there is no terminal to ask on: give --yes"),
        ("import missing.env", &[], 2, "missing.env: No such file"),
        ("prune", &[("SESSION_ABSOLUTE", "soon")], 3, "SESSION_ABSOLUTE is \"soon\""),
        ("list QkVIS05RVFdaXWBjZmlsb3J1eHt-gYSHio2Qk5aZnJ8", &[], 2, "no secret and no token goes on a command line"),
    ];
    for (words, variables, code, expected) in rows {
        let mut command = place.command(&["keys"]);
        command.args(words.split_whitespace()).envs(ssm.variables()).envs(variables.iter().copied());
        let ran = Ran::of(command.output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{words}: {ran:?}");
        assert!(ran.err.starts_with(&format!("lambda-session: {expected}")), "{words}: {ran:?}");
        assert!(!ran.err.contains(SECOND), "{words}: {ran:?}");
    }
    assert!(ssm.state().calls.is_empty());
    let ran = ssm.keys(&place, &format!("revoke {SECOND} --yes"));
    assert!(ran.code == 2 && !ran.err.contains(SECOND), "{ran:?}");
    for command in ["list", "init", "rotate", "promote", "rollback", "prune", "revoke", "import"] {
        let ran = place.run(&["keys", command, "--help"]);
        assert!(ran.code == 0 && !ran.out.contains("SECRET>"), "{ran:?}");
    }
}

/// A job that prunes needs to know how long sessions live, and nothing else of the function.
#[test]
fn a_prune_reads_how_long_sessions_live_and_nothing_else() {
    let (place, ssm) = (Place::new(), Ssm::holding(three(), 60));
    for (variable, value, words, expected) in [
        ("SESSION_STORE", "nowhere", "prune --dry-run", "key c1fa, retired since"),
        ("SESSION_DOMAIN", "a b", "prune --dry-run --older-than 2h", "key c1fa, retired since"),
        ("SESSION_ABSOLUTE", "2d", "prune", "no key has been retired for 2 d or longer"),
        ("SESSION_EXPIRE_AFTER", "2d", "prune", "no key has been retired for 2 d or longer"),
    ] {
        let mut command = place.command(&["keys"]);
        command.args(words.split_whitespace()).envs(ssm.variables()).env(variable, value);
        let ran = Ran::of(command.output().unwrap());
        assert!(ran.code == 0 && ran.out.starts_with(expected), "{variable}: {ran:?}");
    }
}

/// They also stand in a `.env` file, as the functions' settings do; the process's environment wins.
#[test]
fn the_parameter_s_name_and_the_region_may_stand_in_a_file() {
    let (place, ssm) = (Place::new(), Ssm::holding(SECRET, 60));
    place.write(".env", format!("SESSION_KEYS_PARAMETER={NAME}\nAWS_REGION=eu-central-1\n"));
    for words in [["keys", "list"].as_slice(), &["doctor"]] {
        for (region, expected) in [(None, "eu-central-1"), (Some("eu-west-1"), "eu-west-1")] {
            let mut command = place.command(words);
            command.envs(ssm.variables()).env_remove("SESSION_KEYS_PARAMETER").env_remove("AWS_REGION");
            command.envs(region.map(|region| ("AWS_REGION", region)));
            let ran = Ran::of(command.output().unwrap());
            assert_eq!((ran.code, ssm.take_regions()), (0, vec![expected.to_owned()]), "{words:?}: {ran:?}");
        }
    }
}

/// Jets keeps its secret in a `.env` file: it moves into the parameter unseen, and old sessions go on.
#[test]
fn the_secrets_of_a_file_are_imported_unseen() {
    let (place, ssm) = (Place::new(), Ssm::empty());
    place.write("jets.env", format!("APP=shop\nSECRET_KEY_BASE={SECRET}\nSECRET_KEY_BASE_OLD={SECOND},{THIRD}\n"));
    let ran = ssm.keys(&place, "import jets.env");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    hides_secrets(&ran, &ssm);
    assert!(ran.out.starts_with(
        "key a277 is SECRET_KEY_BASE, and seals\nkey 50b2 is of SECRET_KEY_BASE_OLD, and opens\nkey c1fa is of SECRET_KEY_BASE_OLD"
    ));
    assert_eq!(ids(&ssm), ["a277", "50b2", "c1fa"]);
    assert_eq!(ssm.take("PutParameter").len(), 1);
    let ran = ssm.keys(&place, "import jets.env");
    assert!(ran.code == 1 && ran.err.contains("is there already"), "{ran:?}");
}

/// On a terminal `revoke` asks, and anything but yes is no.
#[test]
fn a_revoke_asks_on_a_terminal() {
    for (answer, code, puts) in [("y", 0, 1), ("n", 1, 0), ("", 1, 0)] {
        let (place, ssm) = (Place::new(), Ssm::holding(three(), 60));
        // Python's pty is a terminal for whoever has none.
        let script = "import os, pty, sys\n\
                      answer = sys.argv[1].encode() + b'\\n'\n\
                      def read(fd):\n    data = os.read(fd, 1024)\n    if b'go on?' in data: os.write(fd, answer)\n    return data\n\
                      sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[2:], read)))";
        let mut command = place.program("python3");
        command.args(["-c", script, answer, env!("CARGO_BIN_EXE_lambda-session"), "keys", "revoke", "50b2"]);
        let mut child = command.envs(ssm.variables()).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{answer:?}: {text}");
        assert!(text.contains("every session that it sealed is over"), "{text}");
        assert_eq!(ssm.take("PutParameter").len(), puts, "{answer:?}");
    }
}

/// The commands of docs/rotating-secrets.md run as they stand there, and its policy is one.
#[test]
fn the_documentation_s_commands_run() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rotating-secrets.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = |language: &str| {
        let parts = text.split("```").skip(1).step_by(2).map(str::to_owned);
        parts.filter_map(|part| part.strip_prefix(language).map(str::to_owned)).collect::<Vec<_>>()
    };
    let place = Place::new();
    place.write(".env", format!("SECRET_KEY_BASE={SECRET}\n"));
    let mut commands = 0;
    for block in blocks("sh\n") {
        // Each block stands for itself: another day, another ring.
        let ssm = if ["init", "import"].iter().any(|word| block.contains(word)) {
            Ssm::empty()
        } else {
            Ssm::holding(three(), 3600)
        };
        for line in block.lines() {
            let Some(words) = line.strip_prefix("lambda-session keys ") else {
                assert_eq!(line, format!("export SESSION_KEYS_PARAMETER={NAME}"));
                continue;
            };
            commands += 1;
            let ran = ssm.keys(&place, &words.replace("3f2a", "50b2"));
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
        }
    }
    assert_eq!(commands, 11);
    let [policy] = blocks("json\n").try_into().unwrap();
    let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    let wide: Vec<_> = policy["Statement"].as_array().unwrap().iter().filter(|one| one["Resource"] == "*").collect();
    assert_eq!(wide.iter().map(|one| &one["Action"]).collect::<Vec<_>>(), ["ssm:DescribeParameters"]);
}
