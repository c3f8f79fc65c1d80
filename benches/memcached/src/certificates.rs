//! An authority to throw away, and a certificate for memcached's own TLS.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::Failed;

/// Files that are gone when this is dropped.
pub struct Certificates(TempDir);

impl Certificates {
    pub fn make() -> Result<Self, Failed> {
        let made = Self(tempfile::tempdir()?);
        let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=bench";
        made.openssl(&format!("{request} -x509 -days 2 -keyout ca.key -out ca.pem"))?;
        made.openssl(&format!("{request} -keyout node.key -out node.csr"))?;
        fs::write(made.path("node.ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
        made.openssl(
            "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -in node.csr -extfile node.ext -out node.pem",
        )?;
        // memcached reads them as nobody.
        Command::new("chmod").args(["-R", "a+rX"]).arg(made.0.path()).status()?;
        Ok(made)
    }

    /// What memcached is told.
    pub fn arguments(&self) -> [String; 3] {
        let [cert, key] = ["node.pem", "node.key"].map(|name| self.path(name).display().to_string());
        ["-Z".to_owned(), "-o".to_owned(), format!("ssl_chain_cert={cert},ssl_key={key}")]
    }

    /// Whom to trust, as PEM.
    pub fn authority(&self) -> Result<Vec<u8>, Failed> {
        Ok(fs::read(self.path("ca.pem"))?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) -> Result<(), Failed> {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.0.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let done = command.status().map_err(|error| format!("openssl does not start: {error}"))?;
        if done.success() { Ok(()) } else { Err(format!("openssl {arguments} failed").into()) }
    }
}
