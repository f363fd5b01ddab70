//! What the tests of this crate are made with: small packages, and an archive with a stand-in for apt in front of it.

pub(crate) mod archive;
pub(crate) mod deb;
