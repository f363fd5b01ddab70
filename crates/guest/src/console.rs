//! The agent's last words, and the few others that are not the host's business: on the kernel's console.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;

/// `KERN_ALERT` (include/linux/kern_levels.h): above every console log level but the quietest.
const LEVEL: &str = "<1>";

/// Says it, in one line that begins with `schedrig-guest:`. Through the kernel's log, because that is written
/// out in order and before a power-off; by standard error where there is no log yet.
pub(crate) fn say(text: &str) {
    let log = OpenOptions::new().write(true).open("/dev/kmsg");
    let said = log.and_then(|mut log| log.write_all(format!("{LEVEL}schedrig-guest: {text}\n").as_bytes()));
    if said.is_err() {
        eprintln!("schedrig-guest: {text}");
    }
}

/// A panic of the agent is said on the console; then PID 1 ends, and the kernel panics.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| say(&panic.to_string().replace('\n', " "))));
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
