//! A body that is sent in pieces: what breaks it off is logged, and never looks like its end.

use std::{
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tracing::error;

use super::answer::ended_early;

pin_project! {
    /// A body whose errors and panics are one [`Cut`]. lambda_runtime polls it in a task of its own, where a panic would end the
    /// answer as if it were whole.
    pub(super) struct Contained<B> {
        #[pin]
        body: B,
        is_cut: bool,
    }
}

/// A body that broke off. What lambda_runtime makes of it reaches the visitor, so it says no more than that.
#[derive(Debug)]
pub(super) struct Cut;

impl<B> Contained<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, is_cut: false }
    }
}

impl<B> HttpBody for Contained<B>
where
    B: HttpBody,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.project();
        if *this.is_cut {
            return Poll::Ready(None);
        }
        // What panicked is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            this.body.poll_frame(cx).map_ok(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        }));
        let cause = match polled {
            Ok(Poll::Ready(Some(Err(error)))) => ended_early(error),
            Ok(Poll::Ready(Some(Ok(frame)))) => return Poll::Ready(Some(Ok(frame))),
            Ok(Poll::Ready(None)) => return Poll::Ready(None),
            Ok(Poll::Pending) => return Poll::Pending,
            Err(_) => ended_early("it panicked"),
        };
        *this.is_cut = true;
        error!("{cause}");
        Poll::Ready(Some(Err(Cut)))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the answer ended early")
    }
}

impl StdError for Cut {}
