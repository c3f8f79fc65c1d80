//! A limit for one exchange after another, on one timer.
//!
//! An exchange takes a fraction of a millisecond and its limit is 100 of them. To set a timer up for each, and to take it
//! down again, is to lock the runtime's timers twice for something that never goes off. So a connection keeps its timer:
//! it is left where an earlier exchange set it, and moved on only if it goes off before the limit of the one under way.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use tokio::{
    task::unconstrained,
    time::{Sleep, sleep_until},
};

/// The timer of one connection; set up when somebody first has to wait.
#[derive(Default)]
pub(crate) struct Timer(Option<Armed>);

struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// Whom it wakes.
    waker: Waker,
}

impl Timer {
    /// What comes of `future`; `None` if it takes until `limit`.
    pub(crate) fn until<F: Future + Unpin>(
        &mut self,
        limit: Instant,
        mut future: F,
    ) -> impl Future<Output = Option<F::Output>> {
        poll_fn(move |context| match Pin::new(&mut future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(limit.into(), context).map(|()| None),
        })
    }

    fn poll(&mut self, limit: tokio::time::Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = match &mut self.0 {
            Some(Armed { sleep, waker }) => {
                let stands = sleep.deadline() <= limit && !sleep.is_elapsed();
                if stands && waker.will_wake(context.waker()) {
                    return Poll::Pending;
                }
                if !stands && sleep.deadline() != limit {
                    sleep.as_mut().reset(limit);
                }
                waker.clone_from(context.waker());
                sleep
            }
            unset => {
                let (sleep, waker) = (Box::pin(sleep_until(limit)), context.waker().clone());
                &mut unset.insert(Armed { sleep, waker }).sleep
            }
        };
        loop {
            // Whatever else the task has done: bytes that come without end shall not keep the time from being looked at.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(context));
            if sleep.deadline() >= limit {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        time::Duration,
    };

    use tokio::{
        runtime::Builder,
        time::{Instant, sleep},
    };

    use super::*;

    fn run<F: Future>(body: F) {
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(body);
    }

    #[test]
    fn every_exchange_has_its_own_limit() {
        run(async {
            let mut timer = Timer::default();
            let start = Instant::now();
            let after = |millis| (start + Duration::from_millis(millis)).into_std();
            assert_eq!(timer.until(after(100), pending::<()>()).await, None);
            assert_eq!(start.elapsed(), Duration::from_millis(100));
            // Set further away, nearer than it stands, and past a moment at which it stood.
            assert_eq!(timer.until(after(300), Box::pin(sleep(Duration::from_millis(50)))).await, Some(()));
            assert_eq!(timer.until(after(200), pending::<()>()).await, None);
            assert_eq!(start.elapsed(), Duration::from_millis(200));
            assert_eq!(timer.until(after(250), ready(7)).await, Some(7));
            assert_eq!(timer.until(after(400), Box::pin(sleep(Duration::from_millis(10)))).await, Some(()));
            assert_eq!(timer.until(after(500), pending::<()>()).await, None);
            assert_eq!(start.elapsed(), Duration::from_millis(500));
        });
    }

    #[test]
    fn what_is_never_done_and_always_busy_ends_at_the_limit() {
        run(async {
            let mut timer = Timer::default();
            let limit = (Instant::now() + Duration::from_millis(5)).into_std();
            let busy = poll_fn(|context| {
                // As a socket does that always has one byte more.
                while let Poll::Ready(more) = tokio::task::coop::poll_proceed(context) {
                    more.made_progress();
                }
                std::thread::yield_now();
                Poll::<()>::Pending
            });
            tokio::time::resume();
            assert_eq!(timer.until(limit, busy).await, None);
        });
    }
}
