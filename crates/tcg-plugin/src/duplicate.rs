// SPDX-License-Identifier: GPL-2.0-or-later
//! Duplicating this process, with all its threads and with all the code that it has translated.
//!
//! fork(2) copies the memory of a process, and one thread. The other threads are begun anew where they stood; their locks,
//! their thread-local storage, what they wait for is memory, and so the same. What is not memory is put right: guest RAM,
//! which the owner maps too; descriptors with state behind them; what the kernel keeps for a thread.
//!
//! ```text
//!  original                                        duplicate
//!  look: descriptors, mappings   refuse what is not known
//!  make guest RAM private        once
//!  stop the other threads        in a signal's handler
//!  clone ────────────────────────────────────────► descriptors of its own
//!  let the threads go on                           begin the threads anew, let them go on
//!  report: duplicated                              report, on its own channel: is a duplicate
//!  stands in the call                              stands in the call
//! ```
//!
//! Between stopping and going on nothing is allocated: a thread may have been stopped while it held the allocator's lock.

mod descriptors;
#[cfg(target_arch = "x86_64")]
mod memory;
#[cfg(target_arch = "x86_64")]
mod raw;
#[cfg(target_arch = "x86_64")]
mod threads;

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use tcg_channel::{Cause, Refusal};

use descriptors::Given;
pub(crate) use descriptors::Inherited;

/// The signal that makes a thread stand still. QEMU's threads block most others; the guest's divisions do not raise it, since
/// QEMU's translator tests their operands.
pub(crate) const STOPS: i32 = libc::SIGFPE;

/// Whether guest RAM is private already.
static PRIVATE: AtomicBool = AtomicBool::new(false);

/// The owner's ends in this process, which a duplicate must not keep.
pub(crate) struct Ends<'e> {
    pub(crate) channel: RawFd,
    pub(crate) monitor: RawFd,
    pub(crate) inherited: &'e Inherited,
}

/// What became of the process.
pub(crate) enum Outcome {
    /// To be reported: in the original and in the duplicate, each on its own channel.
    Report(Cause),
    /// This is a duplicate that did not come up, and must end.
    Failed(Errno),
}

/// Duplicates this process.
pub(crate) fn duplicate(ends: &Ends<'_>, given: Vec<OwnedFd>) -> Outcome {
    let made = Given::try_from(given)
        .map_err(|given| (Refusal::Command, given.len() as u64))
        .and_then(|given| try_to(ends, &given));
    made.unwrap_or_else(|(why, number)| Outcome::Report(Cause::NotDuplicated { why, number }))
}

#[cfg(not(target_arch = "x86_64"))]
fn try_to(_: &Ends<'_>, _: &Given) -> Result<Outcome, (Refusal, u64)> {
    Err((Refusal::Architecture, 0))
}

#[cfg(target_arch = "x86_64")]
fn try_to(ends: &Ends<'_>, given: &Given) -> Result<Outcome, (Refusal, u64)> {
    if memory::has_shadow_stacks() {
        return Err((Refusal::ShadowStacks, 0));
    }
    let mut descriptors = descriptors::Descriptors::survey(ends, given)?;
    memory::let_anybody_read();
    if !PRIVATE.load(Ordering::SeqCst) {
        memory::make_private()?;
        PRIVATE.store(true, Ordering::SeqCst);
    }
    let threads = threads::Threads::stop()?;
    descriptors.note_counts();
    let duplicated = threads.duplicate_process();
    if duplicated == Ok(0) {
        memory::let_anybody_read();
        let begun = descriptors.replace(given).and_then(|()| threads.begin_anew());
        let pid = std::process::id();
        return Ok(match begun {
            Ok(()) => Outcome::Report(Cause::IsDuplicate { pid }),
            Err(error) => Outcome::Failed(error),
        });
    }
    threads.go_on();
    let pid = duplicated.map_err(|error| (Refusal::Kernel, error.raw_os_error() as u64))?;
    Ok(Outcome::Report(Cause::Duplicated { pid }))
}
