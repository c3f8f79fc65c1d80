//! TLS as every AWS tool has it: the system's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

use std::{io, sync::Arc};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
};

use super::apart;

/// What opens TLS. Reads the authorities' files.
pub(super) fn connector() -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    // A file with one broken certificate among many serves with the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text =
            "there is no certificate of an authority to trust: install the system's, or name a file in SSL_CERT_FILE";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let provider = CryptoProvider { cipher_suites: apart::suites(), ..ring::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
