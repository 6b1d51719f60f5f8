//! Every wrong use of the attributes, with the compiler's words about it.
//!
//! `TRYBUILD=overwrite cargo test -p cache-tests --test ui` rewrites the expectations.

#[test]
fn wrong_uses_are_explained() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
