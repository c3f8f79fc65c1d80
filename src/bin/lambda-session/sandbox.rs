//! Where the function lives from event to event, and is started again when it died.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::function::{Ending, Fault, Function, Launch, NotTaken, StartError};
use crate::runtime_api::{Invocation, request_id};

/// One function, started when it is needed.
#[derive(Debug)]
pub(crate) struct Sandbox {
    launch: Launch,
    /// How long the function has for one event.
    limit: Duration,
    function: Option<Function>,
}

/// How an event ended, and what led there.
#[derive(Debug)]
pub(crate) struct Invoked {
    pub(crate) ending: Ending,
    /// What the function wrote meanwhile.
    pub(crate) output: String,
    /// How long the function took to ask for its first event, if it was started for this one.
    pub(crate) started: Option<Duration>,
    pub(crate) notes: Vec<String>,
}

impl Sandbox {
    pub(crate) fn new(launch: Launch, limit: Duration) -> Self {
        Self { launch, limit, function: None }
    }

    /// Gives the event to the function. One that ends between two events is started again, as Lambda does.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<Invoked, StartError> {
        let mut notes = Vec::new();
        loop {
            let (mut function, started) = match self.function.take() {
                Some(function) => (function, None),
                None => {
                    let begin = Instant::now();
                    let function = Function::start(&self.launch).await?;
                    (function, Some(begin.elapsed()))
                }
            };
            let invocation = Invocation { id: request_id(), event: event.clone(), limit: self.limit };
            let ending = match function.invoke(invocation).await {
                Ok(ending) => ending,
                Err(NotTaken(status)) => {
                    function.stop().await;
                    if started.is_none() {
                        notes.push(match status {
                            Some(status) => {
                                format!("the function had ended after the event before ({status}); started again")
                            }
                            None => "the function asked for no other event; stopped and started again".to_owned(),
                        });
                        continue;
                    }
                    let fault = status.map_or(Fault::TimedOut(self.limit), Fault::Ended);
                    let ending = Ending { result: Err(fault), took: Duration::ZERO };
                    return Ok(Invoked { ending, output: String::new(), started, notes });
                }
            };
            // Whether it will take another event shows when it is given one.
            let _ = function.settle(&ending, SETTLING_LIMIT).await;
            let output = function.output();
            match ending.result {
                Err(Fault::Ended(_) | Fault::TimedOut(_)) => function.stop().await,
                _ => self.function = Some(function),
            }
            return Ok(Invoked { ending, output, started, notes });
        }
    }

    /// Stops the function, if it runs.
    pub(crate) async fn stop(&mut self) {
        if let Some(function) = self.function.take() {
            function.stop().await;
        }
    }
}

const SETTLING_LIMIT: Duration = Duration::from_millis(100);
