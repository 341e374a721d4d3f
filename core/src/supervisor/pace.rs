//! How long to wait before the next try to connect: exponential, with full jitter, without an end. Pure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(50);
/// The longest wait after a transport error: the broker may be back at any moment.
const TRANSPORT_CAP: Duration = Duration::from_secs(1);
/// The longest wait after a refused login or permission: only a person will change that.
const REFUSAL_CAP: Duration = Duration::from_secs(10);

/// The waits of one outage.
#[derive(Debug)]
pub(super) struct Pace {
    steps: ExponentialBackoff,
}

impl Default for Pace {
    fn default() -> Self {
        let steps = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(REFUSAL_CAP)
            .without_max_times();
        Self { steps: steps.build() }
    }
}

impl Pace {
    /// The next wait, given `chance` in `0.0..=1.0`. A refusal is never retried in under a second.
    pub(super) fn next_wait(&mut self, refused: bool, chance: f64) -> Duration {
        let step = self.steps.next().unwrap_or(REFUSAL_CAP);
        if refused {
            return step.mul_f64(chance).max(TRANSPORT_CAP);
        }
        step.min(TRANSPORT_CAP).mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_errors_are_retried_within_a_second_and_refusals_within_ten() {
        for (refused, floor, cap) in [
            (false, Duration::ZERO, TRANSPORT_CAP),
            (true, TRANSPORT_CAP, REFUSAL_CAP),
        ] {
            let mut pace = Pace::default();
            for chance in [0.0, 0.5, 1.0].into_iter().cycle().take(300) {
                let wait = pace.next_wait(refused, chance);
                assert!((floor..=cap).contains(&wait), "{wait:?}");
            }
            assert_eq!(pace.next_wait(refused, 1.0), cap, "no end, at the cap");
        }
    }

    #[test]
    fn waits_double_and_are_spread_over_their_whole_range() {
        let mut pace = Pace::default();
        let waits: Vec<u128> = (0..5).map(|_| pace.next_wait(false, 1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800]);
        assert_eq!(Pace::default().next_wait(false, 0.0), Duration::ZERO);
    }
}
