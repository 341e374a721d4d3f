//! Handlers as a user meets them: what compiles, and what the compiler says of what does not.
//!
//! The messages are pinned in `handlers/fail/*.stderr`. After a change that is meant, run this test with `TRYBUILD=overwrite`
//! and read every difference: does the message say what a handler is, and does it point at the handler?

#[test]
fn every_form_of_handler_compiles_and_what_is_none_is_told_what_it_lacks() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/handlers/pass/*.rs");
    cases.compile_fail("tests/handlers/fail/*.rs");
}
