//! An authority for one test, and TLS servers that it vouches for.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring};

/// An authority for one test, and a certificate of it for localhost.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        let names = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(authority.0.path().join("names"), names).unwrap();
        for arguments in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a -keyout ca.key -out ca.pem",
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout ssm.key -out ssm.csr",
            "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -in ssm.csr -days 2 -extfile names -out ssm.pem",
        ] {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(authority.0.path());
            assert!(command.stderr(Stdio::null()).status().unwrap().success(), "openssl {arguments}");
        }
        authority
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Speaks this version of TLS only.
    pub fn server(&self, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
        let certificates = CertificateDer::pem_file_iter(self.file("ssm.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("ssm.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates.map(Result::unwrap).collect(), key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}
