//! `serve --watch`: what is saved is served.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failures::{all_gone, processes};
use crate::serving::{Heard, Serving};
use crate::support::{Place, python};

/// Cargo stands for `cp` here: what does not say `broken` compiles.
const BUILD: &str = "\
echo compiling
[ ! -e ../waits ] || { echo $$ >../builds; while [ -e ../waits ]; do sleep 0.01; done; }
if grep -q broken function.py; then echo 'error: it is broken' >&2; exit 1; fi
cp function.py new && chmod +x new && mv new bootstrap
";

/// A project with a function that says which version it is.
struct Project {
    serving: Serving,
}

impl Project {
    /// Served with `options`; built already, if they say nothing of a build.
    fn served(options: &[&str]) -> Self {
        let place = Place::new();
        let project = place.path("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("build.sh"), BUILD).unwrap();
        write(&project, "function.py", "first");
        if !options.contains(&"--build") {
            build(&project);
        }
        let mut arguments = vec!["serve", "--port", "0", "--bootstrap", "bootstrap", "--watch"];
        arguments.extend(options);
        let mut command = place.command(&arguments);
        command.current_dir(&project);
        Self { serving: Serving::started(place, command) }
    }

    fn built() -> Self {
        Self::served(&["--build", "sh build.sh"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.serving.place.path("project").join(name)
    }

    fn save(&self, version: &str) {
        write(&self.path(""), "function.py", version);
    }

    /// The very next answer is that of this version.
    fn expect(&self, version: &str) {
        assert_eq!(self.serving.get("/version").text(), version, "{}", self.serving.log());
    }
}

fn write(project: &Path, name: &str, version: &str) {
    let text = fs::read_to_string(python()).unwrap();
    let text = text.replace("no such deed", version);
    // As editors do: never half a file.
    fs::write(project.join(".saving"), text).unwrap();
    fs::rename(project.join(".saving"), project.join(name)).unwrap();
}

fn build(project: &Path) {
    fs::copy(project.join("function.py"), project.join(".new")).unwrap();
    fs::set_permissions(project.join(".new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(project.join(".new"), project.join("bootstrap")).unwrap();
}

#[test]
fn what_is_saved_is_built_and_served_within_two_seconds_of_the_build() {
    let project = Project::built();
    assert_eq!(project.serving.get("/version").text(), "first", "the first request waits for the first build");
    for version in ["second", "third"] {
        project.save(version);
        project.expect(version);
        let built = fs::metadata(project.path("bootstrap")).unwrap().modified().unwrap();
        let waited = built.elapsed().unwrap();
        assert!(waited < Duration::from_secs(2), "{waited:?}");
    }
    let log = project.serving.log();
    assert!(log.contains("watch | function.py changed; building: sh build.sh\ncompiling\nwatch | built in "), "{log}");
    assert_eq!(log.matches("compiling").count(), 3, "a build for each version and none besides: {log}");
}

#[test]
fn after_a_build_that_failed_the_function_before_it_answers() {
    let project = Project::built();
    project.expect("first");
    project.save("broken");
    let log = project.serving.wait_for("the function before it goes on answering");
    assert!(
        log.contains("error: it is broken\nwatch | the build failed after ") && log.contains("(exit status: 1)"),
        "{log}"
    );
    assert_eq!(project.serving.get("/version").text(), "first");
    let page = project.serving.get("/_session");
    assert!(page.text().contains("The last build failed, the function before it answers."), "{page:?}");
    project.save("mended");
    project.expect("mended");
    assert!(!project.serving.get("/_session").text().contains("build"), "it is forgotten");
}

#[test]
fn without_a_function_yet_a_failed_build_says_so_and_a_request_why() {
    let place = Place::new();
    let command = place.command(&["serve", "--port", "0", "--bootstrap", "none", "--watch", "--build", "exit 3"]);
    let serving = Serving::started(place, command);
    assert_eq!(serving.get("/").status, 500);
    let log = serving.wait_for("none: No such file or directory");
    assert!(log.contains("(exit status: 3); there is no function yet"), "{log}");
    // The log itself lies among the sources here, and is none.
    serving.place.write("source", "");
    serving.wait_for("watch | source changed; building");
}

#[test]
fn a_request_waits_for_a_build_and_gets_the_new_function() {
    let project = Project::built();
    project.expect("first");
    let waits = project.serving.place.write("waits", "");
    project.save("second");
    project.serving.wait_for("function.py changed");
    let mut stream = project.serving.connect();
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let early = stream.peek(&mut [0]);
    assert!(early.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)));
    assert!(
        project.serving.get("/_session").text().contains("The function is being built"),
        "a page waits for nothing"
    );
    fs::remove_file(waits).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(Heard::read(&mut stream).text(), "second");
}

#[test]
fn a_save_during_a_build_is_built_too() {
    let project = Project::built();
    project.expect("first");
    let waits = project.serving.place.write("waits", "");
    project.save("second");
    while !project.serving.place.path("builds").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    project.save("third");
    fs::remove_file(waits).unwrap();
    assert_eq!(project.serving.get("/version").text(), "third", "{}", project.serving.log());
    project.serving.wait_for("the sources changed meanwhile; building again");
}

/// Nobody's request is cut off by a save.
#[test]
fn a_request_at_work_is_answered_by_the_function_that_took_it() {
    let project = Project::built();
    project.expect("first");
    let release = project.serving.place.path("release");
    let mut stream = project.serving.connect();
    let body = release.to_str().unwrap();
    let head = "POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length";
    write!(stream, "{head}: {}\r\n\r\n{body}", body.len()).unwrap();
    project.serving.wait_for("waiting for a file");
    project.save("second");
    project.expect("second");
    fs::write(&release, "").unwrap();
    assert_eq!(Heard::read(&mut stream).text(), "first");
    assert_eq!(project.serving.get("/version").text(), "second");
}

/// Where nothing is to be built: a script, or a program that somebody else builds.
#[test]
fn a_program_that_changed_by_itself_is_taken() {
    let project = Project::served(&[]);
    assert_eq!(project.serving.get("/version").text(), "first");
    project.save("second");
    project.expect("first");
    project.serving.wait_for("watch | function.py changed; requests go to the function anew");
    build(&project.path(""));
    project.expect("second");
    project.serving.wait_for("watch | bootstrap changed; requests go to the function anew");
}

#[test]
fn changed_settings_reach_the_function() {
    let project = Project::served(&[]);
    let shown = || project.serving.get("/environment").json()["GREETING"].clone();
    assert_eq!(shown(), serde_json::Value::Null);
    fs::write(project.path(".env"), "GREETING=hello\n").unwrap();
    assert_eq!(shown(), "hello");
    project.serving.wait_for("watch | .env changed");
    fs::write(project.path(".env"), "GREETING='hello\n").unwrap();
    project.serving.wait_for(".env, line 1, is no assignment");
    assert_eq!(shown(), "hello", "settings that cannot be read change nothing: {}", project.serving.log());
    fs::remove_file(project.path(".env")).unwrap();
    assert_eq!(shown(), serde_json::Value::Null);
}

/// The main case: a package of cargo's, by its own cargo, asked for nothing.
#[test]
fn a_package_of_cargo_is_built_by_cargo() {
    let place = Place::new();
    let project = place.path("project");
    fs::create_dir_all(project.join("src")).unwrap();
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    let main = r#"
        use std::os::unix::process::CommandExt;
        fn main() {
            let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../function.py");
            let version = include_str!("version.txt").trim();
            panic!("{}", std::process::Command::new(program).env("VERSION", version).exec());
        }
    "#;
    fs::write(project.join("src/main.rs"), main).unwrap();
    fs::write(project.join("src/version.txt"), "1").unwrap();
    fs::copy(python(), place.path("function.py")).unwrap();
    let mut command = place.command(&["serve", "--port", "0", "--bootstrap", "target/debug/shop", "--watch"]);
    command.current_dir(&project).env_remove("CARGO_TARGET_DIR").env("CARGO_NET_OFFLINE", "true");
    let serving = Serving::started(place, command);
    let version = || serving.get("/environment").json()["VERSION"].clone();
    assert_eq!(version(), "1", "{}", serving.log());
    let manifest = project.join("Cargo.toml");
    let line = format!("watch | building: cargo build --manifest-path {} --bin shop\n", manifest.display());
    serving.wait_for(&line);
    // No Rust, but cargo knows that the program is made of it.
    fs::write(project.join("src/version.txt"), "2").unwrap();
    assert_eq!(version(), "2", "{}", serving.log());
    serving.wait_for("version.txt changed; building");
    fs::write(project.join("notes.txt"), "nothing to do with it").unwrap();
    fs::write(project.join("src/main.rs"), main.replace("VERSION", "VERSION\", \"x").replace("fn main", "fn man"))
        .unwrap();
    let log = serving.wait_for("the build failed");
    assert!(log.contains("error[E0601]") && !log.contains("notes.txt"), "{log}");
    assert_eq!(version(), "2");
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_ends_a_build_with_all_that_it_started() {
    let place = Place::new();
    let file = place.path("processes");
    let build = format!("sleep 300 & printf '%d %d' $$ $! >{}; wait", file.display());
    let command = place.command(&["serve", "--port", "0", "--bootstrap", "none", "--watch", "--build", &build]);
    let mut serving = Serving::started(place, command);
    while !fs::read_to_string(&file).is_ok_and(|text| text.contains(' ')) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(serving.stop("TERM"), Some(0));
    assert!(all_gone(&processes(&file)));
}

#[test]
fn a_build_that_nobody_watches_for_is_a_slip() {
    let ran = Place::new().run(&["serve", "--build", "make"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("--watch"), "{ran:?}");
}
