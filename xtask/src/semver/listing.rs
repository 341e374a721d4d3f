//! What a crate's public API consists of: each public item by its path, with what a user's code can notice of it.
//!
//! Works on rustdoc's JSON by its shape, like [`public_api`](crate::deps::public_api), and only ever on two descriptions of
//! one toolchain, so the form of a signature does not matter as long as equal ones look equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::deps::public_api::{children, id, is_ours, object};

/// All public items by path. An implementation's path is what implements what.
pub(super) type Listing = BTreeMap<String, Item>;

/// What can be noticed of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// As rustdoc calls it: `function`, `struct`, `impl` …
    pub(super) kind: String,
    /// Everything that it is made of but its parts, which are items of their own.
    pub(super) signature: String,
    /// Whether users can name all its parts: an exhaustive enum, a struct without private fields.
    pub(super) is_closed: bool,
    /// Of a trait's part: whether whoever implements the trait has to write it.
    pub(super) is_required: bool,
}

impl Item {
    /// Whether code that relied on `before` can rely on this.
    pub(super) fn replaces(&self, before: &Item) -> bool {
        self.kind == before.kind
            && self.signature == before.signature
            && (self.is_closed || !before.is_closed)
            && (before.is_required || !self.is_required)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = if self.is_closed {
            " (users name all its parts)"
        } else {
            ""
        };
        write!(f, "{} {}{closed}", self.kind, self.signature)
    }
}

/// Lists what is reachable from the crate's root.
pub(super) fn listing(description: &Value) -> Result<Listing> {
    let mut walk = Walk {
        index: object(description, "index")?,
        paths: object(description, "paths")?,
        seen: BTreeSet::new(),
        listing: Listing::new(),
    };
    walk.item(&id(&description["root"]), "");
    Ok(walk.listing)
}

struct Walk<'a> {
    index: &'a Map<String, Value>,
    paths: &'a Map<String, Value>,
    /// With the path: an item that is re-exported has several.
    seen: BTreeSet<(String, String)>,
    listing: Listing,
}

impl Walk<'_> {
    fn item(&mut self, item_id: &str, parent: &str) {
        let index = self.index;
        let Some(item) = index.get(item_id).filter(|item| is_ours(item)) else {
            return;
        };
        let Some((kind, inner)) = item["inner"].as_object().and_then(|inner| inner.iter().next()) else {
            return;
        };
        if !self.seen.insert((item_id.to_owned(), parent.to_owned())) {
            return;
        }
        match kind.as_str() {
            "use" => self.reexport(inner, parent),
            "impl" => self.implementation(inner, parent),
            kind => {
                let path = join(parent, item["name"].as_str().unwrap_or("?"));
                self.listing.insert(path.clone(), self.describe(kind, item, inner));
                let implementations = inner["implementations"].as_array().into_iter().flatten().map(id);
                for child in children(kind, inner).into_iter().chain(implementations) {
                    self.item(&child, &path);
                }
            }
        }
    }

    /// What is re-exported is public under the new name, with all its parts.
    fn reexport(&mut self, inner: &Value, parent: &str) {
        let target = id(&inner["id"]);
        let name = inner["name"].as_str().unwrap_or("?");
        let Some(item) = self.index.get(&target).filter(|item| is_ours(item)) else {
            let source = inner["source"].as_str().unwrap_or("?");
            let path = if inner["is_glob"] == true {
                format!("{source}::*")
            } else {
                name.to_owned()
            };
            let item = Item {
                kind: "use".to_owned(),
                signature: source.to_owned(),
                is_closed: false,
                is_required: false,
            };
            self.listing.insert(join(parent, &path), item);
            return;
        };
        match (inner["is_glob"] == true, item["name"].as_str() == Some(name)) {
            (true, _) => {
                let module = item["inner"]["module"]["items"].as_array();
                module
                    .into_iter()
                    .flatten()
                    .for_each(|child| self.item(&id(child), parent));
            }
            (false, true) => self.item(&target, parent),
            // Under another name: its parts are listed where it has its own.
            (false, false) => {
                let item = Item {
                    kind: "use".to_owned(),
                    signature: self.full_path(&target, name),
                    is_closed: false,
                    is_required: false,
                };
                self.listing.insert(join(parent, name), item);
            }
        }
    }

    /// The methods of an inherent implementation are the type's own; that a trait is implemented is an item by itself.
    fn implementation(&mut self, inner: &Value, parent: &str) {
        if inner["trait"].is_null() {
            return children("impl", inner)
                .iter()
                .for_each(|child| self.item(child, parent));
        }
        let is_named_by_users = |name: &str| ["Send", "Sync", "Unpin"].contains(&name);
        let name = inner["trait"]["path"].as_str().unwrap_or("?");
        if (inner["is_synthetic"] == true && !is_named_by_users(name)) || !inner["blanket_impl"].is_null() {
            return;
        }
        let not = if inner["is_negative"] == true { "!" } else { "" };
        let path = format!(
            "impl {not}{} for {}",
            self.normal(&inner["trait"]),
            self.normal(&inner["for"])
        );
        let signature = self.normal(&inner["generics"]).to_string();
        let item = Item {
            kind: "impl".to_owned(),
            signature,
            is_closed: false,
            is_required: false,
        };
        self.listing.insert(path, item);
    }

    fn describe(&self, kind: &str, item: &Value, inner: &Value) -> Item {
        let is_open = item["attrs"].to_string().contains("non_exhaustive");
        let fields = &inner["kind"];
        let hides_fields = match kind {
            "struct" => fields["plain"]["has_stripped_fields"] == true || has_null(&fields["tuple"]),
            "variant" => fields["struct"]["has_stripped_fields"] == true,
            _ => false,
        };
        let is_provided = inner["has_body"] == true
            || (kind == "assoc_type" && !inner["type"].is_null())
            || (kind == "assoc_const" && !inner["value"].is_null());
        let is_closed = matches!(kind, "struct" | "enum" | "variant") && !is_open && !hides_fields;
        let signature = match kind {
            // What users cannot name all parts of looks the same to them in every form.
            "struct" | "variant" => json!([is_closed.then(|| shape(fields)), self.normal(&inner["generics"])]),
            "constant" => self.normal(&inner["type"]),
            "static" => self.normal(&inner["type"]),
            "module" => Value::Null,
            _ => self.normal(inner),
        };
        Item {
            kind: kind.to_owned(),
            signature: signature.to_string(),
            is_closed,
            is_required: !is_provided && matches!(kind, "function" | "assoc_type" | "assoc_const"),
        }
    }

    /// Without what differs from run to run, or what no user's code can notice.
    fn normal(&self, value: &Value) -> Value {
        const NOTHING: [&str; 13] = [
            "id",
            "span",
            "docs",
            "links",
            "attrs",
            "deprecation",
            "items",
            "impls",
            "implementations",
            "variants",
            "has_body",
            "value",
            "has_stripped_variants",
        ];
        match value {
            Value::Array(values) => values.iter().map(|value| self.normal(value)).collect(),
            Value::Object(fields) => {
                let of_field = |(key, value): (&String, &Value)| match key.as_str() {
                    "path" if fields.contains_key("id") => {
                        json!(self.full_path(&id(&fields["id"]), value.as_str().unwrap_or("?")))
                    }
                    // The names of arguments are the implementation's own.
                    "inputs" => value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|input| self.normal(&input[1]))
                        .collect(),
                    _ => self.normal(value),
                };
                let kept = fields.iter().filter(|(key, _)| !NOTHING.contains(&key.as_str()));
                Value::Object(kept.map(|(key, value)| (key.clone(), of_field((key, value)))).collect())
            }
            other => other.clone(),
        }
    }

    /// Of an item of the crate's own only crate and name: in which private module it is written is nobody's business.
    fn full_path(&self, id: &str, name: &str) -> String {
        let summary = self.paths.get(id);
        let Some(segments) = summary.and_then(|summary| summary["path"].as_array()) else {
            return name.to_owned();
        };
        let segments: Vec<&str> = segments.iter().filter_map(Value::as_str).collect();
        match segments.as_slice() {
            [own, .., last] if summary.is_some_and(|summary| summary["crate_id"] == 0) => format!("{own}::{last}"),
            segments => segments.join("::"),
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}::{name}")
    }
}

fn has_null(fields: &Value) -> bool {
    fields
        .as_array()
        .is_some_and(|fields| fields.iter().any(Value::is_null))
}

/// Unit, tuple or named fields, and how many of a tuple: its parts have no names.
fn shape(kind: &Value) -> Value {
    match kind {
        Value::Object(fields) => fields
            .iter()
            .map(|(kind, parts)| json!([kind, parts.as_array().map(Vec::len)]))
            .collect(),
        unit => unit.clone(),
    }
}

#[cfg(test)]
mod tests;
