//! What the compiler says of a handler that is none: its words are part of the interface.

#[test]
fn handlers_compile_or_say_what_is_missing() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/handlers/pass/*.rs");
    cases.compile_fail("tests/handlers/fail/*.rs");
}
