//! A process with all that it has started.

use std::process::Stdio;

use tokio::process::Child;

/// A process group. It is killed when this is dropped, unless it is known to be gone.
#[derive(Debug)]
pub(crate) struct Group(Option<u32>);

impl Group {
    /// The group of `child`, which was started in one of its own.
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// Signals every process of the group. The standard library cannot, without unsafe code; any shell can.
    pub(crate) fn signal(&self, name: &str) {
        let Some(group) = self.0 else { return };
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("kill -s {name} -- -{group}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// Its number may be somebody else's from now on.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}
