//! What must not compile, with what the compiler says. Each case is built in a tree of its own with this test's features:
//! without the AWS SDK, on which none of them depends, and which takes minutes.
#![cfg(not(feature = "ssm"))]

/// SS10 and architecture.md section 3: use after logout, copies and prints of key material, sessions of what is no data.
#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
