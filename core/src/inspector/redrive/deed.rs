//! The deed: each job is confirmed in its queue before its letter is removed.

use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::plan::{Plan, plan};
use super::{Redrive, RedriveEvent, RedriveReport, Redriven, Refusal, Refused, Rules, Watcher};
use crate::broker::{BrokerError, Delivery, Lease};
use crate::inspector::bounds::Partial;
use crate::inspector::error::InspectError;
use crate::inspector::filter::Filter;
use crate::inspector::hold::Hold;
use crate::inspector::record::DeadLetterRecord;
use crate::inspector::source::Source;
use crate::lane::Publish;
use crate::ledger::Fate;

pub(super) async fn redrive(order: Redrive) -> Result<RedriveReport, InspectError> {
    let Redrive {
        letters,
        filter,
        rules,
        watcher,
    } = order;
    let hold = Hold::take(&letters.source, letters.limits).await?;
    let report = RedriveReport {
        redriven: Vec::new(),
        refused: Vec::new(),
        scan: hold.scan,
        stopped: None,
        dry_run: rules.dry_run,
    };
    let run = Run {
        source: letters.source,
        rules,
        hold,
        flying: FuturesOrdered::new(),
        report,
        watcher,
    };
    Ok(run.through(&filter).await)
}

/// One that was sent.
struct Sent {
    lease: Lease,
    redriven: Redriven,
    result: Result<(), Fate>,
}

struct Run {
    source: Source,
    rules: Rules,
    hold: Hold,
    /// In the order in which they were sent.
    flying: FuturesOrdered<BoxFuture<'static, Sent>>,
    report: RedriveReport,
    watcher: Option<Watcher>,
}

impl Run {
    async fn through(mut self, filter: &Filter) -> RedriveReport {
        let now = self.source.rabbit.clock().wall();
        let mut chosen = 0;
        for delivery in std::mem::take(&mut self.hold.letters) {
            if chosen >= self.rules.at_most || self.must_stop() {
                break;
            }
            let record = DeadLetterRecord::read(&delivery.message);
            if filter.matches(&record, now) && self.letter(&record, delivery, (chosen, now)).await {
                chosen += 1;
            }
        }
        while let Some(sent) = self.flying.next().await {
            self.finish(sent);
        }
        let Self { hold, mut report, .. } = self;
        let acked = report.redriven.len();
        if let Err(error) = hold.give_back().await
            && !report.dry_run
            && acked > 0
        {
            report.stopped.get_or_insert_with(|| told_twice(&error, acked));
        }
        report
    }

    /// Whether no more letters may be sent.
    fn must_stop(&mut self) -> bool {
        if self.hold.is_over() {
            self.report.scan.partial.get_or_insert(Partial::Time);
            return true;
        }
        // Whoever does not hold its letter any more must not send its job: somebody else may be doing that.
        if let Some(error) = self.hold.loss() {
            let sent = self.report.redriven.len();
            self.report.stopped.get_or_insert_with(|| told_twice(&error, sent));
        }
        self.report.stopped.is_some()
    }

    /// Deals with one letter that is meant; `true`: it is on its way, or would be.
    async fn letter(
        &mut self,
        record: &DeadLetterRecord,
        delivery: Delivery,
        (number, now): (usize, SystemTime),
    ) -> bool {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let wait = self.rules.spacing.saturating_mul(number);
        let planned = plan((record, &delivery.message), &self.source, (&self.rules, wait), now);
        let plan = match planned {
            Ok(plan) => plan,
            Err(why) => {
                let id = record.id.clone();
                self.refuse(Refused { id, why });
                return false;
            }
        };
        let redriven = Redriven {
            id: record.id.clone(),
            job: record.job.clone(),
            queue: plan.queue.clone(),
            wait,
        };
        self.tell(&RedriveEvent::Chosen(&redriven));
        match self.rules.dry_run {
            true => self.report.redriven.push(redriven),
            false => self.send(plan, delivery.lease, redriven).await,
        }
        true
    }

    async fn send(&mut self, plan: Plan, lease: Lease, redriven: Redriven) {
        let rabbit = &self.source.rabbit;
        let publish = Publish {
            target: plan.target,
            message: plan.message,
            timeout: rabbit.options().deadlines().confirm,
        };
        let publishing = rabbit.enqueues().publish(publish).await;
        let flying = async move {
            let result = publishing.await;
            Sent {
                lease,
                redriven,
                result,
            }
        };
        self.flying.push_back(flying.boxed());
        while self.flying.len() >= self.rules.window
            && let Some(sent) = self.flying.next().await
        {
            self.finish(sent);
        }
        while let Some(Some(sent)) = self.flying.next().now_or_never() {
            self.finish(sent);
        }
    }

    /// The only place where a letter is removed: its job is confirmed.
    fn finish(&mut self, sent: Sent) {
        let Sent {
            lease,
            redriven,
            result,
        } = sent;
        match result {
            Ok(()) => {
                self.tell(&RedriveEvent::Confirmed(&redriven));
                self.hold.remove(lease);
                self.hold.flush();
                self.report.redriven.push(redriven);
            }
            Err(fate) => {
                if matches!(fate, Fate::NotSent | Fate::Unknown) {
                    let why = "the broker does not answer publishes; the rest was not touched";
                    self.report.stopped.get_or_insert_with(|| why.to_owned());
                }
                self.refuse(Refused {
                    id: redriven.id,
                    why: Refusal::NotStored(fate),
                });
            }
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.tell(&RedriveEvent::Refused(&refused));
        self.report.refused.push(refused);
    }

    fn tell(&mut self, event: &RedriveEvent<'_>) {
        if let Some(watcher) = &mut self.watcher {
            watcher(event);
        }
    }
}

fn told_twice(error: &BrokerError, sent: usize) -> String {
    format!(
        "the connection that held the letters was lost ({error}); {sent} jobs are stored in their queues, and some of their letters may be \
         back: a second redrive would send those jobs again, with the same ids"
    )
}
