//! A limit for one exchange after another.
//!
//! An exchange takes a fraction of a millisecond and its limit is 100 of them. To set a timer up for each, and to take it
//! down again, is work twice for something that never goes off. So an alarm is left where an earlier exchange set it, and
//! moved on only if it goes off before the limit of the one under way. (The runtime's own timer, which stands in where the kernel
//! has none to give, is moved for each exchange that waits.)

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use super::alarm::Alarm;
#[cfg(target_os = "linux")]
use super::watch::Post;

/// The timer of one connection; set up when somebody first has to wait.
#[derive(Default)]
pub(crate) struct Timer(Option<Armed>);

enum Armed {
    #[cfg(target_os = "linux")]
    Kernel(Post),
    Runtime(Alarm),
}

impl Timer {
    /// What comes of `future`, which begins `now`; `None` if it takes until `limit`.
    pub(crate) fn until<F: Future + Unpin>(
        &mut self,
        now: Instant,
        limit: Instant,
        mut future: F,
    ) -> impl Future<Output = Option<F::Output>> {
        let mut begun = Some(now);
        poll_fn(move |context| match Pin::new(&mut future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(begun.take(), limit, context).map(|()| None),
        })
    }

    fn poll(&mut self, now: Option<Instant>, limit: Instant, context: &mut Context<'_>) -> Poll<()> {
        let armed = self.0.get_or_insert_with(|| Armed::new(limit));
        #[cfg(target_os = "linux")]
        if let Armed::Kernel(post) = armed {
            match post.poll(now, limit, context) {
                Ok(poll) => return poll,
                Err(_) => *armed = Armed::Runtime(Alarm::new(limit)),
            }
        }
        match armed {
            Armed::Runtime(alarm) => alarm.poll(limit, context),
            #[cfg(target_os = "linux")]
            Armed::Kernel(_) => Poll::Pending,
        }
    }
}

impl Armed {
    fn new(limit: Instant) -> Self {
        #[cfg(target_os = "linux")]
        if let Ok(post) = Post::new() {
            return Self::Kernel(post);
        }
        Self::Runtime(Alarm::new(limit))
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

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Timers of both kinds. The kernel's goes by the system's clock, which nobody passes: short times, then.
    fn timers() -> [(&'static str, bool, Make); 2] {
        let of_runtime = |at| Timer(Some(Armed::Runtime(Alarm::new(at))));
        [("the runtime's", true, of_runtime), ("the kernel's", false, |_| Timer::default())]
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
                assert_eq!(timer.until(now(), after(10), pending::<()>()).await, None);
                ended(10);
                // Set further away, nearer than it stands, and past a moment at which it stood.
                assert_eq!(timer.until(now(), after(3000), Box::pin(sleep(Duration::from_millis(5)))).await, Some(()));
                assert_eq!(timer.until(now(), after(20), pending::<()>()).await, None);
                ended(20);
                assert!(start.elapsed() < Duration::from_millis(3000), "{name}: it was not set nearer");
                assert_eq!(timer.until(now(), after(25), ready(7)).await, Some(7));
                assert_eq!(timer.until(now(), after(3000), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()));
                assert_eq!(timer.until(now(), after(3010), Box::pin(sleep(Duration::from_millis(1)))).await, Some(()));
                assert_eq!(timer.until(now(), after(50), pending::<()>()).await, None);
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
                assert_eq!(
                    timer.until(now(), after(5), Box::pin(sleep(Duration::from_millis(1)))).await,
                    Some(()),
                    "{name}"
                );
                sleep(Duration::from_millis(20)).await;
                assert_eq!(
                    timer.until(now(), after(40), Box::pin(sleep(Duration::from_millis(1)))).await,
                    Some(()),
                    "{name}"
                );
                assert_eq!(timer.until(now(), after(40), pending::<()>()).await, None, "{name}");
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
                    assert_eq!(
                        timer.until(now(), limit, Box::pin(sleep(Duration::from_millis(1)))).await,
                        Some(()),
                        "{name}"
                    );
                    timer
                };
                let mut timer = tokio::spawn(first).await.unwrap();
                let second = async move { timer.until(now(), limit, pending::<()>()).await };
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
                assert_eq!(timer.until(now(), limit, busy).await, None, "{name}");
            });
        }
    }

    /// Many connections wait on one alarm: the nearest limit sets it, and nobody waits for longer, or less, than their own.
    #[test]
    fn each_of_many_who_wait_ends_at_its_own_limit() {
        for (name, is_paused, timer) in timers() {
            run(is_paused, async {
                let start = tokio::time::Instant::now();
                let limit = |number: u64| start + Duration::from_millis(5 + number * 7 % 40);
                let waits: Vec<_> = (0..40)
                    .map(|number| {
                        let at = limit(number);
                        let mut timer = timer(at.into_std());
                        tokio::spawn(async move {
                            assert_eq!(timer.until(now(), at.into_std(), pending::<()>()).await, None);
                            let late = tokio::time::Instant::now().checked_duration_since(at).expect("too soon");
                            assert!(late < Duration::from_secs(2), "{late:?}");
                        })
                    })
                    .collect();
                for wait in waits {
                    wait.await.unwrap_or_else(|error| panic!("{name}: {error}"));
                }
            });
        }
    }

    /// A stream of others who begin to wait, each later than the moment to which the alarm is set, while the runtime is so busy that
    /// it hears late that it went off.
    #[test]
    fn who_waits_is_woken_however_many_begin_to_wait_meanwhile() {
        for (name, _, timer) in timers() {
            run(false, async {
                let begin = Instant::now();
                let limit = begin + Duration::from_millis(30);
                let mut waiting = timer(limit);
                let wait = tokio::spawn(async move {
                    assert_eq!(waiting.until(Instant::now(), limit, pending::<()>()).await, None);
                    limit.elapsed()
                });
                while begin.elapsed() < Duration::from_millis(300) && !wait.is_finished() {
                    let later = Instant::now() + Duration::from_millis(100);
                    let once = Box::pin(tokio::task::yield_now());
                    assert_eq!(timer(later).until(Instant::now(), later, once).await, Some(()));
                    std::thread::sleep(Duration::from_micros(100));
                }
                let late = wait.await.unwrap();
                assert!(late < Duration::from_millis(60), "{name}: {late:?}");
            });
        }
    }

    /// Where the runtime has several threads, whoever is woken sets the alarm anew while it goes off for others.
    #[test]
    fn nobody_waits_for_ever_on_an_alarm_that_is_set_from_all_sides() {
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..64_u64)
                .map(|task| {
                    tokio::spawn(async move {
                        let mut timer = Timer::default();
                        for round in 0..100_u64 {
                            let limit = Instant::now() + Duration::from_micros(1 + (task * 131 + round * 977) % 3000);
                            assert_eq!(timer.until(Instant::now(), limit, pending::<()>()).await, None);
                            assert!(Instant::now() >= limit, "too soon");
                        }
                    })
                })
                .collect();
            let all = async {
                for task in tasks {
                    task.await.unwrap();
                }
            };
            tokio::time::timeout(Duration::from_secs(60), all).await.expect("somebody waits for ever");
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn all_connections_of_a_runtime_share_one_descriptor() {
        fn alarms() -> usize {
            let links = std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
            links.filter(|link| link.as_os_str() == "anon_inode:[timerfd]").count()
        }
        // In a process of its own under nextest, and among other tests' otherwise: so it counts what it adds.
        run(false, async {
            let mut timers: Vec<_> = (0..20).map(|_| Timer::default()).collect();
            let before = alarms();
            for timer in &mut timers {
                let soon = Instant::now() + Duration::from_millis(1);
                assert_eq!(timer.until(Instant::now(), soon, pending::<()>()).await, None);
            }
            let with = alarms();
            assert!(with <= before + 10, "{before} before, {with} with 20 timers");
        });
    }
}
