//! Gets RabbitMQ onto this machine. The suites start private nodes of it; the system's own node is never started.
//!
//! # Layout
//!
//! - [`version`]: the versions that the suites can be run on.
//! - [`system`]: the one that is installed, by the system's package manager.
//! - [`root`]: another version in a root directory of its own, made once and kept.
//! - [`source`]: where such a root directory comes from.

mod root;
mod source;
mod system;
mod version;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use self::system::install;
pub(crate) use self::version::Version;
use crate::installation::ROOT_VARIABLE;
use crate::shell;

/// `cargo xtask broker [VERSION]`.
pub(crate) fn get(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => system::get(),
        [name] => {
            let root = get_root(Version::named(name)?)?;
            println!("For one run on it: {ROOT_VARIABLE}={} cargo test …", root.display());
            Ok(())
        }
        _ => bail!("one version at a time; {}", Version::names()),
    }
}

/// Says where the installed RabbitMQ is, or installs it.
pub(crate) fn get_installed() -> Result<()> {
    system::get()
}

/// The root directory that holds `version`, made now unless it is there.
pub(crate) fn get_root(version: &Version) -> Result<PathBuf> {
    let root = root::get(version)?;
    println!("RabbitMQ {}: {}", root::number_in(&root)?, root.display());
    Ok(root)
}

/// Whether this process may install packages and enter root directories.
pub(crate) fn is_root() -> Result<bool> {
    Ok(shell::output(std::process::Command::new("id").arg("-u"))?.trim() == "0")
}
