//! How much one scan looks at, and what it says of what it did not see. Pure.

use std::fmt;
use std::time::Duration;

/// The longest time for which letters are held. The broker takes them back by itself after 30 minutes.
const MAX_TIME: Duration = Duration::from_secs(300);

/// How much one scan looks at: 10,000 letters, 64 MiB and five minutes unless set. What is reached first makes it partial.
///
/// ```
/// use std::time::Duration;
/// use leveret::ScanLimits;
///
/// let limits = ScanLimits::default().letters(2_000).time(Duration::from_secs(60));
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    pub(super) letters: u16,
    pub(super) bytes: usize,
    pub(super) time: Duration,
    /// That the queue's limit of deliveries is never reached is certain, whatever could be checked.
    pub(super) trusting: bool,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            letters: 10_000,
            bytes: 64 * 1024 * 1024,
            time: MAX_TIME,
            trusting: false,
        }
    }
}

impl ScanLimits {
    /// How many letters are held at the most, the oldest first. The broker hands them out all at once.
    ///
    /// Keep it the same for all who inspect a queue, or raise it: an inspector that is killed while it holds fewer letters than were
    /// held before it puts them behind those. Letters that are only held in fewer numbers go back to where they were.
    #[must_use]
    pub fn letters(mut self, letters: u16) -> Self {
        self.letters = letters.max(1);
        self
    }

    /// How many bytes of bodies and headers are kept at the most while letters are held.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long letters are held at the most; five minutes at the very most.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time.min(MAX_TIME);
        self
    }
}

/// What a scan has seen of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// How many letters it looked at, the oldest ones.
    pub seen: usize,
    /// How many there were when it began, those that somebody else held not counted.
    pub there: usize,
    /// Why it did not look at all of them; `None`: it did.
    pub partial: Option<Partial>,
}

impl Scan {
    /// Whether it looked at all there were.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.partial.is_none()
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, there, partial } = self;
        match partial {
            None => write!(f, "{seen} letters looked at, all there were"),
            Some(partial) => write!(f, "partial: {seen} of {there} letters looked at; {partial}"),
        }
    }
}

/// Why a scan did not see everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partial {
    /// The limit of letters.
    Letters,
    /// The limit of bytes.
    Bytes,
    /// The limit of time.
    Time,
    /// Fewer came than there were: somebody else consumes the queue.
    Shared,
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Letters => "the limit of letters was reached: raise it, or deal with the oldest first",
            Self::Bytes => "the limit of bytes was reached: raise it, or deal with the oldest first",
            Self::Time => "the limit of time was reached: do it again for the rest",
            Self::Shared => "the others went to somebody who consumes this queue: stop that, then scan again",
        })
    }
}

/// How far one scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) limits: ScanLimits,
    /// Ready when it began.
    pub(super) there: usize,
    /// Came, and kept.
    pub(super) seen: usize,
    /// Came, and not kept for want of room.
    pub(super) passed: usize,
    /// Of what was kept.
    pub(super) bytes: usize,
}

impl Reach {
    pub(super) fn new(limits: ScanLimits, there: usize) -> Self {
        Self {
            limits,
            there,
            seen: 0,
            passed: 0,
            bytes: 0,
        }
    }

    /// How many letters to ask for.
    pub(super) fn wanted(&self) -> u16 {
        u16::try_from(self.there).unwrap_or(u16::MAX).min(self.limits.letters)
    }

    /// Whether all that was asked for has come.
    pub(super) fn is_filled(&self) -> bool {
        self.seen + self.passed >= usize::from(self.wanted())
    }

    /// Takes in one that came. `false`: there is no room to keep it, nor any after it.
    pub(super) fn admit(&mut self, bytes: usize) -> bool {
        let total = self.bytes.saturating_add(bytes);
        // One is always kept: a letter above the limit could never be looked at otherwise.
        if self.passed > 0 || (self.seen > 0 && total > self.limits.bytes) {
            self.passed += 1;
            return false;
        }
        self.seen += 1;
        self.bytes = total;
        true
    }

    /// What to say at the end; `late`: the time ran out.
    pub(super) fn scan(&self, late: bool) -> Scan {
        let partial = match () {
            () if self.passed > 0 => Some(Partial::Bytes),
            () if late && self.seen < self.there => Some(Partial::Time),
            () if !self.is_filled() => Some(Partial::Shared),
            () if self.seen < self.there => Some(Partial::Letters),
            () => None,
        };
        Scan {
            seen: self.seen,
            there: self.there,
            partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(there: usize, sizes: &[usize]) -> Reach {
        let limits = ScanLimits::default().letters(3).bytes(100);
        let mut reach = Reach::new(limits, there);
        for size in sizes {
            reach.admit(*size);
        }
        reach
    }

    #[test]
    fn what_was_not_seen_has_a_reason() {
        for (there, sizes, late, partial) in [
            (0, &[][..], false, None),
            (2, &[10, 10], false, None),
            (2, &[10, 10], true, None),
            (3, &[10, 10], false, Some(Partial::Shared)),
            (3, &[10, 10], true, Some(Partial::Time)),
            (4, &[10, 10, 10], false, Some(Partial::Letters)),
            (3, &[60, 60, 10], false, Some(Partial::Bytes)),
            (1, &[1_000], false, None),
        ] {
            assert_eq!(reach(there, sizes).scan(late).partial, partial, "{there} {sizes:?}");
        }
    }

    #[test]
    fn after_one_that_had_no_room_none_is_kept() {
        let reach = reach(3, &[60, 60, 10]);
        assert_eq!((reach.seen, reach.passed, reach.bytes), (1, 2, 60));
        assert!(reach.is_filled());
    }

    #[test]
    fn letters_are_held_for_five_minutes_at_the_most() {
        assert_eq!(ScanLimits::default().time(Duration::from_secs(3_600)).time, MAX_TIME);
        assert_eq!(ScanLimits::default().letters(0).letters, 1);
    }
}
