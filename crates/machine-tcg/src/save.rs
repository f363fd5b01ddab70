//! Saving a machine that is frozen in a call.
//!
//! QEMU can be stopped from outside only somewhere; but with the vCPU held in a call, a `stop` that was asked for
//! takes effect at the first moment after it, which is the same in every execution. So two saves of the same boot
//! have the same RAM, byte for byte, however busy the host was (the device state differs in bytes that do not matter).
//!
//! ```text
//! DIR/ram      guest RAM, sparse
//! DIR/device   everything else, in QEMU's migration format
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::channel::Command;
use crate::launch::{PATIENCE, Parts};
use crate::qmp::QmpError;
use crate::sparse;

/// A saved machine's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The directory that holds them.
    pub directory: PathBuf,
}

impl Saved {
    /// Guest RAM.
    pub(crate) fn ram(&self) -> PathBuf {
        self.directory.join("ram")
    }

    /// The state of the devices and vCPUs.
    pub(crate) fn device(&self) -> PathBuf {
        self.directory.join("device")
    }
}

/// A machine could not be saved; it is ended all the same.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Only a machine that is frozen in a call can be saved.
    #[error("save a machine that is {found}; only one that is frozen in a call can be saved")]
    State {
        /// The state it is in.
        found: &'static str,
    },
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
}

/// Without this RAM would be written into the state, too.
pub(crate) fn ignore_shared_ram() -> Value {
    json!({ "capabilities": [{ "capability": "x-ignore-shared", "state": true }] })
}

/// Saves the machine behind `parts`, which is frozen in a call, into the existing directory.
pub(crate) fn save(parts: &mut Parts, directory: &Path) -> Result<Saved, SaveError> {
    let saved = Saved {
        directory: directory.to_owned(),
    };
    let deadline = Instant::now() + PATIENCE;
    let stop = parts.qmp.send("stop", &json!({}))?;
    wait_for_pending_stop(parts.process.id(), deadline);
    parts.link.send(Command::Go).map_err(SaveError::Channel)?;
    parts.qmp.answer("stop", stop, deadline)?;
    parts
        .qmp
        .execute("migrate-set-capabilities", &ignore_shared_ram(), deadline)?;
    let uri = format!("file:{}", saved.device().display());
    parts.qmp.execute("migrate", &json!({ "uri": uri }), deadline)?;
    wait_for_migration(parts, &saved, deadline)?;
    let file = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| SaveError::File { doing, path, source }
    };
    let ram = saved.ram();
    let to = File::create(&ram).map_err(file("create", &ram))?;
    sparse::copy(&parts.ram_file, &to).map_err(file("write", &ram))?;
    to.sync_all().map_err(file("write", &ram))?;
    Ok(saved)
}

/// Waits until QEMU's main thread stands in the stop: it has told the vCPU to stop and waits for it, which is held in
/// the call. Asked of the kernel, because QEMU does not tell.
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

fn wait_for_migration(parts: &mut Parts, saved: &Saved, deadline: Instant) -> Result<(), SaveError> {
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
            path: saved.device(),
            reason,
        });
    }
}
