//! Making room for a suspect: no new jobs, those in hand are finished, and the dispatcher holds none until the suspects are done.

use std::pin::pin;
use std::time::Duration;

use super::{Dispatcher, Next, NotSubscribed, Role, Stop};
use crate::health::QueueState;
use crate::quiet::Presence;

/// How long a consumer that is to be cancelled may take to have all it may fetch. Of a queue with no more jobs it never has, and then hardly any
/// is under way.
const BRIM: Duration = Duration::from_millis(100);

impl Dispatcher {
    /// Whether another dispatcher of the worker wants to be alone. Suspects of several queues wait for each other with a job in hand
    /// whose start is not counted, so they lose nothing if the worker crashes meanwhile.
    pub(super) fn is_to_be_quiet(&self) -> bool {
        self.setup.role == Role::Work && self.setup.quiet.is_asked_for()
    }

    /// Begins to hold jobs, if it may.
    pub(super) fn enter(&self) -> Result<Option<Presence>, NotSubscribed> {
        match self.setup.role {
            Role::Suspects => Ok(None),
            Role::Work => self.setup.quiet.enter().map(Some).ok_or(NotSubscribed::Hushed),
        }
    }

    /// The queues to consume.
    pub(super) fn sources(&self) -> Vec<String> {
        match self.setup.role {
            Role::Work => self.wires.successors.sources().to_vec(),
            Role::Suspects => vec![self.setup.source.clone()],
        }
    }

    /// It has no job and can be given none.
    pub(super) fn leave_if_empty(&mut self) {
        if !self.channels.is_open() && self.hand.is_empty() {
            self.presence = None;
        }
    }

    /// Takes no new jobs. Those in hand are finished and not given back: brokers count what is given back, and neighbours of one suspect
    /// would become the next.
    pub(super) async fn hush(&mut self) -> Next {
        self.stop_fetching().await;
        match self.wait_for_the_others().await {
            Some(()) => Next::AtOnce,
            None => Next::Leave,
        }
    }

    /// Cancels the consumer and keeps what it has brought.
    ///
    /// RabbitMQ answers a cancel before a quorum queue has heard of it. What the queue gives out in between nobody gets: it goes back and is
    /// counted, as if a worker had crashed with it. Under load that is most of a prefetch, each time. To a consumer that has all it may fetch nothing
    /// is given, so what is done is not told until then.
    pub(super) async fn stop_fetching(&mut self) {
        let mut patience = pin!(tokio::time::sleep(BRIM));
        // A suspect is alone; and what was settled before it starts must be known.
        self.brimming = self.setup.role == Role::Work;
        let mut cancelled = false;
        while self.channels.is_open() {
            let may_wait = self.brimming && !self.channels.is_full() && !patience.is_elapsed();
            if !cancelled && !may_wait {
                self.cancel().await;
                (cancelled, self.brimming) = (true, false);
                continue;
            }
            let stop = tokio::select! {
                biased;
                () = &mut patience, if self.brimming => None,
                stop = self.turn() => stop,
            };
            match stop {
                None => {}
                Some(Stop::Lost(_)) => self.lose_channels(false),
                // Of two queues one is gone; the other may still bring something.
                Some(_) if self.channels.bring() => {}
                Some(_) => self.set_channel_aside(),
            }
        }
        self.brimming = false;
        self.leave_if_empty();
    }

    async fn cancel(&mut self) {
        if let Err(error) = self.channels.cancel().await {
            tracing::warn!(queue = self.setup.source, %error, "the consumer could not be cancelled");
            self.lose_channels(false);
        }
    }

    /// Finishes what is in hand, and waits until nobody wants to be alone. `None`: the worker shuts down.
    pub(super) async fn wait_for_the_others(&mut self) -> Option<()> {
        let reason = "a job that may have crashed its worker is run alone".to_owned();
        self.setup.reporter.set(QueueState::Paused { reason });
        let mut consuming = self.wires.consuming.state();
        let mut quiet = self.setup.quiet.watch();
        loop {
            let connection = consuming.borrow_and_update().generation();
            self.follow(connection);
            self.leave_if_empty();
            if !self.is_to_be_quiet() {
                return Some(());
            }
            let changed = async {
                tokio::select! {
                    biased;
                    () = quiet.next() => false,
                    // An error means that the connection is closed for good, which `next_session` deals with.
                    changed = consuming.changed() => changed.is_err(),
                }
            };
            if self.serve_while_running(changed).await? {
                return Some(());
            }
        }
    }
}
