//! Fixtures of this crate's tests: small packages, and an archive served by a stand-in for apt.

pub(crate) mod archive;
pub(crate) mod deb;
