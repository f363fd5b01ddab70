//! What the kernel says about a worker, read from `/proc` and process clocks.
//!
//! A worker that starts no processes is one task ([`task::ProcessFiles`]). One that may, a program, is a [`family::Family`]: its process
//! and all processes that descend from it, with all their threads. [`Accounting`] is either.
//!
//! | number | of a task | of a family |
//! |---|---|---|
//! | on-CPU time | exact up to the last tick of its CPU | the same for each process that is there, its ended threads included; of a process that ended and was waited for, in 10 ms: each process that has waited may lack up to 20 ms |
//! | run delay, timeslices, migrations | exact | of the threads that were there when the agent looked; what a thread did between the last look and its end is missing |
//! | CPUs | the worker notes them itself | where each thread was last |
//!
//! The agent looks when a window begins, when it ends, and before it reaps a process.

mod accounting;
mod census;
mod family;
mod idle;
mod task;
mod text;

pub(crate) use accounting::{Accounting, Marks};
pub(crate) use census::Census;
pub(crate) use idle::Busy;
pub(crate) use text::SchedStat;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use text::TextError;

/// The longest text that is read. `/proc/PID/sched` is the longest there is: about 3 KiB, and 120 bytes more for each
/// NUMA node.
const MAX_TEXT: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_TEXT]);
}

/// Reads the file with one call, since the kernel makes the text anew for every further one, and parses it.
fn parse<T>(file: &File, parser: impl Fn(&str) -> Result<T, TextError>) -> io::Result<T> {
    BUFFER.with_borrow_mut(|buffer| {
        let len = file.read_at(buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..len]);
        parser(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    })
}

/// Opens the file below `/proc`, reads it once and parses it.
fn parse_at<T>(path: &str, parser: impl Fn(&str) -> Result<T, TextError>) -> io::Result<T> {
    parse(&File::open(format!("/proc/{path}"))?, parser)
}
