//! The agent's program as a command of the guest: `schedrig-guest snapshot mid-run`. It asks the host as any program may.

use std::process::ExitCode;

use ask::kernel_op::{KernelOpRequest, OpValue, Target};
use ask::{AskError, Host};

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

const USAGE: &str = "\
usage: schedrig-guest snapshot TAG        have a snapshot of the kernel taken, now
       schedrig-guest watch SYMBOL        have one taken whenever the kernel stores to this symbol
       schedrig-guest read SYMBOL         print 64 bits of the kernel
       schedrig-guest start|pause|resume  mark a phase of the scenario
       schedrig-guest metrics TEXT        keep a measurement in the record
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
        ["watch", symbol] => &|host| host.watch(symbol),
        ["read", symbol] => &|host| read(host, symbol),
        ["start"] => &Host::scenario_start,
        ["pause"] => &Host::scenario_pause,
        ["resume"] => &Host::scenario_resume,
        ["metrics", text] => &|host| host.metrics(text.as_bytes()),
        _ => return None,
    };
    Some(Host::find().and_then(|mut host| request(&mut host)))
}

fn read(host: &mut Host, symbol: &str) -> Result<(), AskError> {
    let reply = host.kernel_op(KernelOpRequest::read("read", vec![Target::symbol(symbol).u64(0)]))?;
    match reply.read_values.as_slice() {
        [OpValue::U64(value)] => {
            println!("{value:#x}");
            Ok(())
        }
        _ => Err(AskError::Refused(reply.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_request_are_none() {
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
