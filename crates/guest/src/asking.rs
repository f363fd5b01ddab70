//! The agent's program as a command of the guest: `schedrig-guest snapshot mid-run`. It asks the host as any program may.

use std::process::ExitCode;

use ask::kernel_op::{KernelOpRequest, OpValue, Target};
use ask::{AskError, Host};
use spec::KernelPath;

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

const USAGE: &str = "\
usage: schedrig-guest snapshot TAG        have a snapshot of the kernel taken, now
       schedrig-guest watch PATH          have one taken whenever the kernel stores to this number
       schedrig-guest read PATH           print a number of the kernel; 32 bits of a symbol as SYMBOL:4
       schedrig-guest start|pause|resume  mark a phase of the scenario
       schedrig-guest swapped             report that another scheduler took over
       schedrig-guest metrics TEXT        keep a measurement in the record
PATH is a symbol as jiffies_64, a field as runqueues[0].nr_running, or an address as kva[0xffff...].
This program is also the PID 1 of schedrig's guests.";

/// Does what the arguments say.
pub(crate) fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match ask(&words) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("schedrig-guest: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// `None`: the words are no request.
fn ask(words: &[&str]) -> Option<Result<(), AskError>> {
    let request: &dyn Fn(&mut Host) -> Result<(), AskError> = match words {
        ["snapshot", tag] => &|host| host.snapshot(tag),
        ["watch", path] => &|host| host.watch(path),
        ["read", path] => &|host| read(host, path),
        ["start"] => &Host::scenario_start,
        ["pause"] => &Host::scenario_pause,
        ["resume"] => &Host::scenario_resume,
        ["swapped"] => &Host::scheduler_swapped,
        ["metrics", text] => &|host| host.metrics(text.as_bytes()),
        _ => return None,
    };
    Some(Host::find().and_then(|mut host| request(&mut host)))
}

fn read(host: &mut Host, path: &str) -> Result<(), AskError> {
    let path: KernelPath = path.parse().map_err(no_request)?;
    let target = Target::try_from(&path).map_err(no_request)?;
    // A field has a size of its own: a wider read is refused.
    let entries = match (path.bytes(), path.steps()) {
        (Some(4), _) => vec![target.u32(0)],
        (None, [_, ..]) => vec![target.clone().u64(0), target.u32(0)],
        _ => vec![target.u64(0)],
    };
    let mut reason = String::new();
    for entry in entries {
        let reply = host.kernel_op(KernelOpRequest::read("read", vec![entry]))?;
        match reply.read_values.as_slice() {
            [OpValue::U32(value)] => println!("{value:#x}"),
            [OpValue::U64(value)] => println!("{value:#x}"),
            _ => {
                reason = reply.reason;
                continue;
            }
        }
        return Ok(());
    }
    Err(AskError::Refused(reason))
}

fn no_request(error: impl std::fmt::Display) -> AskError {
    AskError::Request(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_request_are_refused_with_the_usage() {
        for words in [
            &[][..],
            &["snapshot"],
            &["snapshot", "a", "b"],
            &["no-such"],
            &["start", "x"],
        ] {
            assert!(ask(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn a_request_outside_of_a_guest_is_told_that_nobody_listens() {
        for words in [
            &["snapshot", "a"][..],
            &["start"],
            &["read", "jiffies_64"],
            &["metrics", "{}"],
        ] {
            assert!(matches!(ask(words), Some(Err(AskError::NoHost))), "{words:?}");
        }
    }
}
