//! The RabbitMQ that is installed on this machine.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::is_root;
use crate::installation::Installation;
use crate::shell;

/// Asked by Debian's package scripts before they start a service; exit 101 forbids it.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Says where RabbitMQ is, or installs it, or says what the reader has to do.
pub(super) fn get() -> Result<()> {
    let missing = match Installation::find() {
        Ok(installation) => {
            println!("RabbitMQ: {}", installation.outside(installation.bin()).display());
            return Ok(());
        }
        Err(missing) => missing,
    };
    if !shell::answers("apt-get", &["--version"]) {
        bail!("{missing}\n{}", by_hand());
    }
    if !is_root()? {
        bail!(
            "{missing}\nInstalling needs root. Either run `sudo apt-get install rabbitmq-server` (and, as the suites \
             do not use the system's node, `sudo systemctl disable --now rabbitmq-server`), or:\n{}",
            by_hand()
        );
    }
    install(&["rabbitmq-server"])?;
    match Installation::find() {
        Ok(installation) => println!("RabbitMQ installed: {}", installation.bin().display()),
        Err(missing) => bail!("apt-get succeeded, and still: {missing}"),
    }
    Ok(())
}

fn by_hand() -> String {
    let docker = match shell::answers("docker", &["info"]) {
        true => "Docker answers here, but the suites kill, freeze and restart their nodes, which a container hides: ",
        false => "",
    };
    format!(
        "{docker}install RabbitMQ 3.10 or later and Erlang by your system's package manager (macOS: \
         `brew install rabbitmq`), or unpack the generic binary build anywhere and set {} to its sbin directory. \
         It does not have to run.",
        crate::installation::BIN_VARIABLE
    )
}

/// Installs `packages`; none of their services is started.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let _policy = NoServiceStart::set()?;
    shell::run(Command::new("apt-get").arg("update"))?;
    shell::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Forbids service starts while it lives. A policy that was there before is left as it is.
struct NoServiceStart {
    ours: bool,
}

impl NoServiceStart {
    fn set() -> Result<NoServiceStart> {
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(SERVICE_POLICY);
        match created {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n")
                    .with_context(|| format!("cannot write {SERVICE_POLICY}"))?;
                Ok(NoServiceStart { ours: true })
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(NoServiceStart { ours: false }),
            Err(error) => Err(error).with_context(|| format!("cannot create {SERVICE_POLICY}")),
        }
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(SERVICE_POLICY)
        {
            eprintln!("{SERVICE_POLICY} stays behind, remove it: {error}");
        }
    }
}
