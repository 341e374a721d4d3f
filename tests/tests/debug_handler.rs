//! `#[debug_handler]` as a user meets it: it points at the part of a function that keeps it from being a handler.
//!
//! The messages are pinned in `debug_handler/fail/*.stderr`; see `handlers.rs` for how to read them anew.

#[test]
fn a_debugged_handler_compiles_or_is_told_which_part_is_wrong() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/debug_handler/pass/*.rs");
    cases.compile_fail("tests/debug_handler/fail/*.rs");
}
