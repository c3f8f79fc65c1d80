//! Random bytes, from the operating system at every call: a generator seeded in this process would repeat itself in
//! every environment restored from one snapshot.

use crate::{Error, ErrorKind};

/// Fills a buffer with random bytes, or says that it cannot.
pub type RandomSource = fn(&mut [u8]) -> Result<(), Error>;

/// Random bytes from the operating system.
///
/// # Errors
///
/// [`ErrorKind::Random`] when it gives none: nothing is sealed then.
pub fn system(buffer: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(buffer)
        .map_err(|error| Error::new(ErrorKind::Random, "the operating system gave no random bytes").with_source(error))
}
