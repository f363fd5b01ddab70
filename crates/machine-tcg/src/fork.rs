//! A new machine from a saved one.
//!
//! The fork has its own copy of RAM and begins frozen in the call that the original was saved in: what the host
//! writes into the call's buffer before the first `resume` is the answer that this fork's guest finds.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::launch::{Begin, LaunchError, PATIENCE, Parts, greet, spawn, wait_until_ready};
use crate::qmp::QmpError;
use crate::save::{Saved, ignore_shared_ram};
use crate::{TcgConfig, memfd, sparse};

/// A saved machine could not be forked.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// A file of the saved machine is missing or cannot be read.
    #[error("read {} of the saved machine; save it again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// RAM could not be copied.
    #[error("copy guest RAM; is there that much memory (see /proc/meminfo)?")]
    Ram(#[source] io::Error),
    /// QEMU did not come up.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The monitor failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// QEMU could not load the state.
    #[error("QEMU could not load {} ({reason}); it was saved by another QEMU, or is damaged: save it again", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// QEMU's words, or its run state.
        reason: String,
    },
}

/// Brings the fork to where the original stood. `config` is the original's, but for the seed.
pub(crate) fn fork(config: &TcgConfig, saved: &Saved) -> Result<Parts, ForkError> {
    let deadline = Instant::now() + PATIENCE;
    let path = saved.ram();
    let original = File::open(&path).map_err(|source| ForkError::Read {
        path: path.clone(),
        source,
    })?;
    let len = original
        .metadata()
        .map_err(|source| ForkError::Read {
            path: path.clone(),
            source,
        })?
        .len();
    if len != config.memory_bytes() {
        let source = io::Error::other(format!(
            "{len} bytes, and the machine has {}",
            config.memory_bytes()
        ));
        return Err(ForkError::Read { path, source });
    }
    let ram = memfd::empty("schedrig-ram").map_err(ForkError::Ram)?;
    sparse::copy(&original, &ram).map_err(ForkError::Ram)?;

    let mut parts = spawn(config, Begin::Saved(ram))?;
    greet(&mut parts, deadline)?;
    load(&mut parts, saved, deadline)?;
    // The first block that the fork translates is where the plugin waits for hooks.
    parts.qmp.execute("cont", &json!({}), deadline)?;
    wait_until_ready(&mut parts, deadline)?;
    Ok(parts)
}

fn load(parts: &mut Parts, saved: &Saved, deadline: Instant) -> Result<(), ForkError> {
    const STEP: Duration = Duration::from_millis(1);
    let qmp = &mut parts.qmp;
    qmp.execute("migrate-set-capabilities", &ignore_shared_ram(), deadline)?;
    // Its announcements would be timers of the host's clock, which kick the vCPU: forks would differ.
    qmp.execute(
        "migrate-set-parameters",
        &json!({ "announce-rounds": 0 }),
        deadline,
    )?;
    let uri = format!("file:{}", saved.device().display());
    qmp.execute("migrate-incoming", &json!({ "uri": uri }), deadline)?;
    loop {
        let answer = qmp.execute("query-status", &json!({}), deadline)?;
        match answer["status"].as_str() {
            Some("inmigrate") if Instant::now() < deadline => thread::sleep(STEP),
            Some("paused") => return Ok(()),
            other => {
                let reason = other.unwrap_or("no run state").to_owned();
                return Err(ForkError::State {
                    path: saved.device(),
                    reason,
                });
            }
        }
    }
}
