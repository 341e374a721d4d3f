//! What broke between two listings. Pure.

use std::fmt;

use super::listing::{Item, Listing};

/// One thing that a user's code may have relied on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Break<'a> {
    /// It is gone.
    Removed(&'a str),
    /// It is there and something else.
    Changed(&'a str, &'a Item, &'a Item),
    /// It is new where a user's code had to be complete.
    Added(&'a str),
}

impl fmt::Display for Break<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Removed(path) => write!(f, "removed: {path}"),
            Break::Changed(path, old, new) => write!(f, "changed: {path}\n    was {old}\n    is  {new}"),
            Break::Added(path) => write!(f, "added where users list everything: {path}"),
        }
    }
}

/// What of `old` does not hold any more in `new`.
pub(super) fn breaks<'a>(old: &'a Listing, new: &'a Listing) -> Vec<Break<'a>> {
    let kept = old.iter().filter_map(|(path, before)| match new.get(path) {
        None => Some(Break::Removed(path)),
        Some(now) if now.replaces(before) => None,
        Some(now) => Some(Break::Changed(path, before, now)),
    });
    let added = new
        .iter()
        .filter(|(path, item)| !old.contains_key(*path) && breaks_its_owner(old, path, item));
    kept.chain(added.map(|(path, _)| Break::Added(path))).collect()
}

/// Whether code that named every part of the item around it does not any more: a match, a literal, an implementation.
fn breaks_its_owner(old: &Listing, path: &str, item: &Item) -> bool {
    let owner = path.rsplit_once("::").and_then(|(owner, _)| old.get(owner));
    owner.is_some_and(|owner| match &*owner.kind {
        "enum" | "struct" | "variant" => owner.is_closed && matches!(&*item.kind, "variant" | "struct_field"),
        "trait" => item.is_required,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, signature: &str) -> Item {
        Item {
            kind: kind.to_owned(),
            signature: signature.to_owned(),
            is_closed: false,
            is_required: false,
        }
    }

    fn listing(items: impl IntoIterator<Item = (&'static str, Item)>) -> Listing {
        items.into_iter().map(|(path, item)| (path.to_owned(), item)).collect()
    }

    #[test]
    fn what_is_new_breaks_nothing_and_what_is_gone_or_different_does() {
        let old = listing([
            ("a::kept", item("function", "()")),
            ("a::gone", item("function", "()")),
            ("a::other", item("function", "()")),
        ]);
        let new = listing([
            ("a::kept", item("function", "()")),
            ("a::new", item("function", "()")),
            ("a::other", item("function", "(u8)")),
        ]);

        let told: Vec<String> = breaks(&old, &new).iter().map(ToString::to_string).collect();

        assert_eq!(
            told,
            [
                "removed: a::gone",
                "changed: a::other\n    was function ()\n    is  function (u8)"
            ]
        );
        assert!(breaks(&new, &new).is_empty());
    }

    #[test]
    fn a_variant_breaks_matches_unless_the_enum_is_open() {
        for (is_closed, expected) in [(true, vec![Break::Added("a::E::New")]), (false, vec![])] {
            let owner = || Item {
                is_closed,
                ..item("enum", "")
            };
            let old = listing([("a::E", owner())]);
            let new = listing([
                ("a::E", owner()),
                ("a::E::New", item("variant", "plain")),
                ("a::E::method", item("function", "")),
            ]);
            assert_eq!(breaks(&old, &new), expected);
        }
    }

    #[test]
    fn a_method_that_a_trait_demands_breaks_its_implementations_and_one_that_it_offers_does_not() {
        let old = listing([("a::T", item("trait", ""))]);
        for is_required in [true, false] {
            let method = Item {
                is_required,
                ..item("function", "")
            };
            let new = listing([("a::T", item("trait", "")), ("a::T::method", method)]);
            assert_eq!(breaks(&old, &new).len(), usize::from(is_required));
        }
    }

    #[test]
    fn what_opens_breaks_nothing_that_stood_before_and_what_closes_or_demands_more_is_seen() {
        let closed = Item {
            is_closed: true,
            ..item("struct", "")
        };
        // A literal names every field: with a private or a later one it does not compile.
        assert!(!item("struct", "").replaces(&closed));
        assert!(closed.replaces(&item("struct", "")));
        let demanded = Item {
            is_required: true,
            ..item("function", "")
        };
        assert!(!demanded.replaces(&item("function", "")));
        assert!(item("function", "").replaces(&demanded));
    }
}
