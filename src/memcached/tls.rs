//! TLS: one configuration for the life of a client, so that handshakes resume; the node's name is always checked.

use std::{io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::address::Address;
use super::{Failure, Settings};

/// Opens TLS over a TCP connection.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl Tls {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        match &settings.tls_ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| {
                        Failure::settings("cannot read the cache's CA file").with_source(error.to_string())
                    })?;
                    roots
                        .add(certificate)
                        .map_err(|error| Failure::settings("cannot use the cache's CA").with_source(error))?;
                }
                if roots.is_empty() {
                    return Err(Failure::settings("the cache's CA file holds no certificate"));
                }
            }
        }
        let name = match &settings.tls_name {
            None => None,
            Some(name) => Some(ServerName::try_from(name.to_string()).map_err(|error| {
                Failure::settings("the name that the cache's certificate must bear is no host name").with_source(error)
            })?),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::settings("cannot set up TLS").with_source(error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands as a client of `address`, whatever IP address was dialled.
    pub(crate) async fn connect(&self, address: &Address, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?,
        };
        self.connector.connect(name, stream).await.map(Box::new)
    }
}
