//! From what a test has set to a finished attempt.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leveret::envelope::{Incoming, Limits as MessageLimits, headers};
use leveret::testing::TestBroker;
use leveret::{EnvelopeError, Message, Rabbit};

use super::ran::Ran;
use super::run::Run;
use crate::attempt;
use crate::attempt::pipeline::Pipeline;
use crate::blocking::Threads;
use crate::cancellation::{Cause, Switch};
use crate::config::Settings;
use crate::context::{Attempt, Surroundings};
use crate::terms::Retrying;
use crate::verdict::{Ended, verdict};

impl Run {
    /// The message that would have brought the job.
    fn message(&self) -> Result<Message, EnvelopeError> {
        let envelope = self.envelope.clone()?;
        let mut message = envelope.to_message(&MessageLimits::default())?;
        let (attempt, table) = (self.circumstances.attempt, &mut message.properties.headers);
        table.insert(headers::ATTEMPT.to_owned(), attempt.into());
        table.insert(headers::HOP.to_owned(), (attempt - 1).into());
        Ok(message)
    }

    /// What keeps the handler from being run at all.
    fn problems(&self) -> Vec<String> {
        let lacking = self.states.lacking(&self.registration.requirements);
        let lacking = lacking
            .into_iter()
            .map(|state| format!("it takes a state of type `{state}`: give it one with `.state(…)`"));
        self.problems.iter().cloned().chain(lacking).collect()
    }

    #[track_caller]
    pub(super) fn prepare(self) -> Prepared {
        let job = self.registration.job.name;
        let problems = self.problems();
        assert!(
            problems.is_empty(),
            "the handler of `{job}` cannot be run: {}",
            problems.join("; ")
        );
        let (message, incoming) = match self.message().map(|message| (Incoming::read(&message), message)) {
            Ok((Ok(incoming), message)) => (message, incoming),
            Ok((Err(error), _)) => panic!("the job `{job}` cannot be read back: {error}"),
            Err(error) => panic!("the job `{job}` cannot be sent: {error}"),
        };
        let spec = self.registration.job;
        let queue = self
            .envelope
            .map_or_else(|_| spec.queue.clone(), |envelope| envelope.queue().clone());
        let rabbit = self.broker.as_ref().map(TestBroker::rabbit);
        let surroundings = Surroundings {
            queue: queue.name().to_owned(),
            worker: self.circumstances.worker,
            states: Arc::new(self.states),
            producer: rabbit.as_ref().map(Rabbit::producer),
        };
        let attempt = Attempt {
            timeout: (incoming.timeout).unwrap_or_else(|| spec.timeout_in(&Settings::default())),
            retrying: Retrying::new(Arc::new(self.terms.terms(&spec))),
            message,
            incoming,
            redelivered: self.circumstances.redelivered,
            surroundings: Arc::new(surroundings),
            switch: Switch::default(),
        };
        Prepared {
            job: spec.name,
            pipeline: Arc::new(Pipeline {
                middlewares: self.middlewares,
                run: self.registration.run,
                threads: spec.blocking.then(|| Threads::new(1)),
            }),
            attempt: Arc::new(attempt),
            stop: self.circumstances.stop,
            rabbit,
        }
    }
}

/// A run whose setting has been checked.
pub(super) struct Prepared {
    job: &'static str,
    pipeline: Arc<Pipeline>,
    attempt: Arc<Attempt>,
    stop: Option<(Duration, Cause)>,
    /// The connections that the handler enqueues on.
    rabbit: Option<Rabbit>,
}

impl Prepared {
    pub(super) async fn perform(self) -> Ran {
        let ended = self.end().await;
        let tries = self.attempt.tries(SystemTime::now);
        if let Some(rabbit) = self.rabbit {
            // What the handler handed over and did not wait for is part of what it did.
            rabbit.enqueues().emptied().await;
        }
        Ran {
            job: self.job,
            verdict: verdict(ended, tries, 1.0).into(),
        }
    }

    /// Runs the handler, and asks it to stop if and when that is wanted.
    async fn end(&self) -> Ended {
        if self.attempt.wanted(SystemTime::now) == Some(Duration::ZERO) {
            return Ended::Expired;
        }
        let mut running = pin!(attempt::run(&self.pipeline, self.attempt.clone()));
        let Some((time, cause)) = self.stop else {
            return running.await;
        };
        if time > Duration::ZERO {
            tokio::select! {
                biased;
                ended = &mut running => return ended,
                () = tokio::time::sleep(time) => {}
            }
        }
        self.attempt.switch.fire(cause);
        running.await
    }
}
