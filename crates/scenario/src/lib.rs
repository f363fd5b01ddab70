//! Scenarios as data: what a run is, apart from its seed and its host.
//!
//! ```text
//!  name.rig.toml ──► file: Tables, with the place of each value ──► Scenario ──► a run (crate schedrig)
//!                      │                                      ▲  └──► show: TOML, or a test in Rust
//!                      └─ schema: for editors             flags of `run`, a test's builder
//! ```
//!
//! A scenario is made of the ops and works of `spec` and the checks of `check`, in their text forms: what is added there can be
//! written here at once.
#![forbid(unsafe_code)]

mod canned;
mod file;
mod model;
mod rules;
pub mod show;

pub use canned::{CANNED, Canned, TEMPLATE};
pub use file::{FileError, Mistake, SUFFIX, parse, read, schema};
pub use model::{Group, Machine, Scenario, Scheduler, Step, Verdicts, sysctl_path};
pub use rules::{MAX_TIMES, MAX_WORKERS, MEMORY_MIB, RuleError, Where};
