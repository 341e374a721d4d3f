//! Where a Python is that speaks AMQP.
//!
//! Imports nothing but std: `xtask` includes this file too, so that `cargo xtask python` and the kit look in the same
//! places.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names a Python interpreter that has what is needed, for one in an unusual place.
pub const PYTHON_VARIABLE: &str = "LEVERET_TEST_PYTHON";

/// The virtual environment that `cargo xtask python` makes in the target directory where it may not install packages.
pub const ENVIRONMENT: &str = "python";

/// What the interpreter has to have: the clients of the examples, and a check of the messages against the schema.
const MODULES: &str = "import pika, kombu, jsonschema";

/// An interpreter that can import the clients: the one that the environment names, else Debian's, the first of the path, or
/// the virtual environment of the target directory.
///
/// # Errors
///
/// Says what was tried and how to get it. A test without it has to fail, never to be skipped.
pub fn find() -> Result<PathBuf, String> {
    if let Some(python) = env::var_os(PYTHON_VARIABLE).map(PathBuf::from) {
        return match has_modules(&python) {
            true => Ok(python),
            false => Err(format!(
                "{PYTHON_VARIABLE} is {}: `{MODULES}` fails there",
                python.display()
            )),
        };
    }
    let found = usual_places().into_iter().find(|python| has_modules(python));
    found.ok_or_else(|| {
        format!(
            "no Python with pika, kombu and jsonschema. Run: cargo xtask python. For one elsewhere set {PYTHON_VARIABLE} to \
             its interpreter."
        )
    })
}

/// Debian's comes before the first of the path, which may be another one that does not see Debian's packages.
fn usual_places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/usr/bin/python3"), PathBuf::from("python3")];
    // Of `target/debug/xtask` as of `target/debug/deps/interop-0123`.
    let program = env::current_exe().unwrap_or_default();
    places.extend(program.ancestors().skip(1).map(in_environment));
    places
}

/// The interpreter of the virtual environment in a target directory.
pub fn in_environment(target: &Path) -> PathBuf {
    target.join(ENVIRONMENT).join("bin/python3")
}

fn has_modules(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", MODULES])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
