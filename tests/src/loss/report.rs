//! What follows from a book.

use std::fmt;

/// What became of the jobs of a [`LossBook`](super::LossBook).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many jobs were confirmed.
    pub confirmed: usize,
    /// How many were refused or not sent.
    pub refused: usize,
    /// How many have a fate that nobody knows.
    pub unknown: usize,
    /// How many came to their end.
    pub done: usize,
    /// Confirmed, and never came to their end.
    pub lost: Vec<String>,
    /// Refused, not sent or never enqueued, and run all the same.
    pub ghosts: Vec<String>,
    /// Run more than once as the same attempt and hop.
    pub duplicates: Vec<String>,
    /// Those of them with more than one run that neither broker nor producer had marked as possibly repeated.
    pub unexplained_duplicates: Vec<String>,
}

impl Report {
    /// Nothing confirmed is missing, and nothing ran that should not.
    ///
    /// # Panics
    ///
    /// Otherwise, with this report.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        assert!(self.lost.is_empty() && self.ghosts.is_empty(), "{self}");
    }

    /// As [`assert_nothing_lost`](Report::assert_nothing_lost), and every duplicate is one that was announced as possible.
    ///
    /// # Panics
    ///
    /// Otherwise, with this report.
    #[track_caller]
    pub fn assert_sound(&self) {
        self.assert_nothing_lost();
        assert!(self.unexplained_duplicates.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            confirmed,
            refused,
            unknown,
            done,
            ..
        } = self;
        write!(
            f,
            "confirmed {confirmed}, refused {refused}, unknown {unknown}, done {done}"
        )?;
        let lists = [
            ("lost", &self.lost),
            ("ghosts", &self.ghosts),
            ("duplicates", &self.duplicates),
            ("unexplained duplicates", &self.unexplained_duplicates),
        ];
        for (name, ids) in lists {
            let shown = ids.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(" ");
            write!(f, ", {name} {} [{shown}]", ids.len())?;
        }
        Ok(())
    }
}
