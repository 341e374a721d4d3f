//! Gets the Python that the interop suite speaks to Leveret with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::broker::{install, is_root};
use crate::deps::rustdoc;
use crate::interpreter;
use crate::shell;

/// Debian's.
const PACKAGES: [&str; 3] = ["python3-pika", "python3-kombu", "python3-jsonschema"];

/// The Python package index's. The first numbers are those of Debian 12.
const REQUIREMENTS: [&str; 3] = ["pika>=1.2,<2", "kombu>=5.2,<6", "jsonschema>=4.10,<5"];

/// Says where it is, or installs it, or says what the reader has to do.
pub(crate) fn get() -> Result<()> {
    if let Ok(python) = interpreter::find() {
        println!("Python: {}", python.display());
        return Ok(());
    }
    if shell::answers("apt-get", &["--version"]) && is_root()? {
        install(&PACKAGES)?;
    } else {
        make_environment(&rustdoc::target_directory()?.join(interpreter::ENVIRONMENT)).with_context(by_hand)?;
    }
    match interpreter::find() {
        Ok(python) => println!("Python: {}", python.display()),
        Err(missing) => bail!("everything was installed, and still: {missing}"),
    }
    Ok(())
}

/// A virtual environment: systems forbid `pip install --user` beside their own packages.
fn make_environment(directory: &Path) -> Result<()> {
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    shell::run(Command::new(directory.join("bin/python3")).args(pip).args(REQUIREMENTS))
}

fn by_hand() -> String {
    format!(
        "The interop suite needs a Python with pika, kombu and jsonschema. Install them as root (`apt-get install {}`), or \
         into an environment of your own (`python3 -m venv DIRECTORY && DIRECTORY/bin/pip install pika kombu jsonschema`), and \
         run the tests with {}=DIRECTORY/bin/python3",
        PACKAGES.join(" "),
        interpreter::PYTHON_VARIABLE
    )
}
