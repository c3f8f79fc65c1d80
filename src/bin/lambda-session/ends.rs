//! The signals that end a command.

use std::fs;
use std::future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::Failure;

/// Those that are listened to: Ctrl-C, SIGTERM, and SIGHUP when the terminal goes.
#[derive(Debug)]
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under `nohup`.
    hangup: Option<Signal>,
}

impl Ends {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Environment(format!("cannot listen for signals: {error}")));
        let ignores_hangup = fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: if ignores_hangup { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// Waits for the first; its number.
    pub(crate) async fn first(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = hangup => 1,
        }
    }
}

/// Whether the process of this `/proc/…/status` was started to outlive its terminal (`nohup`).
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_under_nohup_stays() {
        let rows = [
            ("Name:\tx\nSigIgn:\t0000000000000001\n", true),
            ("SigIgn:\t0000000000001003\nSigCgt:\t0", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ];
        for (status, expected) in rows {
            assert_eq!(ignores_hangup(status), expected, "{status:?}");
        }
    }
}
