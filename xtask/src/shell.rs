//! Runs a program and says so.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` with its output on ours. Its end decides: anything but success is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_as(&line(command), command)
}

/// [`run`] where the command's own words would tell nothing: `what` is run.
pub(crate) fn run_as(what: &str, command: &mut Command) -> Result<()> {
    println!("+ {what}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {what}"))?;
    if !status.success() {
        bail!("{what}: ended with {status}");
    }
    Ok(())
}

/// Runs `command` and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", line(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", line(command)))
}

/// Whether `program` can be run with `arguments` and succeeds, silently.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `cargo`, the one that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    command
        .get_args()
        .fold(name, |line, argument| line + " " + &argument.to_string_lossy())
}
