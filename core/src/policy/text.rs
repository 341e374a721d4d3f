//! Times as they are written: `"250ms"`, `"30s"`, `"10m"`, `"12h"`, `"7d"`.

use std::time::Duration;

/// Reads `"250ms"`, `"30s"`, `"10m"`, `"12h"` or `"7d"`.
#[track_caller]
pub(super) const fn parse_duration(text: &str) -> Duration {
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
