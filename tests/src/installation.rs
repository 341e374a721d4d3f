//! Where RabbitMQ is installed on this machine.
//!
//! Imports nothing but std: `xtask` includes this file too, so that `cargo xtask broker` and the kit look in the same
//! places.

use std::env;
use std::path::{Path, PathBuf};

/// Names a root directory (a chroot) that holds a RabbitMQ of its own, for a run against another version.
pub const ROOT_VARIABLE: &str = "LEVERET_TEST_RABBITMQ_ROOT";

/// Names a directory that holds `rabbitmq-server` and `rabbitmqctl`, for an installation in an unusual place.
pub const BIN_VARIABLE: &str = "LEVERET_TEST_RABBITMQ_BIN";

/// Where packages put the real scripts. Not `/usr/sbin`: the wrappers there change the user and drop the environment.
const USUAL_PLACES: [&str; 4] = [
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
];

/// An installed RabbitMQ: the scripts that start a node and talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installation {
    /// Installed on this machine; holds the directory of the scripts.
    System(PathBuf),
    /// Installed under another root directory, entered with chroot(8), which needs root.
    Chroot {
        /// The root directory, as seen from outside.
        root: PathBuf,
        /// The directory of the scripts, as seen from inside.
        bin: PathBuf,
    },
}

impl Installation {
    /// Looks where the environment says, else in the usual places.
    ///
    /// # Errors
    ///
    /// Says what was looked for and how to get it. A test without its broker has to fail, never to be skipped.
    pub fn find() -> Result<Installation, String> {
        if let Some(root) = env::var_os(ROOT_VARIABLE) {
            return Installation::in_root(Path::new(&root));
        }
        if let Some(bin) = env::var_os(BIN_VARIABLE) {
            let bin = PathBuf::from(bin);
            return match has_scripts(&bin) {
                true => Ok(Installation::System(bin)),
                false => Err(format!(
                    "{BIN_VARIABLE} is {}: no rabbitmq-server and rabbitmqctl there",
                    bin.display()
                )),
            };
        }
        let found = USUAL_PLACES.iter().map(PathBuf::from).find(|bin| has_scripts(bin));
        found.map(Installation::System).ok_or_else(|| {
            format!(
                "RabbitMQ is not installed (looked in {}). Run: cargo xtask broker. For an installation elsewhere set \
                 {BIN_VARIABLE} to the directory of rabbitmq-server and rabbitmqctl.",
                USUAL_PLACES.join(", ")
            )
        })
    }

    /// Looks in the usual places under another root directory.
    ///
    /// # Errors
    ///
    /// Says that there is none.
    pub fn in_root(root: &Path) -> Result<Installation, String> {
        let found = USUAL_PLACES
            .iter()
            .map(PathBuf::from)
            .find(|bin| has_scripts(&inside(root, bin)));
        match found {
            Some(bin) => Ok(Installation::Chroot {
                root: root.to_owned(),
                bin,
            }),
            None => Err(format!(
                "no RabbitMQ under the root directory {} (see {ROOT_VARIABLE})",
                root.display()
            )),
        }
    }

    /// The directory of the scripts, as the node sees it.
    pub fn bin(&self) -> &Path {
        match self {
            Installation::System(bin) | Installation::Chroot { bin, .. } => bin,
        }
    }

    /// What this process calls `path` when the node calls it that.
    pub fn outside(&self, path: &Path) -> PathBuf {
        match self {
            Installation::System(_) => path.to_owned(),
            Installation::Chroot { root, .. } => inside(root, path),
        }
    }
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn has_scripts(bin: &Path) -> bool {
    ["rabbitmq-server", "rabbitmqctl"]
        .iter()
        .all(|script| bin.join(script).exists())
}
