//! From the kernel's first user process to a machine in which workers and schedulers find what they expect.
//!
//! Done once, before the agent's hello. A step that this kernel lacks the means for is either needed, and ends
//! the boot with the reason, or it is not, and is said on the console.

mod control;
mod loopback;
mod mounts;
mod settings;

use std::fs;
use std::io;

use crate::console;
use crate::door::{DoorKind, DoorKindError, NopDoor};

/// What the agent's program is called as a command.
const COMMAND: &str = "/bin/schedrig-guest";

/// The guest's user space could not be brought up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// A file system that everything depends on is missing.
    #[error("mount {kind} at {target}")]
    Mount {
        /// The file system.
        kind: &'static str,
        /// Where.
        target: &'static str,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// A file that says or decides something cannot be read or written.
    #[error("{doing} {path}")]
    File {
        /// `read` or `write …`.
        doing: String,
        /// Its path.
        path: String,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The control thread could not be set up.
    #[error("{doing}")]
    Control {
        /// What was being done.
        doing: &'static str,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The door is not named, or unknown.
    #[error(transparent)]
    DoorKind(#[from] DoorKindError),
    /// The door's buffer could not be mapped.
    #[error("map the door's buffer")]
    Door(#[source] io::Error),
}

/// Brings everything up and returns the door.
pub(crate) fn up() -> Result<NopDoor, BootError> {
    mounts::all()?;
    let door = match DoorKind::from_command_line(&read("/proc/cmdline")?)? {
        DoorKind::Nop => NopDoor::new().map_err(BootError::Door)?,
    };
    settings::all()?;
    if let Err(error) = loopback::up() {
        console::say(&format!("bring the loopback device up: {error}"));
    }
    if let Err(error) = name_the_command() {
        console::say(&format!("make {COMMAND}: {error}"));
    }
    control::take()?;
    // A quiet kernel may print nothing else, and then nobody could tell it from one whose console does not work.
    console::say("up");
    Ok(door)
}

/// This program is a command of the guest, too.
fn name_the_command() -> io::Result<()> {
    fs::create_dir_all("/bin")?;
    std::os::unix::fs::symlink("/init", COMMAND)
}

fn read(path: &str) -> Result<String, BootError> {
    fs::read_to_string(path).map_err(|source| BootError::File {
        doing: "read".to_owned(),
        path: path.to_owned(),
        source,
    })
}
