//! What lies in the queue of a schedule: [`Note`]. Pure.

use leveret::{HeaderValue, Message};

use super::calendar::Millis;

const CALL: &str = "leveret.schedule.call";
const BATON: &str = "leveret.schedule.baton";

const LAST: &str = "leveret-schedule-last-ms";
const NEXT: &str = "leveret-schedule-next-ms";
const SERIAL: &str = "leveret-schedule-serial";
const BY: &str = "leveret-schedule-by";
const RULE: &str = "leveret-schedule-rule";
const JOB: &str = "leveret-schedule-job";

/// A message in the queue of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) kind: Kind,
    /// Everything up to here is done. Of a call: when it was made, so that nothing before the first call ever is due.
    pub(super) last: Millis,
    /// When the schedule is due next. One that has been changed since still owes this tick.
    pub(super) next: Option<Millis>,
    /// Raised by each new baton; numbers the calls of one replica.
    pub(super) serial: u64,
    /// Who wrote it.
    pub(super) by: String,
    /// When the schedule is due, in words.
    pub(super) rule: String,
    /// The job that it enqueues.
    pub(super) job: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A replica is here. Where there is no baton yet, the oldest call is as good as one.
    Call,
    /// The state of the schedule; whoever holds the newest leads.
    Baton,
}

impl Note {
    /// Which of two notes counts. Of batons the one that is further; a baton before any call; of calls the older, so that no tick
    /// since the first one is forgotten. Equal ones count the same.
    pub(super) fn is_ahead_of(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (Kind::Baton, Kind::Baton) => (self.last, self.serial) > (other.last, other.serial),
            (Kind::Baton, Kind::Call) => true,
            (Kind::Call, Kind::Baton) => false,
            (Kind::Call, Kind::Call) => self.last < other.last,
        }
    }

    pub(super) fn to_message(&self) -> Message {
        let mut message = Message::default();
        let properties = &mut message.properties;
        let kind = match self.kind {
            Kind::Call => CALL,
            Kind::Baton => BATON,
        };
        properties.kind = Some(kind.into());
        properties.message_id = Some(format!("{}/{}", self.by, self.serial).into());
        properties.app_id = Some("leveret".into());
        let headers = &mut properties.headers;
        headers.insert(LAST.to_owned(), self.last.into());
        if let Some(next) = self.next {
            headers.insert(NEXT.to_owned(), next.into());
        }
        headers.insert(SERIAL.to_owned(), i64::try_from(self.serial).unwrap_or(i64::MAX).into());
        for (name, text) in [(BY, &self.by), (RULE, &self.rule), (JOB, &self.job)] {
            headers.insert(name.to_owned(), text.as_str().into());
        }
        message
    }

    /// `None`: it is something else.
    pub(super) fn read(message: &Message) -> Option<Self> {
        let headers = &message.properties.headers;
        let int = |name: &str| headers.get(name).and_then(HeaderValue::as_int);
        let text = |name: &str| headers.get(name).and_then(HeaderValue::as_text).map(str::to_owned);
        let kind = match message.properties.kind.as_deref()? {
            CALL => Kind::Call,
            BATON => Kind::Baton,
            _ => return None,
        };
        Some(Self {
            kind,
            last: int(LAST)?,
            next: int(NEXT),
            serial: u64::try_from(int(SERIAL)?).ok()?,
            by: text(BY)?,
            rule: text(RULE).unwrap_or_default(),
            job: text(JOB).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: Kind, last: Millis, serial: u64) -> Note {
        Note {
            kind,
            last,
            next: Some(last + 1_000),
            serial,
            by: "someone".to_owned(),
            rule: "every 1000 ms".to_owned(),
            job: "report".to_owned(),
        }
    }

    #[test]
    fn a_note_comes_back_as_it_went() {
        for kind in [Kind::Call, Kind::Baton] {
            let mut note = note(kind, 1_763_784_000_000, 17);
            assert_eq!(Note::read(&note.to_message()), Some(note.clone()));
            note.next = None;
            assert_eq!(Note::read(&note.to_message()), Some(note));
        }
    }

    #[test]
    fn what_is_no_note_is_not_taken_for_one() {
        let mut message = note(Kind::Baton, 1, 1).to_message();
        message.properties.headers.remove(LAST);
        assert_eq!(Note::read(&message), None);
        let mut message = note(Kind::Baton, 1, 1).to_message();
        message.properties.kind = Some("send_welcome".into());
        assert_eq!(Note::read(&message), None);
        assert_eq!(Note::read(&Message::default()), None);
    }

    #[test]
    fn the_note_that_counts() {
        let (baton, call) = (
            |last, serial| note(Kind::Baton, last, serial),
            |last| note(Kind::Call, last, 1),
        );
        for (ahead, behind) in [
            (baton(2_000, 1), baton(1_000, 9)),
            (baton(1_000, 2), baton(1_000, 1)),
            (baton(1, 1), call(1_000)),
            (call(1_000), call(2_000)),
        ] {
            assert!(ahead.is_ahead_of(&behind), "{ahead:?} {behind:?}");
            assert!(!behind.is_ahead_of(&ahead), "{ahead:?} {behind:?}");
        }
        assert!(!baton(1, 1).is_ahead_of(&baton(1, 1)) && !call(1).is_ahead_of(&call(1)));
    }
}
