//! Load on several nodes at once, and what each node's callers saw of it.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// One visit: when it ended, how long it took, and whether it was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) node: usize,
    pub(crate) ended: Instant,
    pub(crate) took: Duration,
    pub(crate) answered: bool,
}

/// Visitors, each at one node and without pause but for a millisecond, until this is dropped.
pub(crate) struct Load {
    visits: Arc<Mutex<Vec<Visit>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// `visit` is told the visitor's number; visitor `n` is at node `n` modulo `nodes`.
    pub(crate) fn start<F, A>(nodes: usize, visitors: usize, visit: F) -> Self
    where
        F: Fn(usize) -> A + Clone + Send + 'static,
        A: Future<Output = bool> + Send,
    {
        let visits = Arc::<Mutex<Vec<Visit>>>::default();
        let tasks = (0..visitors)
            .map(|number| {
                let (visit, visits) = (visit.clone(), visits.clone());
                tokio::spawn(async move {
                    loop {
                        let began = Instant::now();
                        let answered = visit(number).await;
                        let (ended, node) = (Instant::now(), number % nodes);
                        visits.lock().unwrap().push(Visit { node, ended, took: ended - began, answered });
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        Self { visits, tasks }
    }

    /// What the visits that ended from `from` on came to.
    pub(crate) fn since(&self, from: Instant) -> Vec<Visit> {
        self.visits.lock().unwrap().iter().filter(|visit| visit.ended >= from).copied().collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// The time that 99 of 100 of these visits did not exceed.
pub(crate) fn p99(visits: &[Visit]) -> Duration {
    let mut times: Vec<_> = visits.iter().map(|visit| visit.took).collect();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
