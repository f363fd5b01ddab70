//! Saving a machine that is frozen in a call.
//!
//! A `stop` from outside takes effect at an instant that depends on the host. But if it is requested while the vCPU is held
//! in a call, it takes effect at the first instant after the call, which is the same in every execution. So two saves of
//! the same boot have the same RAM, byte for byte, however busy the host was (the device state differs in bytes that do not
//! matter).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use machine::MachineError;
use serde_json::{Value, json};
use tcg_channel::{Command, Report};

use super::state::State;
use super::{DEVICE, RAM, STATE, ram};
use crate::launch::{PATIENCE, Parts};
use crate::qmp::QmpError;

/// A machine could not be saved; it is ended all the same.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Only a machine that is frozen in a call can be saved.
    #[error("save a machine that is {found}; only one that is frozen in a call can be saved")]
    State {
        /// The state it is in.
        found: &'static str,
    },
    /// The console could not be read.
    #[error(transparent)]
    Console(MachineError),
    /// A file operation failed.
    #[error("{doing} {}; is the disk full?", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The channel to the plugin failed.
    #[error("let the machine run to its stop")]
    Channel(#[source] io::Error),
    /// The monitor failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// QEMU could not write the state.
    #[error("QEMU could not write the state to {}: {reason}; is the disk full?", path.display())]
    Migration {
        /// Where to.
        path: PathBuf,
        /// QEMU's words.
        reason: String,
    },
    /// The description of the save cannot be encoded.
    #[error("describe the saved machine: {0}; this is a defect of schedrig")]
    Describe(String),
}

/// Keeps RAM out of the device state.
pub(crate) fn ignore_shared_ram() -> Value {
    json!({ "capabilities": [{ "capability": "x-ignore-shared", "state": true }] })
}

/// Saves the machine behind `parts`, which is frozen in `call` and has written that to its console, into the existing
/// directory.
pub(crate) fn save(
    parts: &mut Parts,
    call: &Report,
    console: Vec<u8>,
    directory: &Path,
) -> Result<(), SaveError> {
    let deadline = Instant::now() + PATIENCE;
    let stop = parts.qmp.send("stop", &json!({}))?;
    wait_for_pending_stop(parts.process.id(), deadline);
    parts.link.send(Command::Resume).map_err(SaveError::Channel)?;
    parts.qmp.answer("stop", stop, deadline)?;

    let path = directory.join(DEVICE);
    migrate(parts, &path, deadline)?;
    let device = fs::read(&path).map_err(file("read", &path))?;
    let path = directory.join(RAM);
    let packed = File::create(&path).map_err(file("create", &path))?;
    let pages = ram::pack(&parts.ram_file, &packed).map_err(file("write", &path))?;
    let memory_bytes = parts
        .ram_file
        .metadata()
        .map_err(file("read the size of the RAM of", directory))?
        .len();
    let state = State::new(memory_bytes, pages, &device, console, call);
    let path = directory.join(STATE);
    let bytes = state.encode().map_err(SaveError::Describe)?;
    fs::write(&path, bytes).map_err(file("write", &path))
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    let path = path.to_owned();
    move |source| SaveError::File { doing, path, source }
}

/// Has QEMU write everything but RAM.
fn migrate(parts: &mut Parts, path: &Path, deadline: Instant) -> Result<(), SaveError> {
    parts
        .qmp
        .execute("migrate-set-capabilities", &ignore_shared_ram(), deadline)?;
    let uri = format!("file:{}", path.display());
    parts.qmp.execute("migrate", &json!({ "uri": uri }), deadline)?;
    wait_for_migration(parts, path, deadline)
}

/// Waits until QEMU's main thread is in the stop: it has requested the vCPU to stop and waits for it, which is held in the
/// call. QEMU does not report that, so the host's kernel is asked.
fn wait_for_pending_stop(pid: u32, deadline: Instant) {
    /// `futex` in `arch/x86/entry/syscalls/syscall_64.tbl`: the main thread waits in `pause_all_vcpus`. Elsewhere it
    /// waits in `ppoll`.
    const FUTEX: &str = "202 ";
    /// A lock that is held for a moment looks the same; a stop lasts.
    const STEADY: u32 = 10;
    const STEP: Duration = Duration::from_millis(2);
    let path = format!("/proc/{pid}/syscall");
    let mut steady = 0;
    while steady < STEADY && Instant::now() < deadline {
        let waits = fs::read_to_string(&path).is_ok_and(|call| call.starts_with(FUTEX));
        steady = if waits { steady + 1 } else { 0 };
        thread::sleep(STEP);
    }
}

fn wait_for_migration(parts: &mut Parts, path: &Path, deadline: Instant) -> Result<(), SaveError> {
    const STEP: Duration = Duration::from_millis(2);
    loop {
        let answer = parts.qmp.execute("query-migrate", &json!({}), deadline)?;
        let reason = match answer["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => answer["error-desc"]
                .as_str()
                .unwrap_or("no reason given")
                .to_owned(),
            _ if Instant::now() >= deadline => "it takes too long".to_owned(),
            _ => {
                thread::sleep(STEP);
                continue;
            }
        };
        return Err(SaveError::Migration {
            path: path.to_owned(),
            reason,
        });
    }
}
