//! Cron expressions in a time zone: [`Cron`]. Pure.
//!
//! The expression is searched on the wall clock, which knows neither gaps nor repeats; what a wall-clock time means in the time zone is
//! decided here, and nowhere else:
//! - An expression without `*` in seconds, minutes and hours names *times of day*. Each is due once a day. One that the clock skips is due
//!   when the gap ends; one that it passes twice is due the first time.
//! - An expression with a `*` there (`*/10 * * * *`) names *a rhythm*. It goes by the clock as it is: what is skipped is not due, what is
//!   passed twice is due twice.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::calendar::Millis;

/// How many changes of the clock a search goes through; two a year are usual.
const MOST_CHANGES: usize = 1_000;

/// 2026: an expression that is not due from here on never will be.
const REFERENCE: Millis = 1_767_225_600_000;

/// An expression and its time zone.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    cron: croner::Cron,
    zone: TimeZone,
    rule: String,
}

impl Cron {
    /// # Errors
    /// Why it cannot be, in words.
    pub(super) fn parse(expression: &str, zone: &str) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(expression)
            .map_err(|error| format!("the cron expression `{expression}` cannot be read: {error}"))?;
        let zone_found = TimeZone::get(zone).map_err(|_| {
            format!(
                "there is no time zone `{zone}`: use a name of the IANA database, such as `Europe/Berlin`, or `UTC`"
            )
        })?;
        let parsed = Self {
            cron,
            zone: zone_found,
            rule: format!("cron {expression} in {zone}"),
        };
        match parsed.next_after(REFERENCE) {
            Some(_) => Ok(parsed),
            None => Err(format!(
                "the cron expression `{expression}` is never due: no date is like that"
            )),
        }
    }

    pub(super) fn rule(&self) -> String {
        self.rule.clone()
    }

    pub(super) fn next_after(&self, after: Millis) -> Option<Millis> {
        let after = Timestamp::from_millisecond(after).ok()?;
        let next = match self.is_rhythm() {
            true => self.next_beat(after),
            false => self.next_time_of_day(after),
        };
        next.map(Timestamp::as_millisecond)
    }

    fn is_rhythm(&self) -> bool {
        let pattern = &self.cron.pattern;
        [&pattern.seconds, &pattern.minutes, &pattern.hours]
            .iter()
            .any(|field| field.from_wildcard)
    }

    /// From one change of the clock to the next the wall clock and time go side by side: each such stretch is searched by itself.
    fn next_beat(&self, after: Timestamp) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        for _ in 0..MOST_CHANGES {
            let offset = self.zone.to_offset(from);
            let found = self.search(offset.to_datetime(from), inclusive)?;
            let beat = offset.to_timestamp(found).ok()?;
            let change = self.zone.following(from).next().map(|change| change.timestamp());
            match change.filter(|change| beat >= *change) {
                Some(change) => (from, inclusive) = (change, true),
                None => return Some(beat),
            }
        }
        None
    }

    /// Later wall-clock times are never due earlier, so the first that is due after `after` is the one.
    fn next_time_of_day(&self, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after);
        loop {
            wall = self.search(wall, false)?;
            let due = self.moment_of(wall)?;
            if due > after {
                return Some(due);
            }
        }
    }

    fn moment_of(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(wall).ok()
            }
            // By the clock as it will be, the skipped time lies just before the change: that is the next one from there.
            AmbiguousOffset::Gap { after, .. } => {
                let before = after.to_timestamp(wall).ok()?;
                self.zone.following(before).next().map(|change| change.timestamp())
            }
        }
    }

    fn search(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Millis {
        text.parse::<Timestamp>().expect("a timestamp").as_millisecond()
    }

    fn text(millis: Millis) -> String {
        Timestamp::from_millisecond(millis).expect("in range").to_string()
    }

    /// The next ticks after a moment, in UTC.
    fn ticks(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(expression, zone).expect(expression);
        let first = cron.next_after(millis(after));
        let all = std::iter::successors(first, |tick| cron.next_after(*tick));
        all.take(count).map(text).collect()
    }

    #[test]
    fn expressions_mean_what_cron_users_expect() {
        for (expression, after, expected) in [
            ("0 3 * * *", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z"),
            ("0 3 * * *", "2026-11-22T02:59:59.999Z", "2026-11-22T03:00:00Z"),
            ("0 9 * * 1", "2026-11-22T00:00:00Z", "2026-11-23T09:00:00Z"),
            ("0 9 * * MON-FRI", "2026-11-20T09:00:00Z", "2026-11-23T09:00:00Z"),
            ("0 9 * * 0", "2026-11-23T00:00:00Z", "2026-11-29T09:00:00Z"),
            ("0 9 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T09:00:00Z"),
            ("0 0 L * *", "2026-12-01T00:00:00Z", "2026-12-31T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("*/20 * * * * *", "2026-11-22T00:00:20Z", "2026-11-22T00:00:40Z"),
            ("@daily", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            // Either of the two, as cron has it, where both days are restricted.
            ("0 0 1 * MON", "2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z"),
        ] {
            assert_eq!(
                ticks(expression, "UTC", after, 1),
                [expected],
                "{expression} after {after}"
            );
        }
    }

    #[test]
    fn a_time_of_day_that_the_clock_skips_is_due_once_when_the_gap_ends() {
        // In Berlin, 29 March 2026, 02:00 to 03:00 does not exist; 03:00 there is 01:00 UTC.
        for expression in ["30 2 * * *", "0,30 2 * * *", "0 2,3 * * *", "15 2-3 * * *"] {
            let around = ticks(expression, "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
            assert_eq!(around[0], "2026-03-29T01:00:00Z", "{expression}: {around:?}");
            assert!(around[1] > around[0], "{expression}: {around:?}");
        }
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        // The one in the gap and the one at its end are one.
        assert_eq!(
            ticks("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
        );
    }

    #[test]
    fn a_time_of_day_that_the_clock_passes_twice_is_due_the_first_time() {
        // In Berlin, 25 October 2026, 02:00 to 03:00 comes twice: at 00:00 and at 01:00 UTC.
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        // Asked in the midst of the second pass, it is over for the day.
        assert_eq!(
            ticks("45 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", 1),
            ["2026-10-26T01:45:00Z"]
        );
        assert_eq!(
            ticks("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"]
        );
    }

    #[test]
    fn a_rhythm_goes_by_the_clock_as_it_is() {
        // Half hours in the gap are left out: nothing is made up, nothing is missing in real time.
        assert_eq!(
            ticks("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
        // The hour that comes twice has all of its half hours twice.
        assert_eq!(
            ticks("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 5),
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z"
            ]
        );
        assert_eq!(
            ticks("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1),
            ["2026-03-30T00:00:00Z"],
            "there is no such hour that day"
        );
    }

    #[test]
    fn zones_with_odd_changes_are_no_exception() {
        // Lord Howe moves by half an hour: 02:00 to 02:30 does not exist on 4 October 2026.
        assert_eq!(
            ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
            ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
        );
        // Cairo skips midnight: 00:00 to 01:00 does not exist on 24 April 2026.
        assert_eq!(
            ticks("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2),
            ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]
        );
    }

    /// Looks at every minute instead of searching.
    fn by_looking(cron: &Cron, from: Millis, until: Millis) -> Vec<Millis> {
        let mut due = std::collections::BTreeSet::new();
        let mut walls = std::collections::BTreeSet::new();
        let mut at = from;
        while at <= until {
            let now = Timestamp::from_millisecond(at).expect("in range");
            let wall = cron.zone.to_datetime(now);
            let matches = cron.cron.is_time_matching(&wall).expect("a real time");
            if matches && (walls.insert(wall) || cron.is_rhythm()) {
                due.insert(at);
            }
            // What lies between this minute and the one before on the wall clock was skipped.
            let before = cron
                .zone
                .to_datetime(Timestamp::from_millisecond(at - 60_000).expect("in range"));
            let mut skipped = before + jiff::SignedDuration::from_secs(60);
            while !cron.is_rhythm() && skipped < wall && at > from {
                if cron.cron.is_time_matching(&skipped).expect("a time") {
                    due.insert(at);
                }
                skipped += jiff::SignedDuration::from_secs(60);
            }
            at += 60_000;
        }
        due.into_iter().collect()
    }

    #[test]
    fn searching_finds_what_looking_at_every_minute_finds() {
        let days = [
            ("2026-03-28T00:00:00Z", 3),
            ("2026-10-24T00:00:00Z", 3),
            ("2026-10-03T00:00:00Z", 2),
            ("2026-04-23T00:00:00Z", 2),
        ];
        for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"] {
            for expression in [
                "0 2 * * *",
                "30 2 * * *",
                "0,20,40 1,2,3 * * *",
                "*/7 * * * *",
                "5 */2 * * *",
                "0 0 * * *",
                "59 23 * * *",
                "10 1-3 * * SUN",
                "* 2 * * *",
            ] {
                let cron = Cron::parse(expression, zone).expect(expression);
                for (from, count) in days {
                    let (from, until) = (millis(from), millis(from) + count * 86_400_000);
                    let found = std::iter::successors(cron.next_after(from - 1), |tick| cron.next_after(*tick));
                    let found: Vec<_> = found.take_while(|tick| *tick <= until).collect();
                    assert_eq!(found, by_looking(&cron, from, until), "{expression} in {zone}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (expression, zone, words) in [
            ("0 25 * * *", "UTC", "`0 25 * * *` cannot be read"),
            ("every day", "UTC", "`every day` cannot be read"),
            ("", "UTC", "cannot be read"),
            ("0 0 0 1 1 * 2030", "UTC", "cannot be read"),
            ("0 3 * * *", "Mars/Olympus", "no time zone `Mars/Olympus`"),
            ("0 0 30 2 *", "UTC", "never due"),
        ] {
            let error = Cron::parse(expression, zone).expect_err(expression);
            assert!(error.contains(words), "{error}");
        }
    }
}
