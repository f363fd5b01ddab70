//! The command line end to end: verdicts, exit codes, errors, and what is left behind when things die.

mod faults;
mod run;
mod stage;
