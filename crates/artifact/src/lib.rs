//! Builds a workspace program for embedding, from a build script.
//!
//! The guest's agent and QEMU's plugin are programs of this workspace that are embedded in others as bytes, so that a
//! user installs one crate. A build script runs a second cargo for them:
//!
//! ```no_run
//! # use schedrig_artifact as artifact;
//! // build.rs; `schedrig-artifact` is among the build-dependencies
//! fn main() -> Result<(), artifact::BuildError> {
//!     artifact::Build::static_binary("schedrig-guest").embed("SCHEDRIG_GUEST")
//! }
//! ```
//!
//! ```ignore
//! // src/lib.rs
//! static AGENT: &[u8] = include_bytes!(env!("SCHEDRIG_GUEST"));
//! ```
//!
//! The built program depends on the sources and the compiler alone. Flags, wrappers and profiles of the
//! outer build (`cargo clippy`, coverage, `-Ctarget-cpu=native`) must not affect a program that runs
//! in another machine, so the environment is cleaned and the profile is fixed, see the `command` module.
//!
//! ```text
//! <target>/embedded/<package>/   the second cargo's target directory: kept, shared by all outer profiles
//! <OUT_DIR>/<file>               a copy of the result; `include_bytes!` reads this one
//! ```
//!
//! *Architecture invariant:* this crate runs at build time only and knows none of the programs that it builds.
#![forbid(unsafe_code)]

mod build;
mod command;
mod inputs;

pub use build::{Build, BuildError};
