//! What each command makes of a ring, by table.

use super::*;

/// Secrets, one a key.
const SECRETS: [&str; 4] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "QkVIS05RVFdaXWBjZmlsb3J1eHt-gYSHio2Qk5aZnJ8",
    "ODEqIxwVDgcA-fLr5N3Wz8jBurOspZ6XkImCe3RtZl8",
    "BwYFBAMCAQAPDg0MCwoJCBcWFRQTEhEQHx4dHBsaGRg",
];

const START: u64 = 1_795_370_400;

/// Minutes after 2026-11-22T18:00:00Z.
fn at(minutes: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START) + Duration::from_secs(minutes * 60)
}

fn before(minutes: u64) -> SystemTime {
    at(0) - Duration::from_secs(minutes * 60)
}

fn facts(written: SystemTime) -> Facts {
    Facts { now: at(0), written, limit_bytes: 4096 }
}

/// Keys by the time from which on they seal, with the first secret first.
fn ring(times: &[SystemTime]) -> Ring {
    Ring::of(times.iter().copied().zip(SECRETS)).unwrap()
}

fn ids(ring: &Ring) -> Vec<String> {
    ring.keys().map(|key| key.id.clone()).collect()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// The plan as text: one `id time` a key, then the effects.
fn shown(plan: Result<Plan, Refusal>) -> String {
    match plan {
        Ok(Plan::Write { ring, effects }) => {
            let keys = ring.keys().map(|key| format!("{} {}\n", key.id, written(key.not_before)));
            keys.collect::<String>() + &effects.join("\n")
        }
        Ok(Plan::Nothing(why)) => format!("nothing: {why}"),
        Err(Refusal::Usage(why)) => format!("usage: {why}"),
        Err(Refusal::Ring(why)) => format!("refused: {why}"),
    }
}

fn hurts(plan: Result<Plan, Refusal>) -> bool {
    shown(plan).contains(HURTS)
}

#[test]
fn a_rotation_is_a_key_that_everybody_knows_before_it_seals() {
    let ring = ring(&[before(100)]);
    assert_eq!(
        shown(rotate(&ring, facts(before(100)), None, Haste::Safe, SECRETS[1])),
        "50b2 2026-11-22T18:15:00Z\n\
         a277 2026-11-22T16:20:00Z\n\
         key 50b2 is new, and seals from 2026-11-22T18:15:00Z (in 15 min)\n\
         nobody is logged out: every environment knows 50b2 by then, and what a277 sealed stays good and is sealed by 50b2 \
         on its next visit\n\
         what seals: a277 now, 50b2 from 2026-11-22T18:15:00Z (in 15 min)"
    );
}

/// 13 minutes: two refreshes of 300 s and a fifth, and a minute of skew.
#[test]
fn a_rotation_sooner_than_13_minutes_is_refused_unless_it_says_now() {
    let ring = ring(&[before(100)]);
    let lead = |time, haste| rotate(&ring, facts(before(100)), Some(time), haste, SECRETS[1]);
    assert_eq!(SAFE_AFTER, Duration::from_secs_f64(2.0 * 300.0 * 1.2 + 60.0));
    assert_eq!(
        shown(lead(minutes(13) - Duration::from_secs(1), Haste::Safe)),
        "usage: --in 12 min 59 s is too soon: environments learn of a new key within 6 min, clocks differ by 1 min; give 13m \
         or more, or --now as well and read whom it hurts"
    );
    assert!(!hurts(lead(minutes(13), Haste::Safe)));
    assert!(hurts(lead(minutes(5), Haste::Now)));
    assert!(!hurts(lead(minutes(13), Haste::Now)));
    let at_once = rotate(&ring, facts(before(100)), None, Haste::Now, SECRETS[1]);
    assert!(shown(at_once).contains("what seals: 50b2 now"));
}

#[test]
fn a_key_is_promoted_to_13_minutes_after_the_last_write() {
    let two = ring(&[at(60), before(100)]);
    assert_eq!(
        shown(promote(&two, facts(before(10)), Haste::Safe)),
        "a277 2026-11-22T18:03:00Z\n\
         50b2 2026-11-22T16:20:00Z\n\
         key a277 seals from 2026-11-22T18:03:00Z (in 3 min), and not from 2026-11-22T19:00:00Z only\n\
         nobody is logged out: every environment knows a277 by then\n\
         what seals: 50b2 now, a277 from 2026-11-22T18:03:00Z (in 3 min)"
    );
    let rows = [
        ("long after", before(60), Haste::Safe, "what seals: a277 now", false),
        ("at once", before(10), Haste::Now, "what seals: a277 now", true),
        ("at once, long after", before(60), Haste::Now, "what seals: a277 now", false),
    ];
    for (name, written, haste, end, hurting) in rows {
        let text = shown(promote(&two, facts(written), haste));
        assert!(text.ends_with(end) && text.contains(HURTS) == hurting, "{name}: {text}");
    }
    assert_eq!(
        shown(promote(&ring(&[at(5), before(100)]), facts(before(1)), Haste::Safe)),
        "nothing: key a277 seals from 2026-11-22T18:05:00Z (in 5 min) already: sooner would be less than 13 min after the \
         last write, 2026-11-22T17:59:00Z (1 min ago)"
    );
    assert_eq!(
        shown(promote(&ring(&[before(1)]), facts(before(1)), Haste::Safe)),
        "refused: no key waits to seal: `lambda-session keys rotate` adds one"
    );
    let next = shown(promote(&ring(&[at(90), at(60), before(100)]), facts(before(60)), Haste::Safe));
    assert!(next.contains("what seals: 50b2 now, a277 from 2026-11-22T19:30:00Z (in 1 h 30 min)"), "{next}");
}

#[test]
fn a_rollback_keeps_every_key_and_seals_with_the_one_before() {
    let three = ring(&[before(10), before(100), before(200)]);
    assert_eq!(
        shown(rollback(&three, facts(before(25)))),
        "a277 2026-11-22T17:50:00Z\n\
         50b2 2026-11-22T18:00:00Z\n\
         c1fa 2026-11-22T14:40:00Z\n\
         key 50b2 seals again from 2026-11-22T18:00:00Z (now); key a277 seals no more, and stays accepted\n\
         nobody is logged out: what a277 sealed stays good, and is sealed by 50b2 on its next visit\n\
         what seals: 50b2 now"
    );
    let Ok(Plan::Write { ring: back, .. }) = rollback(&three, facts(before(25))) else { panic!() };
    let again = Facts { now: at(4), ..facts(at(0)) };
    assert!(shown(rollback(&back, again)).ends_with("what seals: a277 now"), "a second one undoes the first");
    let hurried = shown(rollback(&ring(&[before(1), before(2)]), facts(before(1))));
    assert!(hurried.ends_with("what seals: a277 now, 50b2 from 2026-11-22T18:11:00Z (in 11 min)"), "{hurried}");
    assert_eq!(
        shown(rollback(&ring(&[at(5), before(100)]), facts(before(10)))),
        "refused: no key sealed before the one that seals now: there is nothing to go back to"
    );
}

#[test]
fn pruning_spares_what_a_session_may_need() {
    let day = minutes(24 * 60);
    let pruned = |retired: u64, older_than, lives| {
        prune(&ring(&[at(5), before(retired), before(5000), before(6000)]), facts(before(10)), older_than, lives)
    };
    assert_eq!(
        shown(pruned(24 * 60 + 13, day, day)),
        "a277 2026-11-22T18:05:00Z\n\
         50b2 2026-11-21T17:47:00Z\n\
         key c1fa, retired since 2026-11-21T17:47:00Z (1 d ago), leaves the ring\n\
         key 9905, retired since 2026-11-19T06:40:00Z (3 d 11 h ago), leaves the ring\n\
         nobody is logged out: no session that lives 1 d or less is sealed by them any more\n\
         what seals: 50b2 now, a277 from 2026-11-22T18:05:00Z (in 5 min)"
    );
    assert!(
        shown(pruned(24 * 60 + 12, day, day)).starts_with("a277 2026-11-22T18:05:00Z\n50b2 2026-11-21T17:48:00Z\nc1fa")
    );
    assert!(hurts(pruned(100, minutes(60), day)));
    assert_eq!(
        shown(prune(&ring(&[before(9000)]), facts(before(9000)), minutes(1), minutes(1))),
        "nothing: no key has been retired for 14 min or longer: nothing to prune"
    );
}

#[test]
fn a_revoked_key_is_gone_and_the_ring_never_empty() {
    let three = ring(&[at(15), before(100), before(200)]);
    let row = |ring: &Ring, kid: &str| shown(revoke(ring, facts(before(1)), kid, SECRETS[3]));
    assert_eq!(ids(&three), ["a277", "50b2", "c1fa"]);
    assert_eq!(
        row(&three, "50B2"),
        "a277 2026-11-22T18:15:00Z\n\
         c1fa 2026-11-22T14:40:00Z\n\
         key 50b2 leaves the ring\n\
         every session that it sealed is over, within 6 min wherever SSM answers: these people log in again\n\
         what seals: c1fa now, a277 from 2026-11-22T18:15:00Z (in 15 min)"
    );
    assert!(row(&three, "a277").contains("nobody is logged out: it has not sealed yet\nwhat seals: 50b2 now"));
    assert!(row(&three, "c1fa").contains("not visited since it retired are over, within 6 min"));
    let only = row(&ring(&[before(100)]), "a277");
    assert!(only.contains("key 9905 is new, since a ring is never empty") && only.contains(HURTS), "{only}");
    assert!(only.starts_with("9905 2026-11-22T18:00:00Z\nkey a277 leaves"), "{only}");
    let waiting = row(&ring(&[at(15), before(100)]), "50b2");
    assert!(waiting.contains(HURTS) && waiting.ends_with("what seals: a277 now"), "{waiting}");
    assert_eq!(row(&three, "abcd"), "refused: there is no key abcd in the ring, only a277, 50b2, c1fa");
    for kid in ["", "a27", "a2777", "g277", SECRETS[0]] {
        assert_eq!(
            row(&three, kid),
            "usage: a key id has four hex digits, as `lambda-session keys list` shows them",
            "and what was given is not repeated"
        );
    }
}

/// Found by the model: a key that was added to such a ring sealed at once, where it was known.
#[test]
fn a_ring_whose_times_all_lie_ahead_keeps_the_key_that_seals() {
    let rotated = shown(rotate(&ring(&[at(20), at(30)]), facts(before(1)), None, Haste::Safe, SECRETS[2]));
    assert!(
        rotated.ends_with(
            "what seals: a277 now, c1fa from 2026-11-22T18:15:00Z (in 15 min), 50b2 from 2026-11-22T18:30:00Z (in 30 min)"
        ),
        "{rotated}"
    );
}

#[test]
fn a_ring_that_the_parameter_does_not_hold_is_refused() {
    let tight = Facts { limit_bytes: 130, ..facts(before(100)) };
    assert_eq!(
        shown(rotate(&ring(&[before(100)]), tight, None, Haste::Safe, SECRETS[1])),
        "refused: the ring would have 135 bytes, and the parameter holds 130: `lambda-session keys prune` drops keys that \
         nobody needs"
    );
}

#[test]
fn the_first_ring_is_fresh_or_takes_the_environment_s_secrets_along() {
    assert!(shown(init(facts(at(0)), SECRETS[0])).starts_with("a277 2026-11-22T18:00:00Z\nkey a277 is the first"));
    let taken = shown(import(facts(at(0)), SECRETS[0], &SECRETS[1..2]));
    assert!(
        taken.starts_with(
            "a277 2026-11-22T18:00:00Z\n50b2 1970-01-01T00:00:00Z\nkey a277 is SECRET_KEY_BASE, and seals"
        )
    );
    assert_eq!(
        shown(import(facts(at(0)), "hunter2", &[])),
        "refused: line 1: the secret is too short: 43 characters of base64url or 64 hex digits are the least"
    );
}
