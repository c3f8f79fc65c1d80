use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn patched(baseline: &str, result: &str, target: &str) -> String {
    patched_from(baseline, baseline, result, target)
}

fn patched_from(loaded: &str, baseline: &str, result: &str, target: &str) -> String {
    let patch = Patch::between(baseline.into(), result.into(), loaded.as_bytes(), false).unwrap();
    match patch {
        Some(patch) => String::from_utf8(patch.apply(target.as_bytes()).unwrap()).unwrap(),
        None => "unchanged".into(),
    }
}

/// SL10: the three-way merge, a row for each way in which two requests meet.
#[test]
fn changes_to_different_keys_are_both_kept() {
    for (name, baseline, result, theirs, merged) in [
        ("nobody else", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":2}"#),
        ("another key", r#"{"a":1,"b":1}"#, r#"{"a":2,"b":1}"#, r#"{"a":1,"b":9}"#, r#"{"a":2,"b":9}"#),
        ("the same key: ours", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":9}"#, r#"{"a":2}"#),
        ("theirs is new", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1,"z":1}"#, r#"{"a":2,"z":1}"#),
        ("we removed", r#"{"a":1,"b":1}"#, r#"{"b":1}"#, r#"{"a":1,"b":9}"#, r#"{"b":9}"#),
        ("they removed", r#"{"a":1}"#, r#"{"a":1,"b":1}"#, r#"{}"#, r#"{"b":1}"#),
        (
            "unknown to the type",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"a":1,"u":12345678901234567890.25}"#,
            r#"{"a":2,"u":12345678901234567890.25}"#,
        ),
    ] {
        assert_eq!(patched(baseline, result, theirs), merged, "{name}");
    }
}

#[test]
fn a_default_of_the_type_never_overwrites_what_is_there() {
    for (name, theirs, merged) in [
        ("another request has set it", r#"{"count":1,"theme":"dark"}"#, r#"{"count":2,"theme":"dark"}"#),
        ("nobody has", r#"{"count":1}"#, r#"{"count":2,"theme":"light"}"#),
    ] {
        let (baseline, result) = (r#"{"count":1,"theme":"light"}"#, r#"{"count":2,"theme":"light"}"#);
        assert_eq!(patched_from(r#"{"count":1}"#, baseline, result, theirs), merged, "{name}");
    }
}

#[test]
fn the_order_of_a_map_is_no_change() {
    assert_eq!(patched(r#"{"m":{"a":1,"b":2}}"#, r#"{"m":{"b":2,"a":1}}"#, "{}"), "unchanged");
    assert_eq!(patched(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "{}"), "unchanged");
}

#[test]
fn data_that_did_not_fit_is_replaced_whole() {
    let patch = Patch::between(b"{}".into(), br#"{"a":1}"#.into(), br#"{"old":true}"#, true).unwrap().unwrap();
    assert_eq!(patch.apply(br#"{"old":true}"#).unwrap(), br#"{"a":1}"#);
}

/// Which of these are one value: an `f64` would take some of the numbers for each other.
#[test]
fn values_are_equal_by_their_text() {
    for (one, two, same) in [
        ("9007199254740993", "9007199254740992", false),
        ("18446744073709551617", "18446744073709551618", false),
        ("[18446744073709551651]", "[18446744073709551615]", false),
        ("1e400", "1e401", false),
        ("0.0", "-0.0", false),
        ("1", "1.0", false),
        (r#"{"a":{"x":1,"y":[{"p":1,"q":2}]}}"#, r#"{"a":{"y":[{"q":2,"p":1}],"x":1}}"#, true),
        (r#"{"a":{"x":18446744073709551651,"y":1}}"#, r#"{"a":{"y":1,"x":18446744073709551615}}"#, false),
        ("[1,2]", "[2,1]", false),
        ("[[1],[2]]", "[[1,2]]", false),
        (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#, false),
        (r#""ab""#, r#""ba""#, false),
        ("[]", "{}", false),
        ("null", "null", true),
    ] {
        let wrapped = |value: &str| format!(r#"{{"k":{value},"other":0}}"#);
        let merged = patched(&wrapped(one), &wrapped(two), r#"{"k":"theirs"}"#);
        let expected = match same {
            true => "unchanged".into(),
            false => format!(r#"{{"k":{two}}}"#),
        };
        assert_eq!(merged, expected, "{one} and {two}");
    }
}

/// SL10: the merge of one key, by a model: ours where we changed it, else theirs; a default of the type only where
/// there is nothing.
fn merged(stored: Option<&str>, baseline: Option<&str>, ours: Option<&str>, theirs: Option<&str>) -> Option<String> {
    let default = ours.filter(|_| stored.is_none());
    let merged = if baseline == ours { theirs.or(default) } else { ours };
    merged.map(Into::into)
}

proptest! {
    #[test]
    fn every_key_is_merged_as_if_it_were_the_only_one(rows in vec((KEY, value(), value(), value(), value()), 0..40)) {
        let rows: BTreeMap<String, [Option<&str>; 4]> =
            rows.into_iter().map(|(key, stored, known, ours, theirs)| (key, [stored, known, ours, theirs])).collect();
        let object = |place: usize| {
            let fields = rows.iter().filter_map(|(key, row)| row[place].map(|value| format!("\"{key}\":{value}")));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        };
        let [stored, baseline, ours, theirs] = [0, 1, 2, 3].map(object);
        let patch = Patch::between(baseline.clone().into(), ours.clone().into(), stored.as_bytes(), false).unwrap();
        prop_assert_eq!(patch.is_none(), baseline == ours);
        if let Some(patch) = patch.filter(|_| theirs != baseline) {
            let fields = rows.iter().filter_map(|(key, &[stored, known, ours, theirs])| {
                merged(stored, known, ours, theirs).map(|value| format!("\"{key}\":{value}"))
            });
            let expected = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
            prop_assert_eq!(String::from_utf8(patch.apply(theirs.as_bytes()).unwrap()).unwrap(), expected);
        }
    }
}

const KEY: &str = "[a-z]{1,2}";

/// A value, or none: few, so that they meet, and among them numbers that are one `f64`.
fn value() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("1"), Some("18446744073709551617"), Some("18446744073709551618"), Some("[\"x\"]")])
}

/// A field that has another name now: what was stored under the old one is the field, and nothing else goes.
#[test]
fn a_renamed_field_takes_nothing_else_with_it() {
    // A type with the fields `n` (once `o`, once `p`) and `count`, which decodes no object with two names of one field.
    let fits = |json: &[u8]| {
        let fields = fields(json).unwrap();
        let has = |key: &str| fields.iter().any(|(known, _)| known == key);
        [has("n"), has("o"), has("p")].into_iter().filter(|has| *has).count() == 1 && has("count")
    };
    for (name, stored, result, theirs, expected) in [
        ("nobody else", r#"{"count":1,"o":7}"#, r#"{"n":7,"count":2}"#, r#"{"count":1,"o":7}"#, r#"{"count":2,"n":7}"#),
        (
            "theirs is kept, also what the type does not know",
            r#"{"count":1,"o":7,"x":0}"#,
            r#"{"n":7,"count":2}"#,
            r#"{"count":1,"new":true,"o":7,"x":1}"#,
            r#"{"count":2,"n":7,"new":true,"x":1}"#,
        ),
        (
            "they changed it under its old name",
            r#"{"count":1,"o":7}"#,
            r#"{"n":7,"count":2}"#,
            r#"{"count":1,"o":8}"#,
            r#"{"count":2,"n":8}"#,
        ),
        (
            "we changed it, they too",
            r#"{"count":1,"o":7}"#,
            r#"{"n":9,"count":1}"#,
            r#"{"count":3,"o":8}"#,
            r#"{"count":3,"n":9}"#,
        ),
        (
            "they have renamed it already",
            r#"{"count":1,"p":7}"#,
            r#"{"n":7,"count":2}"#,
            r#"{"count":1,"new":true,"n":8}"#,
            r#"{"count":2,"n":8,"new":true}"#,
        ),
        (
            "a key that cannot stay and stands for nothing",
            r#"{"count":1,"n":7,"p":1,"x":0}"#,
            r#"{"n":7,"count":2}"#,
            r#"{"count":1,"n":8,"new":true,"p":1}"#,
            r#"{"count":2,"n":8,"new":true}"#,
        ),
        ("they took it out", r#"{"count":1,"o":7}"#, r#"{"n":7,"count":2}"#, r#"{"count":1}"#, r#"{"count":2}"#),
    ] {
        let baseline = r#"{"n":7,"count":1}"#;
        let patch = Patch::between(baseline.into(), result.into(), stored.as_bytes(), false).unwrap().unwrap();
        let patch = patch.fitting(stored.as_bytes(), fits).unwrap();
        assert_eq!(String::from_utf8(patch.apply(theirs.as_bytes()).unwrap()).unwrap(), expected, "{name}");
    }
}

#[test]
fn what_cannot_be_made_to_fit_is_replaced_whole() {
    let stored = br#"{"a":1,"old":true}"#;
    let patch = Patch::between(br#"{"a":1}"#.into(), br#"{"a":2}"#.into(), stored, false).unwrap().unwrap();
    let patch = patch.fitting(stored, |_| false).unwrap();
    assert_eq!(patch.apply(br#"{"old":false,"theirs":1}"#).unwrap(), br#"{"a":2}"#);
}

#[test]
fn sizes_name_the_largest_first() {
    assert_eq!(sizes(br#"{"a":1,"basket":[1,2,3]}"#), [("basket".to_owned(), 13), ("a".to_owned(), 2)]);
}
