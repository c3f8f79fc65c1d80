//! An authority for one test, and memcached with a certificate of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::cache::Memcached;

pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        // memcached reads them as nobody.
        assert!(Command::new("chmod").arg("755").arg(authority.0.path()).status().unwrap().success());
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        authority
    }

    pub(crate) fn pem(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// A memcached whose certificate bears these names, such as `DNS:localhost`, for so many days.
    pub(crate) fn server(&self, names: &str, days: i32) -> Memcached {
        self.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=cache -keyout cache.key -out cache.csr");
        std::fs::write(self.0.path().join("cache.ext"), format!("subjectAltName={names}\n")).unwrap();
        let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -in cache.csr -extfile cache.ext -out cache.pem";
        self.openssl(&format!("{sign} -days {days}"));
        let path = |name: &str| self.0.path().join(name).display().to_string();
        assert!(Command::new("chmod").args(["a+r", &path("cache.key")]).status().unwrap().success());
        let files = format!("ssl_chain_cert={},ssl_key={}", path("cache.pem"), path("cache.key"));
        Memcached::start(&["-Z", "-o", &files])
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.0.path()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "openssl {arguments}");
    }
}
