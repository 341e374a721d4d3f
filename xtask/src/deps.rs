//! Checks what this workspace lets into the code of those who embed it.
//!
//! # Layout
//!
//! - here: the tree of the crate without features, and who may name lapin.
//! - [`rustdoc`]: describes a crate's public API.
//! - [`public_api`]: finds the foreign types in that description.

pub(crate) mod public_api;
pub(crate) mod rustdoc;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// What a crate of shared job types must not pull in.
const NOT_WITHOUT_FEATURES: [&str; 7] = ["lapin", "tokio", "rustls", "ring", "async-rs", "backon", "futures-util"];

/// Crates whose types may stand in a public signature.
const FOREIGN_TYPES: [&str; 10] = [
    "std",
    "core",
    "alloc",
    "serde",
    "serde_core",
    "serde_json",
    "bytes",
    "leveret",
    "leveret_macros",
    // Re-exported as an attribute; what it writes is std's.
    "async_trait",
];

/// tower's own types stand in the adapter to tower, a module behind a feature, and nowhere else.
const TOWER_TYPES: [&str; 2] = ["tower_layer", "tower_service"];

/// A type of these is worth a look and no more.
const REPORTED_TYPES: [&str; 1] = ["tokio"];

/// The one folder that may name lapin, and its module file.
const LAPIN_FOLDER: [&str; 2] = ["core/src/broker/rabbit/", "core/src/broker/rabbit.rs"];

/// Runs the three checks, and fails after the last one if one of them found something.
pub(crate) fn check() -> Result<()> {
    let mut findings = Vec::new();
    findings.extend(tree()?);
    findings.extend(signatures("leveret")?);
    findings.extend(signatures("leveret-worker")?);
    findings.extend(lapin_named()?);
    findings.iter().for_each(|finding| println!("- {finding}"));
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

fn tree() -> Result<Vec<String>> {
    let arguments = [
        "tree",
        "--package",
        "leveret",
        "--no-default-features",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    let tree = shell::output(shell::cargo().args(arguments))?;
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    if !crates.contains(&"leveret") {
        bail!("cargo tree shows no leveret:\n{tree}");
    }
    println!("leveret without features: {} crates in its tree", crates.len());
    let found = NOT_WITHOUT_FEATURES.iter().filter(|name| crates.contains(name));
    Ok(found
        .map(|name| format!("leveret without features pulls in {name}"))
        .collect())
}

fn signatures(package: &str) -> Result<Vec<String>> {
    let description = rustdoc::describe(package)?;
    let foreign = public_api::foreign_types(&description)?;
    println!("{package}: {} foreign types in its public API", foreign.len());
    let (reported, rest): (Vec<_>, Vec<_>) = foreign
        .into_iter()
        .partition(|foreign| REPORTED_TYPES.contains(&foreign.crate_name.as_str()));
    reported.iter().for_each(|foreign| println!("  {foreign}"));
    let wrong = rest
        .into_iter()
        .filter(|foreign| !FOREIGN_TYPES.contains(&foreign.crate_name.as_str()))
        .filter(|foreign| !is_adapter(foreign));
    Ok(wrong.map(|foreign| foreign.to_string()).collect())
}

fn is_adapter(foreign: &public_api::ForeignType) -> bool {
    TOWER_TYPES.contains(&foreign.crate_name.as_str()) && foreign.named_by.contains("::tower::")
}

fn lapin_named() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for folder in ["core/src", "worker/src", "macros/src"] {
        for file in sources(&rustdoc::workspace()?.join(folder))? {
            let name = file
                .strip_prefix(rustdoc::workspace()?)
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned();
            if LAPIN_FOLDER.iter().any(|allowed| name.starts_with(allowed)) {
                continue;
            }
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
            let lines = text.lines().enumerate().filter(|(_, line)| names_lapin(line));
            findings.extend(lines.map(|(number, _)| format!("{name}:{} names lapin", number + 1)));
        }
    }
    Ok(findings)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(sources(&path)?),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the code of `line`, not its comment, has lapin in a path.
fn names_lapin(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices("lapin").any(|(start, word)| {
        let (before, after) = (&code[..start], &code[start + word.len()..]);
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        let imported = before.trim_end().ends_with("use") || before.trim_end().ends_with("crate");
        whole && (after.starts_with("::") || imported)
    })
}

#[cfg(test)]
mod tests {
    use super::names_lapin;

    #[test]
    fn lapin_counts_where_it_is_a_path_and_not_where_it_is_a_word() {
        for line in [
            "use lapin;",
            "use lapin::Channel;",
            "    let x: lapin::Error = e;",
            "pub use lapin as amqp;",
        ] {
            assert!(names_lapin(line), "{line}");
        }
        for line in [
            "// lapin::Channel is shared",
            "let lapine = 1;",
            "my_lapin::x()",
            "\"lapin\"",
            "lapin_options()",
        ] {
            assert!(!names_lapin(line), "{line}");
        }
    }
}
