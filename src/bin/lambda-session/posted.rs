//! What the function posted, as the answer to an event.

use crate::answer::Answer;
use crate::event::Kind;
use crate::function::Fault;
use crate::limits::{ALB_LIMIT_BYTES, ANSWER_LIMIT_BYTES};
use crate::outcome::FaultKind;
use crate::runtime_api::Posted;

/// The HTTP answer in what the function posted to an event of `kind`, or why there is none.
pub(crate) fn read_answer(kind: Kind, posted: &Posted, notes: &mut Vec<String>) -> Result<Answer, (FaultKind, String)> {
    let too_large = |size: usize, limit: usize| {
        (FaultKind::TooLarge, format!("an answer of {size} bytes is over the limit of {limit} bytes"))
    };
    let answer = match posted {
        Posted::TooLarge(limit, size) => return Err(too_large(*size, *limit)),
        Posted::Broken(error) => return Err((FaultKind::FunctionError, format!("the stream broke off: {error}"))),
        Posted::Streamed(bytes) => Answer::parse_streamed(kind, bytes),
        Posted::Whole(bytes) if matches!(kind, Kind::Alb | Kind::AlbMulti) && bytes.len() > ALB_LIMIT_BYTES => {
            return Err(too_large(bytes.len(), ALB_LIMIT_BYTES));
        }
        Posted::Whole(bytes) => {
            if bytes.len() >= LARGE_BYTES {
                let size = bytes.len();
                notes.push(format!("an answer of {size} bytes comes near the limit of {ANSWER_LIMIT_BYTES} bytes"));
            }
            Answer::parse(kind, bytes)
        }
    };
    let mut answer = answer.map_err(|reason| (FaultKind::Nonsense, reason))?;
    notes.append(&mut answer.notes);
    Ok(answer)
}

/// In a word, why there is no answer.
pub(crate) fn kind_of(fault: &Fault) -> FaultKind {
    match fault {
        Fault::Reported(_) => FaultKind::FunctionError,
        Fault::Ended(_) => FaultKind::Crash,
        Fault::TimedOut(_) => FaultKind::Timeout,
    }
}

/// From here an answer deserves a warning.
const LARGE_BYTES: usize = 5 * 1024 * 1024;
