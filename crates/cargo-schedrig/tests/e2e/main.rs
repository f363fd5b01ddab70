//! The command line end to end: verdicts, exit codes, errors, and what is left behind when things die.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod inspect;
mod judge;
mod records;
mod replay;
mod report;
mod run;
mod saves;
mod scenario;
mod stage;
mod sweep;
