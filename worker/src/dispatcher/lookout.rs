//! Looking after a consumer that brings nothing: it may be dead without anybody having said so. `silence` decides.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use leveret::broker::{BrokerError, BrokerErrorKind, Session};
use tokio::time::Sleep;

use super::silence::{Sight, Silent};
use super::{Dispatcher, Stop};
use crate::joined::Intake;

/// Whoever may not ask is not refused again before this.
const FORBIDDEN: Duration = Duration::from_secs(3_600);

type Answer = Result<Vec<Sight>, BrokerError>;

/// One subscription's lookout: a timer, or a question under way. While jobs flow it is a timer that rings every now and then.
pub(super) struct Lookout {
    session: Arc<dyn Session>,
    stage: Stage,
}

enum Stage {
    Resting(Pin<Box<Sleep>>),
    Asking(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// What a lookout has to say.
pub(super) enum Signal {
    /// It is time for a look.
    Rang,
    /// The broker has answered, or not.
    Answered(Answer),
}

impl Lookout {
    pub(super) fn new(session: &Arc<dyn Session>, wait: Duration) -> Self {
        Self {
            session: Arc::clone(session),
            stage: Stage::Resting(Box::pin(tokio::time::sleep(wait))),
        }
    }

    /// The next signal; after each, the lookout is told how to go on. It may be dropped at any time.
    pub(super) async fn signal(&mut self) -> Signal {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        match &mut self.stage {
            Stage::Resting(sleep) => sleep.as_mut().poll(cx).map(|()| Signal::Rang),
            Stage::Asking(asking) => asking.as_mut().poll(cx).map(Signal::Answered),
        }
    }

    fn rest(&mut self, wait: Duration) {
        self.stage = Stage::Resting(Box::pin(tokio::time::sleep(wait)));
    }

    fn ask(&mut self, sources: Vec<String>) {
        let session = Arc::clone(&self.session);
        self.stage = Stage::Asking(Box::pin(async move {
            let mut sights = Vec::new();
            for source in sources {
                match session.inspect(&source).await {
                    Ok(depth) => sights.push((source, Some(depth))),
                    Err(error) if error.kind() == BrokerErrorKind::NotFound => sights.push((source, None)),
                    Err(error) => return Err(error),
                }
            }
            Ok(sights)
        }));
    }
}

impl Dispatcher {
    /// Deals with a signal of the lookout.
    pub(super) fn look_out(&mut self, lookout: &mut Lookout, signal: Signal) -> Option<Stop> {
        let intakes = self.intakes();
        let answer = match signal {
            Signal::Rang => {
                let sources = self.silence.due(intakes);
                if sources.is_empty() {
                    lookout.rest(self.silence.wait());
                } else {
                    lookout.ask(sources);
                }
                return None;
            }
            Signal::Answered(answer) => answer,
        };
        let (wait, sights) = match answer {
            Ok(sights) => (None, sights),
            Err(error) => {
                tracing::debug!(queue = self.setup.source, %error, "whether jobs are ready cannot be told now");
                let forbidden = error.kind() == BrokerErrorKind::Permission;
                (forbidden.then_some(FORBIDDEN), Vec::new())
            }
        };
        let silent = self.silence.seen(&intakes, sights);
        lookout.rest(wait.unwrap_or_else(|| self.silence.wait()));
        silent.map(Stop::Silent)
    }

    /// What came on the open channel. While jobs of a channel before are in hand nothing is looked for: each replacement keeps one channel more.
    pub(super) fn intakes(&self) -> Vec<Intake> {
        let may_be_replaced = !self.channels.keeps_a_retired();
        let mut intakes: Vec<Intake> = self.channels.intakes().collect();
        for intake in &mut intakes {
            intake.has_room &= may_be_replaced;
        }
        intakes
    }

    /// The consumer is dead: its channel ends with the last job in hand that came on it, and what the broker keeps for it goes back then.
    pub(super) async fn replace_silent(&mut self, silent: &Silent) {
        tracing::warn!(queue = self.setup.source, "{silent}");
        self.report.silent_consumers += 1;
        self.setup.pulse.silent();
        self.down(silent);
        self.stop_fetching().await;
    }
}
