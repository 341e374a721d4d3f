//! Why a URL or a setting cannot be used.

use std::fmt;

/// A URL, an environment variable or a setting that cannot be used.
///
/// It never quotes what it was given: a URL that cannot be parsed may hold a password anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOptions {
    /// The environment variable that it is about, where it is about one.
    variable: Option<&'static str>,
    /// A fixed sentence, or what follows the variable's name in one, so that no input can get into it.
    reason: &'static str,
}

impl InvalidOptions {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self { variable: None, reason }
    }

    /// The same, said of an environment variable.
    pub(super) const fn of_variable(self, name: &'static str) -> Self {
        Self {
            variable: Some(name),
            reason: self.reason,
        }
    }

    pub(super) const fn variable(name: &'static str, reason: &'static str) -> Self {
        Self {
            variable: Some(name),
            reason,
        }
    }
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable {
            Some(name) if !self.reason.starts_with("is ") => {
                write!(f, "the environment variable {name}: {}", self.reason)
            }
            Some(name) => write!(f, "the environment variable {name} {}", self.reason),
            None => f.write_str(self.reason),
        }
    }
}

impl std::error::Error for InvalidOptions {}
