//! F8: the process is stopped while the server, or the network, forgets its connection.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::{
    figure::Fault,
    support::{Harm, Memcached, Proxy, Shift, client, run, settings, signal},
    visits::{app, enter, timed},
};

/// The role of this program in which it is stopped.
pub(crate) const CHILD: &str = "--child";

const ADDED: Duration = Duration::from_millis(150);

/// Visits once for every line that comes; the line is the path.
pub(crate) fn be_the_child(cache: &str) {
    run(async {
        let mut browser = enter(&app(&client(settings(cache))), "alice").await;
        for path in std::io::stdin().lock().lines() {
            let (answer, took) = timed(&mut browser, &path.unwrap()).await;
            println!("{} {} {}", took.as_micros(), answer.status, answer.body);
        }
    });
}

/// An environment that can be frozen.
struct Environment {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Environment {
    fn start(cache: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        let mut child = command.args([CHILD, cache]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// The answer (`200 alice 1`), and how long it took.
    fn visit(&mut self, path: &str) -> (String, Duration) {
        writeln!(self.input, "{path}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (took, answer) = line.trim_end().split_once(' ').unwrap();
        (answer.to_owned(), Duration::from_micros(took.parse().unwrap()))
    }

    fn frozen(&self, during: impl FnOnce()) {
        signal(self.child.id(), "-STOP");
        during();
        signal(self.child.id(), "-CONT");
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn stops() -> Fault {
    let done = "SIGSTOP for 4 s, while memcached closes idle connections (idle_timeout=1); for 2 s, while the network \
                forgets them; a gap of 120 s by the clock";
    let mut fault = Fault::new("the environment is frozen", done);

    let server = Memcached::start(&["-o", "idle_timeout=1"]);
    let mut environment = Environment::start(&server.name());
    let mut right = usize::from(environment.visit("/count").0 == "200 alice 1");
    environment.frozen(|| std::thread::sleep(Duration::from_secs(4)));
    fault = fault.at_least("connections closed by the server meanwhile", 1, server.stat("idle_kicks"));
    let (answer, took) = environment.visit("/count");
    right += usize::from(answer == "200 alice 2");
    fault = fault.at_most("closed by the server: first answer", ADDED, took);

    let server = Memcached::start(&[]);
    let proxy = Proxy::start(server.port, |_| Harm::None);
    let mut environment = Environment::start(&proxy.name());
    right += usize::from(environment.visit("/read").0 == "200 alice 0");
    for (count, path) in [(0, "/read"), (1, "/count")] {
        environment.frozen(|| {
            proxy.forget_connections();
            std::thread::sleep(Duration::from_secs(2));
        });
        let (answer, took) = environment.visit(path);
        right += usize::from(answer == format!("200 alice {count}"));
        fault = fault.at_most(&format!("forgotten by the network: first {path}"), ADDED, took);
    }

    let (took, answer) = run(async {
        let shift = Shift::new();
        let app = app(&client(settings(&proxy.name()).clock(shift.clock())));
        let mut browser = enter(&app, "alice").await;
        proxy.forget_connections();
        shift.forward(Duration::from_secs(120));
        let (answer, took) = timed(&mut browser, "/count").await;
        (took, answer.body)
    });
    right += usize::from(answer == "alice 1");
    fault.at_most("forgotten, 120 s later: first answer", ADDED, took).all("answers right", 6, right)
}
