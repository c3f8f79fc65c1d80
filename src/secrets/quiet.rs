//! A future whose log lines are not written: other people's code handles a secret in it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tracing::dispatcher::{self, Dispatch};

pin_project! {
    /// Polls `inner` under no subscriber. The AWS SDK writes the answer, secret and all, into the log at TRACE when
    /// `LOG_SENSITIVE_BODIES` is set, which is not ours to unset.
    pub(crate) struct Quiet<F> {
        #[pin]
        inner: F,
    }
}

/// This future, without a log.
pub(crate) fn quiet<F: Future>(inner: F) -> Quiet<F> {
    Quiet { inner }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let inner = self.project().inner;
        dispatcher::with_default(&Dispatch::none(), || inner.poll(cx))
    }
}
