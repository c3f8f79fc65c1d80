//! How cargo builds a program that lies in its target directory.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::output::{Failure, one_line};

/// A package with a program in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// The workspace's directory.
    pub(super) root: PathBuf,
    /// What cargo is asked to build the program.
    pub(super) arguments: Vec<String>,
}

/// Cargo itself, as its own child processes find it.
pub(super) fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The package that `built` was built from; `None` if it lies in no target directory of cargo's.
pub(super) fn package(built: &Path) -> Result<Option<Package>, Failure> {
    let manifest = |directory: &Path| Some(directory.join("Cargo.toml")).filter(|path| path.is_file());
    let Some(manifest) = built.ancestors().skip(2).find_map(manifest) else { return Ok(None) };
    let failed = |error: &str| {
        let error = one_line(error.trim());
        Failure::Environment(format!("cannot ask cargo how {} is built: {error}; say it with --build", built.display()))
    };
    let asked = Command::new(program())
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .stdin(Stdio::null())
        .output();
    let output = asked.map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let metadata = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error.to_string()))?;
    match read(&metadata, built) {
        Told::Package(package) => Ok(Some(package)),
        Told::NotCargos => Ok(None),
        Told::NoSuchProgram(name) => Err(failed(&format!("none of its packages here has a program called {name}"))),
    }
}

/// What cargo's metadata say of a program.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Package(Package),
    /// It lies elsewhere.
    NotCargos,
    NoSuchProgram(String),
}

fn read(metadata: &Value, built: &Path) -> Told {
    let path = |name: &str| metadata.get(name).and_then(Value::as_str).map(Path::new);
    let (Some(root), Some(target)) = (path("workspace_root"), path("target_directory")) else { return Told::NotCargos };
    let Ok(place) = built.strip_prefix(target) else { return Told::NotCargos };
    let parts: Vec<_> = place.iter().filter_map(|part| part.to_str()).collect();
    // target/[TRIPLE/]PROFILE/[examples/]NAME
    let (kind, places, name) = match parts.as_slice() {
        [places @ .., "examples", name] => ("example", places, *name),
        [places @ .., name] => ("bin", places, *name),
        [] => return Told::NotCargos,
    };
    let (triple, profile) = match places {
        [profile] => (None, *profile),
        [triple, profile] => (Some(*triple), *profile),
        _ => return Told::NoSuchProgram(name.to_owned()),
    };
    let Some((manifest, features)) = target_called(metadata, kind, name) else {
        return Told::NoSuchProgram(name.to_owned());
    };
    let mut arguments = vec!["build", "--manifest-path", manifest];
    arguments.extend([if kind == "bin" { "--bin" } else { "--example" }, name]);
    match profile {
        "debug" => {}
        "release" => arguments.push("--release"),
        profile => arguments.extend(["--profile", profile]),
    }
    arguments.extend(triple.iter().flat_map(|triple| ["--target", triple]));
    let features = features.join(",");
    if !features.is_empty() {
        arguments.extend(["--features", &features]);
    }
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    Told::Package(Package { root: root.to_owned(), arguments })
}

/// The manifest of the package that has it, and the features that it cannot be built without.
fn target_called<'a>(metadata: &'a Value, kind: &str, name: &str) -> Option<(&'a str, Vec<&'a str>)> {
    list(metadata, "packages").find_map(|package| {
        let is_it = |target: &&Value| {
            target.get("name").and_then(Value::as_str) == Some(name) && list(target, "kind").any(|own| own == kind)
        };
        let target = list(package, "targets").find(is_it)?;
        let features = list(target, "required-features").filter_map(Value::as_str).collect();
        Some((package.get("manifest_path")?.as_str()?, features))
    })
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The files that cargo's list of a program's dependencies names: `program: file file`, blanks in names after a backslash.
pub(super) fn dependencies(list: &str) -> Vec<PathBuf> {
    let Some((_, files)) = list.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    let blank = "\u{0}";
    let files = files.replace("\\ ", blank);
    files.split(' ').filter(|file| !file.is_empty()).map(|file| file.replace(blank, " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cargo_is_asked_for_the_program_as_it_was_built() {
        let metadata = json!({
            "workspace_root": "/ws", "target_directory": "/ws/target",
            "packages": [
                {"manifest_path": "/ws/a/Cargo.toml", "targets": [
                    {"kind": ["lib"], "name": "shop"}, {"kind": ["test"], "name": "shop"},
                ]},
                {"manifest_path": "/ws/b/Cargo.toml", "targets": [
                    {"kind": ["bin"], "name": "shop"},
                    {"kind": ["bin"], "name": "tool", "required-features": ["cli", "ssm"]},
                    {"kind": ["example"], "name": "small"},
                ]},
            ],
        });
        let rows = [
            ("debug/shop", Some("--bin shop")),
            ("release/shop", Some("--bin shop --release")),
            ("quick/shop", Some("--bin shop --profile quick")),
            ("aarch64-unknown-linux-gnu/release/shop", Some("--bin shop --release --target aarch64-unknown-linux-gnu")),
            ("debug/tool", Some("--bin tool --features cli,ssm")),
            ("debug/examples/small", Some("--example small")),
            ("debug/other", None),
            ("debug/small", None),
            ("a/b/c/shop", None),
            ("shop", None),
        ];
        for (built, expected) in rows {
            let name = built.rsplit('/').next().unwrap().to_owned();
            let expected = expected.map_or(Told::NoSuchProgram(name), |rest| {
                let arguments = format!("build --manifest-path /ws/b/Cargo.toml {rest}");
                Told::Package(Package {
                    root: "/ws".into(),
                    arguments: arguments.split(' ').map(str::to_owned).collect(),
                })
            });
            assert_eq!(read(&metadata, &Path::new("/ws/target").join(built)), expected, "{built}");
        }
        assert_eq!(read(&metadata, Path::new("/elsewhere/debug/shop")), Told::NotCargos);
        assert_eq!(read(&json!({}), Path::new("/ws/target/debug/shop")), Told::NotCargos);
    }

    #[test]
    fn cargos_list_of_files_is_read() {
        let rows: [(&str, &[&str]); 4] = [
            ("/t/shop: /s/main.rs /s/page\\ one.html\n\n/s/main.rs:\n", &["/s/main.rs", "/s/page one.html"]),
            ("/t/shop:\n", &[]),
            ("", &[]),
            ("nonsense", &[]),
        ];
        for (list, expected) in rows {
            assert_eq!(dependencies(list), expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{list:?}");
        }
    }
}
