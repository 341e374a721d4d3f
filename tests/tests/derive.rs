//! `#[derive(Job)]` as a user meets it: what compiles, and what the compiler says of what does not.
//!
//! The messages are pinned in `derive/fail/*.stderr`. After a change that is meant, run this test with `TRYBUILD=overwrite`
//! and read every difference: is the message good, and does it point at the right token?

#[test]
fn the_derive_takes_what_it_documents_and_explains_what_it_refuses() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/derive/pass/*.rs");
    cases.compile_fail("tests/derive/fail/*.rs");
}
