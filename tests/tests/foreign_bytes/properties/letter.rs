//! Dead letters, as the inspector reads, carries and redrives them.

use std::sync::Mutex;

use leveret::broker::Destination;
use leveret::testing::TestBroker;
use leveret::{DeadLetterRecord, DeadLetters, Filter, ImportReport, Message, Queue};
use tokio::runtime::{Builder, Runtime};

use super::message::is_one_hop_on;
use super::source::{Source, foreign};

const MAIL: Queue = Queue::new("mail");
const DEAD: &str = "mail.dead";

/// Takes any input.
pub fn check(input: &[u8]) {
    let message = Source::new(input).message();
    let record = DeadLetterRecord::read(&message);
    assert!(record.attempt >= 1 && record.size == message.body.len());
    assert!(record.fingerprint().to_string().len() < 4_000);
    Desk::with(|desk| {
        if !desk.publish(&message) {
            return;
        }
        desk.is_listed_as(&record);
        desk.is_carried(&message);
        desk.is_redriven(&message);
    });
}

/// A broker in memory with a queue of dead letters, empty for each input.
pub struct Desk {
    runtime: Runtime,
    broker: TestBroker,
    letters: DeadLetters,
}

impl Desk {
    /// Used again and again: to make one for each input would take longer than the input. Never dropped, as threads and their
    /// clocks may be gone by then.
    pub fn with(act: impl FnOnce(&Desk)) {
        static DESKS: Mutex<Vec<Desk>> = Mutex::new(Vec::new());
        let free = DESKS.lock().expect("no panic in here").pop();
        // After a panic it does not come back: whatever it was about is still on it.
        let desk = free.unwrap_or_else(Desk::open);
        act(&desk);
        desk.empty();
        DESKS.lock().expect("no panic in here").push(desk);
    }

    fn open() -> Desk {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let (broker, letters) = runtime.block_on(async {
            let broker = TestBroker::new();
            let rabbit = broker.rabbit();
            rabbit.declare(&MAIL).await.expect("declared");
            let letters = DeadLetters::of(&rabbit, &MAIL).trusting_the_delivery_limit();
            (broker, letters)
        });
        Desk {
            runtime,
            broker,
            letters,
        }
    }

    fn empty(&self) {
        for queue in self.broker.memory().queues() {
            self.broker.memory().purge(&queue);
        }
    }

    /// As a foreign producer would. `false`: AMQP cannot carry it.
    fn publish(&self, message: &Message) -> bool {
        let sent = self.broker.memory().publish_raw(&Destination::queue(DEAD), message);
        sent.is_ok()
    }

    /// What lies in the queue of dead letters.
    pub fn letters(&self) -> Vec<Message> {
        self.broker.memory().contents(DEAD)
    }

    /// Imports lines, whether they are here already or not.
    pub fn import(&self, lines: &str, dry_run: bool) -> ImportReport {
        let import = self.letters.import(lines).even_again();
        let import = if dry_run { import.dry_run() } else { import };
        let report = self.runtime.block_on(async { import.await });
        report.expect("the broker answers")
    }

    /// All letters as lines.
    pub fn export(&self) -> String {
        let export = self.runtime.block_on(self.letters.export(Filter::all()));
        export.expect("the broker answers").to_text()
    }

    fn is_listed_as(&self, record: &DeadLetterRecord) {
        let listing = self.runtime.block_on(self.letters.list(Filter::all())).expect("listed");
        assert_eq!(listing.found.len(), 1, "{}", listing.scan);
        let found = &listing.found[0];
        assert_eq!(
            (&found.id, &found.job, found.size),
            (&record.id, &record.job, record.size)
        );
        assert_eq!(found.death.reason, record.death.reason);
        let groups = self
            .runtime
            .block_on(self.letters.groups(Filter::all()))
            .expect("grouped");
        assert_eq!(groups.found.len(), 1);
    }

    /// Out of here as a line and in again it is the same, one hop on.
    fn is_carried(&self, message: &Message) {
        let lines = self.export();
        assert_eq!(lines.matches('\n').count(), 1, "one letter, one line");
        let report = self.import(&lines, false);
        let stored = self.letters();
        if report.stored() == 0 {
            // An id that is none, or a header that has no room for one more of ours.
            assert_eq!(stored.len(), 1);
            return;
        }
        let [original, carried] = &stored[..] else {
            panic!("{} letters", stored.len());
        };
        assert_eq!(carried.body, message.body);
        assert_eq!(carried.properties.kind, message.properties.kind);
        assert_eq!(foreign(carried), foreign(message));
        let (before, after) = (DeadLetterRecord::read(original), DeadLetterRecord::read(carried));
        assert_eq!((after.attempt, after.redriven), (before.attempt, before.redriven));
        // Not by the records: a hop that makes no sense is none there, and the largest here.
        is_one_hop_on(original, carried);
        assert_eq!(
            (after.death.reason, after.death.error),
            (before.death.reason, before.death.error)
        );
        self.broker.memory().purge(DEAD);
        assert!(self.publish(message));
    }

    /// It goes to its queue or stays, and says why.
    fn is_redriven(&self, message: &Message) {
        let redrive = self.letters.redrive(Filter::all());
        let report = self
            .runtime
            .block_on(async { redrive.await })
            .expect("the broker answers");
        let (here, there) = (self.letters(), self.broker.memory().contents(MAIL.name()));
        assert_eq!(here.len() + there.len(), 1, "{report}");
        assert!(here.iter().chain(&there).all(|letter| letter.body == message.body));
        assert_eq!(here.len(), report.refused.len(), "{report}");
    }
}
