//! What a TLS peer says, kept apart from rustls: it decrypts a record in the buffer that it was read into, copies it into
//! another, and frees both as they are.
//!
//! So the ciphers that it is given decrypt in a place of ours, hand what was said to whoever hears it on this thread, and leave
//! zeros to rustls. All else is as it was: keys, nonces, tags and the checks of them are ring's and rustls' own.

use std::{cell::RefCell, mem, sync::LazyLock};

use tokio_rustls::rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter,
    Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};
use zeroize::Zeroizing;

use super::received::Received;

thread_local! {
    /// Who hears what is decrypted: set while a connection is polled, for rustls has one cipher for all of them.
    static HEARD: RefCell<Option<Received>> = const { RefCell::new(None) };
}

/// Polls a connection; what it decrypts meanwhile is added to `received`.
pub(super) fn hear<T>(received: &mut Received, poll: impl FnOnce() -> T) -> T {
    let _lent = Lent::of(received);
    poll()
}

/// A [`Received`] that is [`HEARD`], and comes back however the poll ends.
struct Lent<'a>(&'a mut Received);

impl<'a> Lent<'a> {
    fn of(received: &'a mut Received) -> Self {
        HEARD.set(Some(mem::take(received)));
        Self(received)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        *self.0 = HEARD.take().unwrap_or_default();
    }
}

/// ring's suites, of which rustls sees no plaintext.
pub(super) fn suites() -> Vec<SupportedCipherSuite> {
    SUITES.clone()
}

/// They live as long as the process, as rustls wants it.
static SUITES: LazyLock<Vec<SupportedCipherSuite>> =
    LazyLock::new(|| ring::DEFAULT_CIPHER_SUITES.iter().map(|suite| apart(*suite)).collect());

fn apart(inner: SupportedCipherSuite) -> SupportedCipherSuite {
    match inner {
        SupportedCipherSuite::Tls13(inner) => SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
            common: common(&inner.common),
            aead_alg: Box::leak(Box::new(Apart13(inner.aead_alg))),
            quic: None,
            hkdf_provider: inner.hkdf_provider,
        }))),
        SupportedCipherSuite::Tls12(inner) => SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
            common: common(&inner.common),
            aead_alg: Box::leak(Box::new(Apart12(inner.aead_alg))),
            prf_provider: inner.prf_provider,
            kx: inner.kx,
            sign: inner.sign,
        }))),
    }
}

fn common(inner: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: inner.suite,
        hash_provider: inner.hash_provider,
        confidentiality_limit: inner.confidentiality_limit,
    }
}

struct Apart13(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Apart13 {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Apart(self.0.decrypter(key, iv)))
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }
}

struct Apart12(&'static dyn Tls12AeadAlgorithm);

impl Tls12AeadAlgorithm for Apart12 {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv, extra)
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Apart(self.0.decrypter(key, iv)))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.0.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv, explicit)
    }
}

struct Apart(Box<dyn MessageDecrypter>);

impl MessageDecrypter for Apart {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        sequence: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let mut place = Zeroizing::new(message.payload.to_vec());
        let encrypted = InboundOpaqueMessage::new(message.typ, message.version, &mut place);
        let plain = self.0.decrypt(encrypted, sequence)?;
        (message.typ, message.version) = (plain.typ, plain.version);
        message.payload.truncate(plain.payload.len());
        if plain.typ == ContentType::ApplicationData {
            keep(plain.payload)?;
            message.payload.fill(0);
        } else {
            // Handshakes and alerts are rustls' to read.
            message.payload.copy_from_slice(plain.payload);
        }
        Ok(message.into_plain_message())
    }
}

fn keep(said: &[u8]) -> Result<(), Error> {
    HEARD.with_borrow_mut(|heard| {
        let Some(heard) = heard else { return Err(Error::General("the server speaks before it is asked".into())) };
        let room = heard.with_room(said.len()).map_err(|error| Error::General(error.to_string()))?;
        room.extend_from_slice(said);
        Ok(())
    })
}
