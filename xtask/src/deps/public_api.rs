//! Finds the foreign types in a public API.
//!
//! Works on rustdoc's JSON by its shape: whatever stands in a signature is an object with a `path` and an `id`. That is
//! true of every version of the format so far, and of types, bounds and implemented traits alike.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

/// A type or trait of another crate, and where the public API names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ForeignType {
    /// The crate that defines it.
    pub(crate) crate_name: String,
    /// Its path there.
    pub(crate) path: String,
    /// The public item that names it.
    pub(crate) named_by: String,
}

impl fmt::Display for ForeignType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names {}", self.named_by, self.path)
    }
}

/// Every foreign type that is reachable from the crate's root.
pub(crate) fn foreign_types(description: &Value) -> Result<BTreeSet<ForeignType>> {
    let mut walk = Walk {
        index: object(description, "index")?,
        paths: object(description, "paths")?,
        crates: object(description, "external_crates")?,
        seen: BTreeSet::new(),
        found: BTreeSet::new(),
    };
    walk.item(&id(&description["root"]), "");
    Ok(walk.found)
}

struct Walk<'a> {
    index: &'a Map<String, Value>,
    paths: &'a Map<String, Value>,
    crates: &'a Map<String, Value>,
    seen: BTreeSet<String>,
    found: BTreeSet<ForeignType>,
}

impl Walk<'_> {
    /// Looks at an item of this crate and all that is public in it. What rustdoc leaves out is not public.
    fn item(&mut self, id: &str, parent: &str) {
        let index = self.index;
        let Some(item) = index.get(id).filter(|item| is_ours(item)) else {
            return;
        };
        let Some((kind, inner)) = item["inner"].as_object().and_then(|inner| inner.iter().next()) else {
            return;
        };
        if is_derived_by_the_compiler(kind, inner) || !self.seen.insert(id.to_owned()) {
            return;
        }
        let name = match (item["name"].as_str(), parent) {
            (Some(name), "") => name.to_owned(),
            (Some(name), parent) => format!("{parent}::{name}"),
            (None, parent) => parent.to_owned(),
        };
        self.signature(inner, &name);
        let target = matches!(kind.as_str(), "use" | "import").then(|| &inner["id"]);
        if let Some(target) = target.filter(|target| !target.is_null()) {
            self.reexport(target, &name);
        }
        for child in children(kind, inner) {
            self.item(&child, &name);
        }
    }

    fn reexport(&mut self, target: &Value, name: &str) {
        let target = id(target);
        match self.index.get(&target).is_some_and(is_ours) {
            true => self.item(&target, name),
            false => self.name(&target, name),
        }
    }

    /// Looks for named types at any depth.
    fn signature(&mut self, value: &Value, name: &str) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.signature(value, name)),
            Value::Object(fields) => {
                if fields.contains_key("path") && fields.contains_key("id") {
                    self.name(&id(&fields["id"]), name);
                }
                fields.values().for_each(|value| self.signature(value, name));
            }
            _ => {}
        }
    }

    fn name(&mut self, id: &str, named_by: &str) {
        let Some(summary) = self.paths.get(id) else { return };
        let Some(foreign) = summary["crate_id"].as_u64().filter(|crate_id| *crate_id != 0) else {
            return;
        };
        let crate_name = self
            .crates
            .get(&foreign.to_string())
            .and_then(|foreign| foreign["name"].as_str());
        let segments = summary["path"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        self.found.insert(ForeignType {
            crate_name: crate_name.unwrap_or("an unnamed crate").to_owned(),
            path: segments.collect::<Vec<_>>().join("::"),
            named_by: named_by.to_owned(),
        });
    }
}

/// The public parts of an item.
pub(crate) fn children(kind: &str, inner: &Value) -> Vec<String> {
    let lists: Vec<&Value> = match kind {
        "module" | "trait" | "impl" => vec![&inner["items"]],
        "enum" => vec![&inner["variants"], &inner["impls"]],
        "union" => vec![&inner["fields"], &inner["impls"]],
        // Tuples and named fields lie under the kind; what is private is left out or null.
        "struct" => vec![
            &inner["kind"]["tuple"],
            &inner["kind"]["plain"]["fields"],
            &inner["impls"],
        ],
        "variant" => vec![&inner["kind"]["tuple"], &inner["kind"]["struct"]["fields"]],
        _ => vec![],
    };
    let ids = lists.into_iter().filter_map(Value::as_array).flatten();
    ids.filter(|value| !value.is_null()).map(id).collect()
}

/// Auto traits and blanket impls, which rustdoc repeats on every type.
fn is_derived_by_the_compiler(kind: &str, inner: &Value) -> bool {
    kind == "impl" && (inner["is_synthetic"] == Value::Bool(true) || !inner["blanket_impl"].is_null())
}

pub(crate) fn is_ours(item: &Value) -> bool {
    item["crate_id"] == 0
}

pub(crate) fn object<'a>(description: &'a Value, key: &str) -> Result<&'a Map<String, Value>> {
    description[key]
        .as_object()
        .with_context(|| format!("rustdoc's JSON has no {key:?}: its format has changed"))
}

/// Ids are numbers here and strings in keys.
pub(crate) fn id(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
