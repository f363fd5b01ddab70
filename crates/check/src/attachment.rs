//! When the scheduler was attached, and when it was not, by what the kernel wrote to its console.
//!
//! `scx_enable_workfn` and `scx_root_disable` of `kernel/sched/ext.c` print a line each, the second with the reason and,
//! in the next line, the message:
//!
//! ```text
//! [    4.512300] sched_ext: BPF scheduler "cosmos" disabled (unregistered from the main kernel)
//! [    4.512400] sched_ext: cosmos: cpu 3 going offline, exiting scheduler
//! [    7.801200] sched_ext: BPF scheduler "cosmos" enabled
//! ```

use spec::{GuestTime, Nanos};

/// A time in which no scheduler was attached, between two in which one was, or after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absence {
    pub(crate) from: GuestTime,
    /// `None`: it was not attached again.
    pub(crate) to: Option<GuestTime>,
    /// The kernel's reason and message.
    pub(crate) why: String,
    /// The kernel ended it because a CPU went offline or came online, and asks its program to start it again
    /// (`SCX_ECODE_ACT_RESTART`).
    pub(crate) hotplug: bool,
}

/// Every absence that the console tells of, in their order.
pub(crate) fn absences(console: &str) -> Vec<Absence> {
    let mut found: Vec<Absence> = Vec::new();
    // The last line told that one was disabled: the message follows.
    let mut message_next = false;
    for (at, said) in console.lines().filter_map(line) {
        let told = message_next;
        message_next = false;
        if let Some((_, reason)) = said.split_once(" disabled (") {
            found.push(Absence {
                from: at,
                to: None,
                why: reason.trim_end_matches(')').to_owned(),
                // `scx_exit_reason` of SCX_EXIT_UNREG_KERN, which nothing but hotplug gives.
                hotplug: reason.starts_with("unregistered from the main kernel"),
            });
            message_next = true;
        } else if said.contains("\" enabled") {
            if let Some(last) = found.last_mut().filter(|last| last.to.is_none()) {
                last.to = Some(at);
            }
        } else if let (true, Some(last)) = (told && is_message(said), found.last_mut()) {
            last.why += &format!(": {said}");
        }
    }
    found
}

/// `NAME: MESSAGE`, and no other line of sched_ext's.
pub(crate) fn is_message(said: &str) -> bool {
    said.split_once(": ").is_some_and(|(name, _)| !name.contains(' '))
}

/// The time and the text of a line of sched_ext's.
fn line(line: &str) -> Option<(GuestTime, &str)> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, micros) = stamp.trim_start().split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = format!("{micros:0<6}").get(..6)?.parse().ok()?;
    let at = Nanos::from_secs(seconds)
        .0
        .checked_add(Nanos::from_micros(micros).0)?;
    Some((GuestTime(Nanos(at)), rest.trim_end().strip_prefix("sched_ext: ")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> GuestTime {
        GuestTime(Nanos::from_millis(millis))
    }

    #[test]
    fn an_absence_lasts_from_a_disabled_line_to_the_next_enabled_one() {
        let console = "\
            [    1.000000] sched_ext: BPF scheduler \"cosmos\" enabled\n\
            [    4.512000] smpboot: CPU 3 is now offline\n\
            [    4.512000] sched_ext: BPF scheduler \"cosmos\" disabled (unregistered from the main kernel)\n\
            [    4.512000] sched_ext: cosmos: cpu 3 going offline, exiting scheduler\n\
            [    7.801000] sched_ext: BPF scheduler \"cosmos\" enabled\n\
            [    9.001000] sched_ext: BPF scheduler \"cosmos\" disabled (runnable task stall)\n";
        let found = absences(console);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].from, found[0].to, found[0].hotplug),
            (at(4_512), Some(at(7_801)), true)
        );
        assert!(found[0].why.contains("cpu 3 going offline"), "{}", found[0].why);
        assert_eq!(
            (found[1].from, found[1].to, found[1].hotplug),
            (at(9_001), None, false)
        );
        assert_eq!(found[1].why, "runnable task stall");
    }

    proptest! {
        #[test]
        fn no_console_panics(console in "(\\[ {0,3}[0-9.]{0,24}\\] (sched_ext: )?[a-z\" ()]{0,30}\n){0,5}", any in any::<String>()) {
            let _ = (absences(&console), absences(&any));
        }
    }
}
