//! The instances of the function: started as load asks for them, each with one event at a time.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::function::{Ending, Fault, Function, Launch, NotTaken, Settled, StartError};
use crate::runtime_api::Invocation;
use crate::serve::log;

/// Up to so many running functions.
#[derive(Debug)]
pub(super) struct Instances {
    /// One for each that may be at work; whoever waits first gets the next.
    places: Arc<Semaphore>,
    state: Mutex<State>,
    /// How long a function may do as it likes after its answer.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    launch: Arc<Launch>,
    /// Those without work; the one that worked last is taken first.
    idle: Vec<Function>,
    /// Counts launches: an instance of an earlier one gets no more work.
    generation: u64,
}

/// One instance at work.
#[derive(Debug)]
pub(super) struct Instance {
    function: Function,
    generation: u64,
    /// How long it took to start, if it was started for this event.
    pub(super) started: Option<Duration>,
    _place: OwnedSemaphorePermit,
}

impl Instances {
    pub(super) fn new(launch: Launch, count: usize, patience: Duration) -> Self {
        let state = State { launch: Arc::new(launch), idle: Vec::new(), generation: 0 };
        Self { places: Arc::new(Semaphore::new(count)), state: Mutex::new(state), patience }
    }

    /// Waits for a place. Nothing runs yet, so whoever gives up here leaves nothing behind.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// The instance that works at `place`: one that runs already, or a new one.
    pub(super) async fn enter(&self, place: OwnedSemaphorePermit) -> Result<Instance, StartError> {
        let (idle, launch, generation) = {
            let mut state = self.state();
            (state.idle.pop(), Arc::clone(&state.launch), state.generation)
        };
        let (function, started) = match idle {
            Some(function) => (function, None),
            None => {
                let begin = Instant::now();
                (Function::start(&launch).await?, Some(begin.elapsed()))
            }
        };
        Ok(Instance { function, generation, started, _place: place })
    }

    /// Gives `instance` an event. One that has ended since its last event is started again, as Lambda does, which is a note.
    pub(super) async fn invoke(
        &self,
        instance: &mut Instance,
        invocation: &Invocation,
        notes: &mut Vec<String>,
    ) -> Result<Ending, StartError> {
        loop {
            instance.function.label(log::prefix(&invocation.id));
            let status = match instance.function.invoke(invocation.clone()).await {
                Ok(ending) => return Ok(ending),
                Err(NotTaken(status)) => status,
            };
            if instance.started.is_some() {
                let fault = status.map_or(Fault::TimedOut(invocation.limit), Fault::Ended);
                return Ok(Ending { result: Err(fault), took: Duration::ZERO });
            }
            notes.push(match status {
                Some(status) => format!("the function had ended after the event before ({status}); started again"),
                None => "the function asked for no other event; stopped and started again".to_owned(),
            });
            let (launch, generation) = {
                let state = self.state();
                (Arc::clone(&state.launch), state.generation)
            };
            let begin = Instant::now();
            let function = Function::start(&launch).await?;
            mem::replace(&mut instance.function, function).stop().await;
            instance.generation = generation;
            instance.started = Some(begin.elapsed());
        }
    }

    /// Waits for what the function does after its answer.
    pub(super) async fn settle(&self, instance: &mut Instance, ending: &Ending) -> Settled {
        instance.function.settle(ending, self.patience).await
    }

    /// Takes `instance` back, if it can take another event.
    pub(super) async fn leave(&self, instance: Instance, settled: Settled) {
        let Instance { function, generation, started: _, _place } = instance;
        {
            let mut state = self.state();
            if matches!(settled, Settled::Ready) && generation == state.generation {
                state.idle.push(function);
                return;
            }
        }
        function.stop().await;
    }

    /// From now on events go to instances of `launch`; those of the launch before end once they are done.
    pub(super) async fn replace(&self, launch: Launch) {
        let old = {
            let mut state = self.state();
            state.launch = Arc::new(launch);
            state.generation = state.generation.saturating_add(1);
            mem::take(&mut state.idle)
        };
        stop_all(old).await;
    }

    /// Ends all that have no work.
    pub(super) async fn stop(&self) {
        let idle = mem::take(&mut self.state().idle);
        stop_all(idle).await;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    pub(super) fn output(&self) -> String {
        self.function.output()
    }

    pub(super) fn process(&self) -> Option<u32> {
        self.function.process()
    }
}

/// All at once: one that asked to be told of its end has half a second for it.
async fn stop_all(functions: Vec<Function>) {
    let mut stopping: JoinSet<()> = functions.into_iter().map(Function::stop).collect();
    while stopping.join_next().await.is_some() {}
}
