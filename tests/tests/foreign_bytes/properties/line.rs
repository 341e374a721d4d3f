//! Lines of JSON that somebody imports as dead letters.

use leveret::{DeadLetterRecord, ImportReport, Imported};

use super::keeps_secret;
use super::letter::Desk;

/// Takes any input: lines.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    Desk::with(|desk| {
        let dry = desk.import(&text, true);
        assert!(desk.letters().is_empty(), "a dry run changes nothing");
        says_no_more_than_it_must(&dry);
        let real = desk.import(&text, false);
        says_no_more_than_it_must(&real);
        let outcomes = dry.lines.iter().zip(&real.lines);
        for (dry, real) in outcomes {
            assert_eq!(
                (dry.number, &dry.id, &dry.outcome),
                (real.number, &real.id, &real.outcome)
            );
        }
        let stored = desk.letters();
        assert_eq!(stored.len(), real.stored(), "what is reported as stored is there");
        for letter in &stored {
            assert!(DeadLetterRecord::read(letter).hop >= 1);
            super::message::holds(letter);
        }
        // Whatever came in goes out, and in again as the same.
        let again = desk.import(&desk.export(), false);
        assert_eq!(again.stored(), stored.len(), "{again}");
    });
}

fn says_no_more_than_it_must(report: &ImportReport) {
    for line in &report.lines {
        if let Imported::Invalid(fault) = &line.outcome {
            keeps_secret(fault);
        }
    }
}
