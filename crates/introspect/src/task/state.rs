//! What a task does: `__state` and `exit_state`, as `/proc/PID/stat` and `/proc/PID/status` tell them.

use std::fmt;

use crate::{Object, ReadError};

/// A state as the kernel prints it: `S (sleeping)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its letter.
    pub letter: char,
    /// Its name.
    pub name: String,
}

// Macros of include/linux/sched.h, the same since v5.14: types do not tell them.
const TASK_UNINTERRUPTIBLE: u64 = 0x2;
const TASK_NOLOAD: u64 = 0x400;
const TASK_IDLE: u64 = TASK_UNINTERRUPTIBLE | TASK_NOLOAD;
const TASK_RTLOCK_WAIT: u64 = 0x1000;
const TASK_FROZEN: u64 = 0x8000;
/// All that has a letter of its own, but for idle, which follows.
const TASK_REPORT: u64 = 0x7f;
const TASK_REPORT_IDLE: u64 = TASK_REPORT + 1;

/// `__task_state_index()`: which entry of `task_state_array` it is.
pub(super) fn index(state: u64, exit_state: u64) -> u64 {
    let report = if state & (TASK_RTLOCK_WAIT | TASK_FROZEN) != 0 {
        TASK_UNINTERRUPTIBLE
    } else if state & TASK_IDLE == TASK_IDLE {
        TASK_REPORT_IDLE
    } else {
        (state | exit_state) & TASK_REPORT
    };
    u64::from(u64::BITS - report.leading_zeros())
}

/// `get_task_state()`: the entry of the kernel's own table.
pub(super) fn of(task: &Object<'_>, state: u64, exit_state: u64) -> Result<State, ReadError> {
    const LONGEST: usize = 32;
    let kernel = task.kernel();
    let index = index(state, exit_state);
    let entry = kernel.symbol("task_state_array")?.wrapping_add(8 * index);
    let at = guestmem::GuestVirt(kernel.read_u64(entry)?);
    let text = kernel.read_cstr(at, LONGEST)?;
    let text = String::from_utf8_lossy(&text);
    let parts = text
        .split_once(" (")
        .and_then(|(letter, name)| Some((letter.chars().next()?, name.strip_suffix(')')?)));
    let (letter, name) = parts.ok_or_else(|| {
        let why = format!("task_state_array has {text:?} for it, no letter and name");
        ReadError::out_of_range(format!("state of {}", task.describe()), state, why)
    })?;
    Ok(State {
        letter,
        name: name.to_owned(),
    })
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.letter, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_place_that_the_kernels_table_has_them_in() {
        let names = "RSDTtXZPI";
        let letter = |state, exit| names.chars().nth(index(state, exit) as usize).unwrap();
        assert_eq!(letter(0, 0), 'R');
        assert_eq!(letter(1, 0), 'S');
        assert_eq!(letter(2, 0), 'D');
        assert_eq!(letter(4, 0), 'T');
        assert_eq!(letter(8, 0), 't');
        assert_eq!(letter(0x40, 0), 'P');
        assert_eq!(letter(0x402, 0), 'I');
        assert_eq!(letter(0x1000, 0), 'D');
        assert_eq!(letter(0x8000, 0), 'D');
        assert_eq!(letter(0x80, 0x20), 'Z', "dead, not yet waited for");
        assert_eq!(letter(0x80, 0x10), 'X');
        assert_eq!(letter(0x101, 0), 'S', "killable sleep is a sleep");
        assert_eq!(letter(0x200, 0), 'R', "one that wakes up runs");
    }
}
