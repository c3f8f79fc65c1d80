//! Payloads on their way past lambda_runtime, which would write each into the log at TRACE, cookies and all.

use std::{
    cell::Cell,
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use lambda_runtime::LambdaInvocation;
use tower_layer::Layer;
use tower_service::Service;

thread_local! {
    /// The payload of the call that is being made on this thread. lambda_runtime calls the handler from within its own
    /// call, so it never waits here, and no two requests can take each other's, whatever ids they have.
    static PAYLOAD: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// The payload of the invocation whose handler is being called; `None` if there is none, or it was taken already.
pub(super) fn take() -> Option<Bytes> {
    PAYLOAD.take()
}

/// Shows lambda_runtime `null` where the payload was.
pub(super) struct Payloads;

impl<S> Layer<S> for Payloads {
    type Service = Carried<S>;

    fn layer(&self, inner: S) -> Carried<S> {
        Carried { inner }
    }
}

#[derive(Clone)]
pub(super) struct Carried<S> {
    inner: S,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for Carried<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        PAYLOAD.set(Some(mem::replace(&mut invocation.body, Bytes::from_static(b"null"))));
        let future = self.inner.call(invocation);
        // Whatever became of it, the next call on this thread must not find it.
        PAYLOAD.take();
        future
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;

    /// Takes the payload as an adapter does, or leaves it where it is.
    struct Taker(bool);

    impl Service<LambdaInvocation> for Taker {
        type Response = (Bytes, Option<Bytes>);
        type Error = ();
        type Future = Ready<Result<Self::Response, ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
            ready(Ok((invocation.body, self.0.then(take).flatten())))
        }
    }

    fn invocation(payload: &'static str) -> LambdaInvocation {
        let (parts, ()) = http::Response::new(()).into_parts();
        LambdaInvocation { parts, body: payload.into(), context: lambda_runtime::Context::default() }
    }

    #[test]
    fn lambda_runtime_sees_no_payload_and_none_stays_behind() {
        let (shown, taken) = Payloads.layer(Taker(true)).call(invocation("event")).into_inner().unwrap();
        assert_eq!((shown, taken), ("null".into(), Some("event".into())));
        Payloads.layer(Taker(false)).call(invocation("event")).into_inner().unwrap();
        assert_eq!(take(), None);
    }
}
