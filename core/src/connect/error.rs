//! Why a URL or a setting cannot be used.

use std::fmt;

/// A URL, an environment variable or a setting that cannot be used.
///
/// It never quotes what it was given: a URL that cannot be parsed may hold a password anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOptions {
    /// A fixed sentence, so that no input can get into it.
    reason: &'static str,
}

impl InvalidOptions {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for InvalidOptions {}
