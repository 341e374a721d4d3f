//! Holding everybody for as long as it takes to count what the broker has.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret_tests::QueueDepth;
use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::Told;

use crate::row::Destroyed;
use crate::stage::Stage;

/// For what takes milliseconds on a quiet machine.
const SETTLING: Duration = Duration::from_secs(60);

impl Stage {
    /// From now on workers keep the jobs that they are given, connected as they are.
    pub(crate) fn hold_workers(&mut self) {
        self.flow.workers.iter_mut().for_each(|worker| worker.signal("USR1"));
    }

    /// Workers go on.
    pub(crate) fn release_workers(&mut self) {
        self.flow.workers.iter_mut().for_each(|worker| worker.signal("USR2"));
    }

    /// The producer enqueues nothing more, connected as it is; returns once the fate of all before is known.
    pub(crate) async fn hold_producer(&mut self) {
        self.flow.producer.signal("USR1");
        let producer = &self.flow.producer;
        let held = async || producer.said().ends_with("held");
        eventually_within(SETTLING, "the producer is held".to_owned(), held).await;
    }

    /// The producer goes on.
    pub(crate) fn release_producer(&mut self) {
        self.flow.producer.signal("USR2");
    }

    /// Jobs that were confirmed and are not done.
    pub(crate) fn waiting(&self) -> BTreeSet<u64> {
        let produced = self.flow.produced();
        let confirmed = produced.iter().filter(|line| line.told == Told::Confirmed);
        let mut waiting: BTreeSet<u64> = confirmed.map(|line| line.id).collect();
        for line in self.flow.worked().iter().filter(|line| line.done) {
            waiting.remove(&line.id);
        }
        waiting
    }

    /// The depths of all queues that jobs lie in.
    pub(crate) async fn depths(&self) -> Vec<QueueDepth> {
        let columns = ["name", "messages", "messages_ready", "messages_unacknowledged"];
        let list = ["list_queues", "-p", self.vhost(), "--quiet", "--formatter", "json"];
        let printed = self.ctl(&[&list[..], &columns].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("list_queues printed {printed:?}: {error}"))
    }

    /// Waits until a queue is as it is wanted.
    pub(crate) async fn wait_for_depth(&self, queue: &str, wanted: impl Fn(&QueueDepth) -> bool) {
        let is_so = async || {
            let depths = self.depths().await;
            depths.iter().find(|depth| depth.name == queue).is_some_and(&wanted)
        };
        eventually_within(SETTLING, format!("{queue} is as it is wanted"), is_so).await;
    }

    /// Has channels look every second at what they may, and how long jobs are held, rather than every minute: those that are opened from now
    /// on, which are all.
    pub(crate) async fn tick_often(&mut self) {
        let often = "application:set_env(rabbit, channel_tick_interval, 1000).";
        self.ctl(&["eval", often]).await;
        self.node().close_all_connections().await;
        let done = self.flow.done();
        self.flow.wait_for_done(done + 100).await;
    }

    /// Lets jobs pile up for a moment and holds everybody. Returns what lies in the work queue: the waiting jobs, all of them, neither more nor fewer.
    pub(crate) async fn hold_all(&mut self) -> Destroyed {
        self.hold_workers();
        self.last(Duration::from_secs(2)).await;
        self.hold_producer().await;
        let waiting = self.waiting();
        let (queue, count) = (self.flow.queue.clone(), waiting.len() as u64);
        let in_hand = AtomicUsize::new(0);
        let what = format!("all {count} jobs that wait lie in {queue}, and nothing else anywhere");
        let all_there = async || {
            let depths = self.depths().await;
            let own = depths.iter().find(|depth| depth.name == queue);
            in_hand.store(own.map_or(0, |own| own.unacked as usize), Ordering::Relaxed);
            own.is_some_and(|own| own.messages == count)
                && depths.iter().map(|depth| depth.messages).sum::<u64>() == count
        };
        eventually_within(SETTLING, what, all_there).await;
        let destroyed = Destroyed {
            jobs: waiting,
            in_hand: in_hand.into_inner(),
        };
        self.note(format!(
            "{count} lay there, {} of them in workers' hands",
            destroyed.in_hand
        ));
        destroyed
    }

    /// Everybody goes on.
    pub(crate) fn release_all(&mut self) {
        self.release_workers();
        self.release_producer();
    }
}
