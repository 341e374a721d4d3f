//! The properties that the fuzz targets try. They belong to the suite `foreign_bytes`, which tries them on stable Rust too.

#[path = "../../tests/tests/foreign_bytes/properties/mod.rs"]
mod properties;

pub use properties::*;
