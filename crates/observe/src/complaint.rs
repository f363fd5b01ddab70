//! Messages by which a kernel reports a problem.

use check::is_complaint;
use guestmem::GuestVirt;
use introspect::GuestKernel;

/// Formats whose telling words are arguments (`kernel/rcu/tree_stall.h`, `kernel/hung_task.c` from v7.0 on).
const FORMATS: [&str; 3] = [
    "%s detected stalls",
    "%s self-detected stall",
    " blocked%s for more than ",
];
/// What introduces a level in a format (`KERN_SOH`).
const LEVEL: char = '\u{1}';
/// The longest format that is looked at, in bytes.
const LONGEST: usize = 128;

/// The format at this address, if the kernel reports a problem with it.
pub fn of_format(kernel: &GuestKernel<'_>, at: GuestVirt) -> Option<String> {
    let mut bytes = [0; LONGEST];
    // The last mapped page may end behind the format.
    let len = (1..=LONGEST / 8)
        .take_while(|n| {
            let part = (n - 1) * 8..n * 8;
            kernel
                .read(at.wrapping_add(part.start as u64), &mut bytes[part])
                .is_ok()
        })
        .count()
        * 8;
    let bytes = bytes[..len].split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    let text = match text.strip_prefix(LEVEL) {
        Some(rest) => rest.get(1..).unwrap_or_default(),
        None => &text,
    };
    is_alarm(text).then(|| text.trim_end().to_owned())
}

fn is_alarm(format: &str) -> bool {
    is_complaint(format) || FORMATS.iter().any(|words| format.contains(words))
}

/// A line of the log without its time.
pub fn without_time(line: &str) -> &str {
    match line.split_once("] ") {
        Some((time, rest)) if time.starts_with('[') => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_reports_are_told_from_others() {
        for format in [
            "BUG: soft lockup - CPU#%d stuck for %us! [%s:%d]\n",
            "INFO: task %s:%d blocked for more than %ld seconds.\n",
            "INFO: task %s:%d blocked%s for more than %ld seconds.\n",
            "BUG: kernel NULL pointer dereference, address: %px\n",
            "INFO: %s detected stalls on CPUs/tasks:\n",
            "WARNING: CPU: %d PID: %d at %s:%d %pS\n",
        ] {
            assert!(is_alarm(format), "{format}");
        }
        for format in [
            "BPF scheduler \"%s\" enabled%s\n",
            "%s",
            "WARNING: the rest is chatter\n",
        ] {
            assert!(!is_alarm(format), "{format}");
        }
    }

    #[test]
    fn a_line_is_told_without_its_time() {
        assert_eq!(without_time("[    6.523761] BUG: x] y"), "BUG: x] y");
        assert_eq!(without_time("no time"), "no time");
    }
}
