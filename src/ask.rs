//! One question to the store: until the call's deadline, in a span of its own, counted.

use std::{future::Future, task::Poll, time::Instant};

use tracing::{Instrument, debug_span};

use crate::metrics::{Count, Tallied, Tally};
use crate::slot::Slot;
use crate::store::Call;
use crate::{Error, ErrorKind};

/// Waits for the store's answer until the deadline of the call; `deed` is what it is asked to do.
pub(crate) async fn ask<V>(
    slot: &Slot,
    call: &Call,
    deed: &'static str,
    answer: impl Future<Output = Result<V, Error>>,
) -> Result<V, Error> {
    let tally = slot.tally();
    let begun = tally.map(|_| Instant::now());
    let asked = within(call, tally.map(AsRef::as_ref), answer);
    let answer = Tallied::new(tally.cloned(), asked).instrument(debug_span!("store", deed)).await;
    if let (Some(tally), Some(begun)) = (tally, begun) {
        tally.store_took(begun.elapsed());
    }
    answer
}

async fn within<V>(
    call: &Call,
    tally: Option<&Tally>,
    answer: impl Future<Output = Result<V, Error>>,
) -> Result<V, Error> {
    let mut answer = std::pin::pin!(answer);
    // A store that answers at once costs no timer.
    if let Poll::Ready(answer) = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
        return answer;
    }
    if let Some(tally) = tally {
        tally.waited();
    }
    tokio::time::timeout_at(call.deadline().into(), answer).await.unwrap_or_else(|_| {
        if let Some(tally) = tally {
            tally.count(Count::StoreTimeouts);
        }
        Err(Error::new(ErrorKind::Unavailable, "the session store gave no answer before its deadline"))
    })
}
