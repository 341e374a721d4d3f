//! When a failed job is tried again: [`RetryPolicy`] and [`Backoff`]. Pure: chance is an input.

use std::time::Duration;

/// How often a job is tried and how long to wait in between.
///
/// ```
/// use leveret::{Backoff, RetryPolicy};
///
/// const PATIENT: RetryPolicy = RetryPolicy::new(8, Backoff::exponential("1s", "10m"));
/// assert_eq!(PATIENT.max_attempts(), 8);
///
/// const ONCE: RetryPolicy = RetryPolicy::new(1, RetryPolicy::DEFAULT.backoff());
/// assert_eq!(ONCE.backoff(), PATIENT.backoff());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    backoff: Backoff,
}

impl RetryPolicy {
    /// Five attempts, exponential backoff from one second to ten minutes.
    pub const DEFAULT: Self = Self::new(5, Backoff::exponential("1s", "10m"));

    /// A policy of `max_attempts` runs in all (the first one counts; 0 is read as 1) with `backoff` in between.
    #[must_use]
    pub const fn new(max_attempts: u32, backoff: Backoff) -> Self {
        Self {
            max_attempts: if max_attempts == 0 { 1 } else { max_attempts },
            backoff,
        }
    }

    /// The number of runs in all, at least 1.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The waits between the runs.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The wait before the next attempt, as a function of how many have failed.
///
/// The failed job waits in RabbitMQ, in the delay ladder, and comes back when its time is over: rounded up to 100 ms, and never before. Neither
/// a worker nor a delivery is held meanwhile.
///
/// ```
/// use std::time::Duration;
/// use leveret::Backoff;
///
/// const BACKOFF: Backoff = Backoff::exponential("1s", "10m");
/// assert_eq!(BACKOFF.ceiling(1), Duration::from_secs(1));
/// assert_eq!(BACKOFF.ceiling(4), Duration::from_secs(8));
/// assert_eq!(BACKOFF.ceiling(60), Duration::from_secs(600));
///
/// assert_eq!(Backoff::none().ceiling(3), Duration::ZERO);
/// assert_eq!(Backoff::fixed("250ms").ceiling(3), Duration::from_millis(250));
/// assert_eq!(Backoff::linear("10s", "1m").ceiling(3), Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff(Curve);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    None,
    Fixed(Duration),
    Linear { step: Duration, cap: Duration },
    Exponential { first: Duration, cap: Duration },
}

impl Backoff {
    /// No wait.
    #[must_use]
    pub const fn none() -> Self {
        Self(Curve::None)
    }

    /// The same wait each time, such as `"30s"`.
    ///
    /// # Panics
    /// If the text is not a whole number of up to eleven digits with a unit of `ms`, `s`, `m`, `h` or `d`; in a `const`
    /// that is a compile error. The same holds for the other constructors that take a text.
    #[must_use]
    #[track_caller]
    pub const fn fixed(wait: &str) -> Self {
        Self(Curve::Fixed(parse_duration(wait)))
    }

    /// `step`, twice `step`, three times `step` … up to `cap`.
    #[must_use]
    #[track_caller]
    pub const fn linear(step: &str, cap: &str) -> Self {
        Self(Curve::Linear {
            step: parse_duration(step),
            cap: parse_duration(cap),
        })
    }

    /// `first`, then twice as long each time, up to `cap`; with full jitter, so that jobs which failed together do
    /// not come back together (the shape that [Exponential Backoff And Jitter][aws] found to finish first).
    ///
    /// [aws]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    #[must_use]
    #[track_caller]
    pub const fn exponential(first: &str, cap: &str) -> Self {
        Self(Curve::Exponential {
            first: parse_duration(first),
            cap: parse_duration(cap),
        })
    }

    /// The longest wait after `failures` failed attempts (1 = after the first).
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let failures = failures.max(1);
        match self.0 {
            Curve::None => Duration::ZERO,
            Curve::Fixed(wait) => wait,
            Curve::Linear { step, cap } => step.saturating_mul(failures).min(cap),
            Curve::Exponential { first, cap } => {
                let doublings = (failures - 1).min(63);
                let factor = 1u64 << doublings;
                let millis = u64::try_from(first.as_millis())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(factor);
                Duration::from_millis(millis).min(cap)
            }
        }
    }

    /// The wait after `failures` failed attempts, given `chance` in `0.0..=1.0`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use leveret::Backoff;
    ///
    /// let backoff = Backoff::exponential("2s", "1m");
    /// assert_eq!(backoff.wait(1, 0.5), Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn wait(&self, failures: u32, chance: f64) -> Duration {
        let ceiling = self.ceiling(failures);
        match self.0 {
            Curve::Exponential { .. } => ceiling.mul_f64(if chance.is_nan() { 1.0 } else { chance.clamp(0.0, 1.0) }),
            Curve::None | Curve::Fixed(_) | Curve::Linear { .. } => ceiling,
        }
    }
}

/// Reads `"250ms"`, `"30s"`, `"10m"`, `"12h"` or `"7d"`.
#[track_caller]
const fn parse_duration(text: &str) -> Duration {
    let bytes = text.as_bytes();
    let mut value: u64 = 0;
    let mut at = 0;
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        // A year in milliseconds has eleven digits, and eleven digits of days in milliseconds still fit a u64.
        assert!(at < 11, "the duration is too long");
        value = value * 10 + (bytes[at] - b'0') as u64;
        at += 1;
    }
    assert!(
        at > 0,
        "a duration is a whole number with a unit: 250ms, 30s, 10m, 12h, 7d"
    );
    let unit = bytes.len() - at;
    let millis = if unit == 2 && bytes[at] == b'm' && bytes[at + 1] == b's' {
        1
    } else if unit == 1 && bytes[at] == b's' {
        1_000
    } else if unit == 1 && bytes[at] == b'm' {
        60_000
    } else if unit == 1 && bytes[at] == b'h' {
        3_600_000
    } else if unit == 1 && bytes[at] == b'd' {
        86_400_000
    } else {
        panic!("a duration is a whole number with a unit: 250ms, 30s, 10m, 12h, 7d")
    };
    Duration::from_millis(value * millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_follows_its_table() {
        let seconds = Duration::from_secs;
        for (backoff, expected) in [
            (Backoff::none(), [0, 0, 0, 0]),
            (Backoff::fixed("3s"), [3, 3, 3, 3]),
            (Backoff::linear("2s", "5s"), [2, 4, 5, 5]),
            (Backoff::exponential("1s", "5s"), [1, 2, 4, 5]),
        ] {
            for (failures, expected) in (1u32..).zip(expected) {
                assert_eq!(
                    backoff.ceiling(failures),
                    seconds(expected),
                    "{backoff:?} after {failures}"
                );
                assert_eq!(
                    backoff.wait(failures, 1.0),
                    seconds(expected),
                    "{backoff:?} after {failures}"
                );
            }
        }
    }

    #[test]
    fn any_number_of_failures_stays_below_the_cap() {
        let backoff = Backoff::exponential("1s", "10m");
        for failures in [0, 1, 62, 63, 64, 65, u32::MAX] {
            assert!(backoff.ceiling(failures) <= Duration::from_secs(600));
        }
    }

    #[test]
    fn strange_chances_do_not_panic() {
        let backoff = Backoff::exponential("1s", "10m");
        for chance in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
            assert!(backoff.wait(3, chance) <= Duration::from_secs(4));
        }
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, millis) in [
            ("0ms", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "s", "10", "10x", "1.5s", "-1s", "10 s", "999999999999d"] {
            assert!(std::panic::catch_unwind(|| parse_duration(text)).is_err(), "{text}");
        }
    }
}
