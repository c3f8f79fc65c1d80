//! Who is timed.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    Failed,
    work::{Deed, Lane},
};

/// Somebody who does what is asked, and checks every answer.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// Does all lanes at once, each on a connection of its own; how long that took.
    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed>;
}

/// A runtime of one thread, as in a Lambda function. Every contender that needs one has its own, so that a timer which
/// one of them leaves behind costs nobody else anything.
pub struct Tokio(Runtime);

impl Tokio {
    pub fn new() -> Result<Self, Failed> {
        Ok(Self(Builder::new_current_thread().enable_all().build()?))
    }

    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    /// Runs every lane as a task, on what `with` holds for it, and puts that back.
    pub fn run<W, F>(&self, with: &mut Vec<W>, lanes: &[Lane], go: impl Fn(W, Lane) -> F) -> Result<Duration, Failed>
    where
        W: Send + 'static,
        F: Future<Output = Result<W, Failed>> + Send + 'static,
    {
        let begin = with.len().checked_sub(lanes.len()).ok_or("more lanes than connections")?;
        let taken: Vec<W> = with.drain(begin..).collect();
        self.wait(async {
            let began = Instant::now();
            let tasks: Vec<_> =
                taken.into_iter().zip(lanes).map(|(one, lane)| tokio::spawn(go(one, Arc::clone(lane)))).collect();
            for task in tasks {
                with.push(task.await??);
            }
            Ok(began.elapsed())
        })
    }
}
