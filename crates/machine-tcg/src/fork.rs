//! A new machine from a saved one.
//!
//! The fork has its own copy of RAM and is frozen in the call that the original was saved in: the guest of this fork reads
//! the answer that the host writes into the call's buffer.
//!
//! ```text
//! QEMU starts, builds the machine ──┐
//!                                   ├──► loads the device state ──► at the first block, hooks can be set
//! RAM is copied and checked ────────┘
//! ```

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::launch::{Begin, LaunchError, PATIENCE, Parts, spawn, wait_for_monitor, wait_until_ready};
use crate::qmp::QmpError;
use crate::saved::{Saved, SavedError, ignore_shared_ram};
use crate::{TcgConfig, memfd};

/// A saved machine could not be forked.
#[derive(Debug, thiserror::Error)]
pub enum TcgForkError {
    /// The save is of a machine with another configuration.
    #[error(
        "the saved machine has {saved} bytes of memory, and {configured} are configured; this is a defect of schedrig"
    )]
    Memory {
        /// Of the save.
        saved: u64,
        /// Of the configuration.
        configured: u64,
    },
    /// The save cannot be used.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The device state could not be handed to QEMU.
    #[error("fill a memory file with the device state")]
    Device(#[source] io::Error),
    /// QEMU did not come up.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The monitor failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// QEMU could not load the state.
    #[error("QEMU could not load {} ({reason}); was it saved by another QEMU? save it again", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// QEMU's words, or its run state.
        reason: String,
    },
}

/// What a fork took, in host time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkCost {
    /// Until RAM was copied, counted from the start; QEMU starts meanwhile.
    pub copy: Duration,
    /// From then until QEMU's monitor took commands.
    pub start: Duration,
    /// From then until the device state was loaded.
    pub load: Duration,
    /// From then until the first block of guest code.
    pub ready: Duration,
}

/// Starts a fork at the instant of the save. `config` is the original's, but for the seed.
pub(crate) fn fork(config: &TcgConfig, saved: &Saved) -> Result<(Parts, ForkCost), TcgForkError> {
    let began = Instant::now();
    let deadline = began + PATIENCE;
    if saved.memory_bytes() != config.memory_bytes() {
        return Err(TcgForkError::Memory {
            saved: saved.memory_bytes(),
            configured: config.memory_bytes(),
        });
    }
    let device = memfd::with_content("schedrig-device", saved.device()).map_err(TcgForkError::Device)?;
    let device: OwnedFd = device.into();
    let uri = format!("file:/proc/self/fd/{}", device.as_raw_fd());
    let mut parts = spawn(config, Begin::Saved { device })?;
    saved.copy_ram(&parts.ram_file)?;
    let copied = Instant::now();
    wait_for_monitor(&mut parts, deadline)?;
    let started = Instant::now();
    load(&mut parts, &uri, saved, deadline)?;
    let loaded = Instant::now();
    // The first block that the fork translates is where the plugin waits for hooks.
    parts.qmp.execute("cont", &json!({}), deadline)?;
    wait_until_ready(&mut parts, deadline)?;
    let cost = ForkCost {
        copy: copied - began,
        start: started - copied,
        load: loaded - started,
        ready: loaded.elapsed(),
    };
    tracing::debug!(?cost, pid = parts.process.id(), "forked");
    Ok((parts, cost))
}

fn load(parts: &mut Parts, uri: &str, saved: &Saved, deadline: Instant) -> Result<(), TcgForkError> {
    const STEP: Duration = Duration::from_millis(1);
    let qmp = &mut parts.qmp;
    qmp.execute("migrate-set-capabilities", &ignore_shared_ram(), deadline)?;
    // Announcements are timers of the host's clock, which interrupt the vCPU: with them, forks would differ.
    qmp.execute(
        "migrate-set-parameters",
        &json!({ "announce-rounds": 0 }),
        deadline,
    )?;
    qmp.execute("migrate-incoming", &json!({ "uri": uri }), deadline)?;
    loop {
        let answer = qmp.execute("query-status", &json!({}), deadline)?;
        match answer["status"].as_str() {
            Some("inmigrate") if Instant::now() < deadline => thread::sleep(STEP),
            Some("paused") => return Ok(()),
            other => {
                let reason = other.unwrap_or("no run state").to_owned();
                return Err(TcgForkError::State {
                    path: saved.device_path(),
                    reason,
                });
            }
        }
    }
}
