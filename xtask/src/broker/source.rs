//! Where a root directory with a RabbitMQ comes from.
//!
//! The suites kill, freeze and restart their nodes by process id, and talk to them over loopback: a container would hide
//! both. So an image is no more than an archive here; its files are taken out and entered by chroot, as those of
//! debootstrap are. Both need root, and so does chroot. Debian's way comes first: it needs no engine and no account with
//! anybody, and takes its packages from where this machine takes its own.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::version::Version;
use super::{is_root, system};
use crate::installation::ROOT_VARIABLE;
use crate::shell;

/// Where programs are in such a root.
pub(super) const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/erlang/bin";

/// In a mount namespace of its own, so that no mount outlives it, however it ends.
const DEBIAN: &str = include_str!("debian.sh");

/// `$0` is the image, `$1` the directory.
const IMAGE: &str = r#"
set -eu
container=$(docker create "$0")
trap 'docker rm "$container" >/dev/null' EXIT
mkdir -p "$1"
docker export "$container" | tar -x -C "$1"
cp /etc/hosts "$1/etc/hosts"
"#;

/// A way to get a root directory.
#[derive(Debug)]
pub(super) enum Source {
    /// debootstrap, with the packages of a release of Debian.
    Debian {
        /// Where this machine gets its packages; `None`: where debootstrap does by default.
        mirror: Option<String>,
    },
    /// The files of a public image.
    Image,
}

impl Source {
    /// What this machine offers, or what its user has to do.
    pub(super) fn choose(version: &Version) -> Result<Source> {
        let by_hand = format!(
            "Or unpack one anywhere, as root (docker create {0}; docker export … | tar -x -C DIRECTORY), and run the \
             tests as root with {ROOT_VARIABLE}=DIRECTORY.",
            version.image
        );
        if !is_root()? {
            bail!(
                "RabbitMQ {} goes into a root directory of its own, entered by chroot: that needs root, here and when \
                 the suites run. Run this as root on a Debian-like system, or as root where a docker engine answers. \
                 {by_hand}",
                version.name
            );
        }
        if shell::answers("apt-get", &["--version"]) {
            let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
            let mirror = mirror(&sources()?, &release);
            return Ok(Source::Debian { mirror });
        }
        if shell::answers("docker", &["info"]) {
            return Ok(Source::Image);
        }
        bail!(
            "RabbitMQ {} needs debootstrap (a Debian-like system) or a docker engine. {by_hand}",
            version.name
        )
    }

    /// Makes `directory`, which is not there yet, a root that holds `version`.
    pub(super) fn fill(&self, directory: &Path, version: &Version) -> Result<()> {
        match self {
            Source::Debian { mirror } => {
                if !shell::answers("debootstrap", &["--version"]) {
                    system::install(&["debootstrap"])?;
                }
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "sh", "-c", DEBIAN, version.release])
                    .arg(directory)
                    .args(mirror);
                shell::run_as(
                    &format!("debootstrap {}, then rabbitmq-server in it", version.release),
                    &mut command,
                )
                .context("mounts are needed: in a container, run it with the right to make them (CAP_SYS_ADMIN)")
            }
            Source::Image => {
                let mut command = Command::new("sh");
                command.args(["-c", IMAGE, version.image]).arg(directory);
                shell::run_as(&format!("the files of the image {}", version.image), &mut command)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Debian { .. } => "this release of Debian",
            Source::Image => "this image",
        })
    }
}

/// What apt has been told about where packages are, a line for each: URI, release, component.
fn sources() -> Result<String> {
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    shell::output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))
}

/// The archive of Debian that this machine uses. Only a Debian has one; its relatives have archives of their own.
fn mirror(sources: &str, os_release: &str) -> Option<String> {
    let value = |key: &str| {
        let line = os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"')
    };
    if value("ID") != "debian" {
        return None;
    }
    sources.lines().find_map(|line| {
        let (uri, place) = line.split_once(' ')?;
        (place == format!("{} main", value("VERSION_CODENAME"))).then(|| uri.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "http://security.example/debian-security/ bookworm-security main\n\
                           http://mirror.example/debian/ bookworm contrib\n\
                           http://mirror.example/debian/ bookworm main\n";

    #[test]
    fn the_mirror_is_the_one_of_the_running_release() {
        let debian = "PRETTY_NAME=\"Debian\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(
            mirror(SOURCES, debian).as_deref(),
            Some("http://mirror.example/debian/")
        );
    }

    #[test]
    fn a_relative_of_debian_has_no_mirror_of_debian() {
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n";
        assert_eq!(mirror("http://mirror.example/ubuntu/ noble main\n", ubuntu), None);
    }
}
