//! A snapshot: the state of a kernel that matters to a scheduler's author.

use introspect::bpf::Bpf;
use introspect::sched::{self, Scx};
use introspect::task::{self, Task};
use introspect::{GuestKernel, Limits, ReadError};
use record::{Snapshot, Tag, Value};
use spec::GuestTime;

/// Entries of a map that a snapshot has.
const ENTRIES: usize = 256;
/// Tasks that a snapshot has in full.
const MOST_TASKS: usize = 4096;

/// Takes a snapshot of a kernel that stands still. What cannot be read says why in its place.
pub fn snapshot(kernel: &GuestKernel<'_>, tag: Tag, at: GuestTime) -> Snapshot {
    let or_missing = |value: Result<Value, ReadError>| value.unwrap_or_else(|error| Value::missing(&error));
    let bpf = Bpf::of(kernel);
    let seen = Value::tree([
        ("cpus", or_missing(cpus(kernel))),
        ("dsqs", or_missing(sched::dispatch_queues(kernel))),
        ("tasks", or_missing(tasks(kernel))),
        ("sched_ext", Scx::of(kernel).value()),
        ("maps", bpf.maps_value(ENTRIES, &Limits::default())),
        ("progs", bpf.progs_value()),
    ]);
    Snapshot { tag, at, seen }
}

fn cpus(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let cpus = kernel.possible_cpus()?;
    let cpus = cpus.iter().map(|cpu| Value::from(sched::runqueue(kernel, cpu)));
    Ok(cpus.collect())
}

fn tasks(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let tasks = task::all(kernel)?;
    Ok(tasks.tasks.iter().take(MOST_TASKS).map(Task::value).collect())
}
