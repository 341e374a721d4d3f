//! The versions that the suites can be run on beside the installed one.

use anyhow::{Context as _, Result};

/// A version of RabbitMQ, and who has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// What it is called on the command line, and its directory.
    pub(crate) name: &'static str,
    /// The release of Debian that packages it.
    pub(super) release: &'static str,
    /// The public image that holds it.
    pub(super) image: &'static str,
    /// How its number begins. Empty where it moves.
    number: &'static str,
}

static ALL: [Version; 3] = [
    Version {
        name: "3.10",
        release: "bookworm",
        image: "rabbitmq:3.10",
        number: "3.10.",
    },
    V4_0,
    // It moves, so no check may depend on it: for a look ahead, by hand.
    Version {
        name: "latest",
        release: "sid",
        image: "rabbitmq:latest",
        number: "",
    },
];

const V4_0: Version = Version {
    name: "4.0",
    release: "trixie",
    image: "rabbitmq:4.0",
    number: "4.0.",
};

impl Version {
    /// The one that every change is tested on besides the installed one.
    pub(crate) const SECOND: &'static Version = &V4_0;

    /// The version that is called `name`.
    pub(crate) fn named(name: &str) -> Result<&'static Version> {
        let found = ALL.iter().find(|version| version.name == name);
        found.with_context(|| format!("no RabbitMQ {name:?} to get; {}", Version::names()))
    }

    /// The names, for a reader.
    pub(super) fn names() -> String {
        let names = ALL.iter().map(|version| version.name).collect::<Vec<_>>();
        format!("there is {}", names.join(", "))
    }

    /// Whether `number`, such as 4.0.5, is one of this version.
    pub(super) fn covers(&self, number: &str) -> bool {
        number.starts_with(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_its_name_and_knows_its_numbers() {
        let version = Version::named("4.0").unwrap();
        assert_eq!(version, Version::SECOND);
        assert!(version.covers("4.0.5") && !version.covers("4.1.0") && !version.covers("3.10.8"));
        assert!(Version::named("latest").unwrap().covers("4.3.6"));
    }

    #[test]
    fn an_unknown_version_is_refused_with_those_that_there_are() {
        let refused = Version::named("2.8").unwrap_err().to_string();
        assert!(
            refused.contains("\"2.8\"") && refused.contains("3.10, 4.0, latest"),
            "{refused}"
        );
    }
}
