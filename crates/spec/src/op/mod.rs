//! Ops: everything that can be done to a guest between two of its calls.
//!
//! An op is one value from the test's body to the agent, and from the record's script to the agent again:
//!
//! ```text
//!  rig.apply(op) ─┐                              ┌─► the record's script ─► ScriptPlayer ─► apply …
//!  --op "…" ──────┼─► Op ──► Session::apply(op) ─┤
//!  ScriptPlayer ──┘                 │            └─► the record's evidence
//!                     Command::Do(op) ▼   ▲ OpOutcome, OpError
//!                          agent: guest/src/ops/<op>.rs
//! ```
//!
//! Each op is a struct in a file of its own here, with its text form, its checks and its wording ([`Operation`]), and
//! one row of the table below. The agent has a file of the same name and a row of its own. To add an op, add these two
//! files, these two rows, and a test; add an arm to `Session::apply` only if the op leaves evidence that no other op
//! leaves.

mod body_failed;
mod cpu;
mod error;
mod exec;
mod make_cgroup;
mod note;
mod operation;
mod outcome;
mod put_file;
mod put_program;
mod read_file;
mod run_for;
mod seed;
mod spawn;
mod start_scheduler;
mod stop_scheduler;
mod table;
#[cfg(test)]
mod tests;
mod write;
mod write_kernel;

pub use body_failed::BodyFailed;
pub use cpu::Cpu;
pub use error::{OpError, OpTextError};
pub use exec::Exec;
pub use make_cgroup::MakeCgroup;
pub use note::Note;
pub use operation::{Form, Operation, Takes};
pub use outcome::{OpOutcome, SchedulerState};
pub use put_file::{Content, ContentError, PutFile};
pub use put_program::{FileSum, HostProgram, PutProgram};
pub use read_file::ReadFile;
pub use run_for::RunFor;
pub use seed::Seed;
pub use spawn::Spawn;
pub use start_scheduler::StartScheduler;
pub use stop_scheduler::StopScheduler;
pub use write::Write;
pub use write_kernel::WriteKernel;

// A row's place is the op's number on the wire, its literal the name in a record (older names after `|`). Add new rows
// at the end.
table::ops! {
    /// Puts a file into the guest.
    PutFile = "put_file",
    /// Puts a program of the host and its shared libraries into the guest.
    PutProgram = "put_program",
    /// Reads a file of the guest, whole.
    ReadFile = "read_file",
    /// Makes a cgroup below the root.
    MakeCgroup = "make_cgroup",
    /// Makes workers, which wait at a gate until the next [`RunFor`].
    Spawn = "spawn",
    /// Starts a scheduler's program and waits until the kernel says that its scheduler is attached.
    StartScheduler = "start_scheduler",
    /// Asks the scheduler's program to end, and ends it where it does not.
    StopScheduler = "stop_scheduler",
    /// Opens the gate, lets the guest run, and measures what the workers did.
    RunFor = "run_for",
    /// Runs a program of the guest to its end.
    Exec = "exec",
    /// Writes to the guest's kernel.
    WriteKernel = "write_kernel",
    /// Puts a value into the record.
    Note = "note",
    /// Puts into the record that the test's body returned an error.
    BodyFailed = "body_failed" | "gave_up",
    /// Takes a CPU offline, or brings it back online.
    Cpu = "cpu",
    /// Writes a text to a cgroup or sysctl file.
    Write = "write",
    /// Seeds what is random from now on.
    Seed = "seed",
}
