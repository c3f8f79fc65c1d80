//! What to do about a node that does not serve.

use std::error::Error;
use std::io;

use lambda_session::memcached::{Failure, FailureKind, Step};
use tokio_rustls::rustls::{CertificateError, Error as TlsError};

/// The way out of this failure.
pub(crate) fn on(failure: &Failure) -> Option<String> {
    let way_out = match (failure.step(), failure.kind()) {
        (Some(Step::Resolving), _) => {
            "check the name in MEMCACHE_SERVERS; ElastiCache's names are known where its VPC's DNS is asked"
        }
        (Some(Step::Connecting), _) if io_kind(failure) == Some(io::ErrorKind::ConnectionRefused) => {
            "nothing listens there: is memcached running, and is the port right?"
        }
        (Some(Step::Connecting), _) => {
            "nothing answers there: ask from inside the VPC, and let its security group take this port from you"
        }
        (Some(Step::ShakingHands), _) => tls(failure),
        (Some(Step::Greeting), _) if failure.to_string().contains("Too many open connections") => {
            "it has none left: give it more (`-c`), or its functions less (MEMCACHE_POOL_SIZE, reserved concurrency)"
        }
        (Some(Step::Greeting), FailureKind::Refused) => {
            "give it memcached 1.6.12 or later, or name another server in MEMCACHE_SERVERS"
        }
        (Some(Step::Greeting), _) => {
            "it hangs, or speaks TLS while MEMCACHE_TLS is off, or is no memcached: restart it, or correct the setting"
        }
        (_, FailureKind::Full | FailureKind::Lost) if failure.to_string().contains("object too large") => {
            "a session of this size would be lost there: give MEMCACHE_MAX_VALUE less than its largest item \
             (`-I`, on ElastiCache max_item_size)"
        }
        (_, FailureKind::Full | FailureKind::Lost) => "it has no room: give the cluster more memory",
        (_, FailureKind::Refused) => "its own log says why",
        _ => "it answers too late: look at its load, or give MEMCACHE_TIMEOUT more",
    };
    Some(way_out.to_owned())
}

fn tls(failure: &Failure) -> &'static str {
    let Some(TlsError::InvalidCertificate(error)) = find::<io::Error>(failure).and_then(inner) else {
        return "does it speak TLS? MEMCACHE_TLS=off if it does not";
    };
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "name the server in MEMCACHE_SERVERS as its certificate does"
        }
        CertificateError::UnknownIssuer => "MEMCACHE_TLS_CA must hold the authority that signed its certificate",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew its certificate, or set this machine's clock"
        }
        _ => "give it a certificate that TLS 1.2 and 1.3 take",
    }
}

fn inner(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

fn io_kind(failure: &Failure) -> Option<io::ErrorKind> {
    find::<io::Error>(failure).map(io::Error::kind)
}

/// The first cause of this type.
fn find<E: Error + 'static>(failure: &Failure) -> Option<&E> {
    let mut cause = failure.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
