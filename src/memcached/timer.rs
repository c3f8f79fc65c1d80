//! A limit for one exchange after another, on one timer.
//!
//! An exchange takes a fraction of a millisecond and its limit is 100 of them. To set a timer up for each, and to take it
//! down again, is work twice for something that never goes off. So a connection keeps its timer: it is left where an
//! earlier exchange set it, and moved on only if it goes off before the limit of the one under way.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use tokio::task::unconstrained;

use super::alarm::Alarm;

/// The timer of one connection; set up when somebody first has to wait.
#[derive(Default)]
pub(crate) struct Timer(Option<Armed>);

struct Armed {
    alarm: Alarm,
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
            Poll::Pending => self.poll(limit, context).map(|()| None),
        })
    }

    fn poll(&mut self, limit: Instant, context: &mut Context<'_>) -> Poll<()> {
        let alarm = match &mut self.0 {
            Some(Armed { alarm, waker }) => {
                let stands = alarm.at() <= limit && !alarm.has_gone_off();
                if stands && waker.will_wake(context.waker()) {
                    return Poll::Pending;
                }
                if !stands && alarm.at() != limit {
                    alarm.set(limit);
                }
                waker.clone_from(context.waker());
                alarm
            }
            unset => &mut unset.insert(Armed { alarm: Alarm::new(limit), waker: context.waker().clone() }).alarm,
        };
        loop {
            // Whatever else the task has done: bytes that come without end shall not keep the time from being looked at.
            ready!(pin!(unconstrained(poll_fn(|context| alarm.poll(context)))).poll(context));
            if alarm.at() >= limit {
                return Poll::Ready(());
            }
            alarm.set(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        time::Duration,
    };

    use tokio::{runtime::Builder, time::sleep};

    use super::*;

    fn run<F: Future>(is_paused: bool, body: F) {
        Builder::new_current_thread().enable_all().start_paused(is_paused).build().unwrap().block_on(body);
    }

    type Make = fn(Instant) -> Timer;

    /// Timers of both kinds. The kernel's goes by the system's clock, which nobody passes: short times, then.
    fn timers() -> [(&'static str, bool, Make); 2] {
        fn set(alarm: Alarm) -> Timer {
            Timer(Some(Armed { alarm, waker: Waker::noop().clone() }))
        }
        [("the runtime's", true, |at| set(Alarm::of_runtime(at))), ("the kernel's", false, |_| Timer::default())]
    }

    #[test]
    fn every_exchange_has_its_own_limit() {
        for (name, is_paused, timer) in timers() {
            run(is_paused, async {
                let start = tokio::time::Instant::now();
                let after = |millis| start.into_std() + Duration::from_millis(millis);
                let mut timer = timer(after(10));
                let ended = |millis| {
                    let (least, passed) = (Duration::from_millis(millis), start.elapsed());
                    assert!(if is_paused { passed == least } else { passed >= least }, "{name}: {passed:?}");
                };
                assert_eq!(timer.until(after(10), pending::<()>()).await, None);
                ended(10);
                // Set further away, nearer than it stands, and past a moment at which it stood.
                assert_eq!(timer.until(after(3000), Box::pin(sleep(Duration::from_millis(5)))).await, Some(()));
                assert_eq!(timer.until(after(20), pending::<()>()).await, None);
                ended(20);
                assert!(start.elapsed() < Duration::from_millis(3000), "{name}: it was not set nearer");
                assert_eq!(timer.until(after(25), ready(7)).await, Some(7));
                assert_eq!(timer.until(after(3000), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()));
                assert_eq!(timer.until(after(3010), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()));
                assert_eq!(timer.until(after(50), pending::<()>()).await, None);
                ended(50);
            });
        }
    }

    /// What an idle connection meets 100 ms after its last exchange.
    #[test]
    fn what_went_off_while_nobody_waited_is_set_again() {
        for (name, is_paused, timer) in timers() {
            run(is_paused, async {
                let start = tokio::time::Instant::now();
                let after = |millis| start.into_std() + Duration::from_millis(millis);
                let mut timer = timer(after(5));
                assert_eq!(timer.until(after(5), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()), "{name}");
                sleep(Duration::from_millis(20)).await;
                assert_eq!(timer.until(after(40), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()), "{name}");
                assert_eq!(timer.until(after(40), pending::<()>()).await, None, "{name}");
                assert!(start.elapsed() >= Duration::from_millis(40), "{name}");
            });
        }
    }

    #[test]
    fn another_task_that_waits_is_woken_in_place_of_the_first() {
        for (name, is_paused, timer) in timers() {
            run(is_paused, async {
                let limit = (tokio::time::Instant::now() + Duration::from_millis(20)).into_std();
                let mut timer = timer(limit);
                let first = async move {
                    assert_eq!(timer.until(limit, Box::pin(sleep(Duration::from_millis(1)))).await, Some(()), "{name}");
                    timer
                };
                let mut timer = tokio::spawn(first).await.unwrap();
                let second = async move { timer.until(limit, pending::<()>()).await };
                assert_eq!(tokio::spawn(second).await.unwrap(), None, "{name}");
            });
        }
    }

    #[test]
    fn what_is_never_done_and_always_busy_ends_at_the_limit() {
        for (name, _, timer) in timers() {
            run(false, async {
                let limit = Instant::now() + Duration::from_millis(5);
                let mut timer = timer(limit);
                let busy = poll_fn(|context| {
                    // As a socket does that always has one byte more.
                    while let Poll::Ready(more) = tokio::task::coop::poll_proceed(context) {
                        more.made_progress();
                    }
                    std::thread::yield_now();
                    Poll::<()>::Pending
                });
                assert_eq!(timer.until(limit, busy).await, None, "{name}");
            });
        }
    }
}
