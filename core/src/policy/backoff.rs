//! The waits between the attempts of a job: [`Backoff`] and its [`Jitter`].

use std::time::Duration;

use super::text::parse_duration;

/// The wait before the next attempt, as a function of how many have failed.
///
/// ```
/// use std::time::Duration;
/// use leveret::{Backoff, Jitter};
///
/// const BACKOFF: Backoff = Backoff::exponential("1s", "10m");
/// assert_eq!(BACKOFF.ceiling(1), Duration::from_secs(1));
/// assert_eq!(BACKOFF.ceiling(4), Duration::from_secs(8));
/// assert_eq!(BACKOFF.ceiling(60), Duration::from_secs(600));
///
/// assert_eq!(Backoff::none().ceiling(3), Duration::ZERO);
/// assert_eq!(Backoff::fixed("250ms").ceiling(3), Duration::from_millis(250));
/// assert_eq!(Backoff::linear("10s", "1m").ceiling(3), Duration::from_secs(30));
///
/// const STEPS: Backoff = Backoff::list(&["5s", "1m", "15m"]).with_jitter(Jitter::Equal);
/// assert_eq!(STEPS.ceiling(2), Duration::from_secs(60));
/// assert_eq!(STEPS.ceiling(9), Duration::from_secs(900)); // the last one counts from there on
/// ```
///
/// A wait is never shorter than it says, and at most one unit of the delay ladder (100 ms) and a hop longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    curve: Curve,
    jitter: Jitter,
}

/// How much of a wait is left to chance, so that jobs which failed together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use leveret::{Backoff, Jitter};
///
/// let (low, high) = (0.0, 1.0); // the least and the greatest that chance may be
/// let backoff = Backoff::fixed("10s");
/// assert_eq!(backoff.with_jitter(Jitter::None).wait(1, low), Duration::from_secs(10));
/// assert_eq!(backoff.with_jitter(Jitter::Equal).wait(1, low), Duration::from_secs(5));
/// assert_eq!(backoff.with_jitter(Jitter::Full).wait(1, low), Duration::ZERO);
/// assert_eq!(backoff.with_jitter(Jitter::Full).wait(1, high), Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Anything from nothing to the whole wait: what spreads best, and finishes first ([Exponential Backoff And Jitter][aws]). What
    /// [`Backoff::exponential`] has unless it is given another.
    ///
    /// [aws]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    Full,
    /// Half of the wait, and anything up to the other half on top: a wait that is there in any case.
    Equal,
    /// The whole wait, always. What the other curves have unless they are given another.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    None,
    Fixed(Duration),
    Linear {
        step: Duration,
        cap: Duration,
    },
    Exponential {
        first: Duration,
        cap: Duration,
    },
    /// Texts that were read once when it was made: a constant cannot hold what they mean.
    List(&'static [&'static str]),
}

impl Backoff {
    /// No wait.
    #[must_use]
    pub const fn none() -> Self {
        Self::of(Curve::None)
    }

    /// The same wait each time, such as `"30s"`.
    ///
    /// # Panics
    /// If the text is not a whole number of up to eleven digits with a unit of `ms`, `s`, `m`, `h` or `d`; in a `const`
    /// that is a compile error. The same holds for the other constructors that take a text.
    #[must_use]
    #[track_caller]
    pub const fn fixed(wait: &str) -> Self {
        Self::fixed_of(parse_duration(wait))
    }

    /// `step`, twice `step`, three times `step` … up to `cap`.
    #[must_use]
    #[track_caller]
    pub const fn linear(step: &str, cap: &str) -> Self {
        Self::linear_of(parse_duration(step), parse_duration(cap))
    }

    /// `first`, then twice as long each time, up to `cap`; with [`Jitter::Full`] unless it is given another.
    #[must_use]
    #[track_caller]
    pub const fn exponential(first: &str, cap: &str) -> Self {
        Self::exponential_of(parse_duration(first), parse_duration(cap))
    }

    /// These waits, one after the other; the last one again and again.
    ///
    /// ```compile_fail
    /// const BACKOFF: leveret::Backoff = leveret::Backoff::list(&["5s", "a minute"]);
    /// ```
    ///
    /// # Panics
    /// As the others, and if the list is empty.
    #[must_use]
    #[track_caller]
    pub const fn list(waits: &'static [&'static str]) -> Self {
        assert!(
            !waits.is_empty(),
            "a list of waits has one at least; `Backoff::none()` is no wait"
        );
        let mut at = 0;
        while at < waits.len() {
            parse_duration(waits[at]);
            at += 1;
        }
        Self::of(Curve::List(waits))
    }

    /// [`Backoff::fixed`] for a time that is known only when the program runs, such as one from its settings.
    #[must_use]
    pub const fn fixed_of(wait: Duration) -> Self {
        Self::of(Curve::Fixed(wait))
    }

    /// [`Backoff::linear`] for times that are known only when the program runs.
    #[must_use]
    pub const fn linear_of(step: Duration, cap: Duration) -> Self {
        Self::of(Curve::Linear { step, cap })
    }

    /// [`Backoff::exponential`] for times that are known only when the program runs, to the millisecond.
    #[must_use]
    pub const fn exponential_of(first: Duration, cap: Duration) -> Self {
        Self {
            curve: Curve::Exponential { first, cap },
            jitter: Jitter::Full,
        }
    }

    const fn of(curve: Curve) -> Self {
        Self {
            curve,
            jitter: Jitter::None,
        }
    }

    /// The same waits, with so much of each left to chance.
    #[must_use]
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The longest wait after `failures` failed attempts (1 = after the first).
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let failures = failures.max(1);
        match self.curve {
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
            Curve::List(waits) => {
                let at = usize::try_from(failures - 1).unwrap_or(usize::MAX);
                waits
                    .get(at)
                    .or(waits.last())
                    .map_or(Duration::ZERO, |wait| parse_duration(wait))
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
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => part(ceiling, chance),
            Jitter::Equal => {
                let half = ceiling / 2;
                (ceiling - half).saturating_add(part(half, chance))
            }
        }
    }
}

/// A part of a time. No number is too strange, none too large.
fn part(whole: Duration, share: f64) -> Duration {
    let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
    Duration::try_from_secs_f64(whole.as_secs_f64() * share).map_or(whole, |part| part.min(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVES: [(Backoff, [u64; 4]); 5] = [
        (Backoff::none(), [0, 0, 0, 0]),
        (Backoff::fixed("3s"), [3, 3, 3, 3]),
        (Backoff::linear("2s", "5s"), [2, 4, 5, 5]),
        (Backoff::exponential("1s", "5s"), [1, 2, 4, 5]),
        (Backoff::list(&["7s", "1m", "4s"]), [7, 60, 4, 4]),
    ];

    #[test]
    fn each_curve_follows_its_table() {
        for (backoff, expected) in CURVES {
            for (failures, expected) in (1u32..).zip(expected) {
                let expected = Duration::from_secs(expected);
                assert_eq!(backoff.ceiling(failures), expected, "{backoff:?} after {failures}");
                assert_eq!(backoff.wait(failures, 1.0), expected, "{backoff:?} after {failures}");
            }
        }
    }

    #[test]
    fn each_jitter_leaves_its_share_of_every_curve_to_chance() {
        for (backoff, expected) in CURVES {
            for (jitter, least, mean) in [
                (Jitter::None, 1.0, 1.0),
                (Jitter::Equal, 0.5, 0.75),
                (Jitter::Full, 0.0, 0.5),
            ] {
                let backoff = backoff.with_jitter(jitter);
                for (failures, expected) in (1u32..).zip(expected) {
                    let whole = Duration::from_secs(expected);
                    let waits = [0.0, 0.5, 1.0].map(|chance| backoff.wait(failures, chance));
                    let shares = [whole.mul_f64(least), whole.mul_f64(mean), whole];
                    assert_eq!(waits, shares, "{backoff:?} after {failures}");
                }
            }
        }
    }

    #[test]
    fn exponential_has_full_jitter_and_the_others_have_none_unless_told() {
        for (backoff, expected) in CURVES {
            let jitter = match backoff.curve {
                Curve::Exponential { .. } => Jitter::Full,
                _ => Jitter::None,
            };
            assert_eq!(backoff, backoff.with_jitter(jitter), "{expected:?}");
        }
    }

    #[test]
    fn texts_and_values_make_the_same_waits() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(Backoff::fixed("1s"), Backoff::fixed_of(second));
        assert_eq!(Backoff::linear("1s", "1m"), Backoff::linear_of(second, minute));
        assert_eq!(
            Backoff::exponential("1s", "1m"),
            Backoff::exponential_of(second, minute)
        );
    }

    #[test]
    fn any_number_of_failures_stays_below_the_cap() {
        let backoff = Backoff::exponential("1s", "10m");
        for failures in [0, 1, 62, 63, 64, 65, u32::MAX] {
            assert!(backoff.ceiling(failures) <= Duration::from_secs(600));
            assert_eq!(Backoff::list(&["1s"]).ceiling(failures), Duration::from_secs(1));
        }
    }

    #[test]
    fn strange_chances_and_the_longest_times_do_not_panic() {
        let longest = Backoff::fixed_of(Duration::MAX);
        for chance in [f64::NAN, f64::INFINITY, -1.0, 0.999_999_999_999, 2.0] {
            for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
                let backoff = Backoff::exponential("1s", "10m").with_jitter(jitter);
                assert!(backoff.wait(3, chance) <= Duration::from_secs(4));
                let _ = longest.with_jitter(jitter).wait(3, chance);
            }
        }
    }

    #[test]
    fn a_list_with_nothing_in_it_or_with_something_else_is_refused() {
        for waits in [&[][..], &["1s", "soon"][..]] {
            assert!(std::panic::catch_unwind(|| Backoff::list(waits)).is_err(), "{waits:?}");
        }
    }
}
