//! The backends of this build: the one file of the product that names them.
//!
//! Everything else sees a `dyn Backend`. `cargo xtask tidy` checks it.

use std::sync::Arc;

use machine::Backend;
use machine_tcg::{TcgBackend, TcgOptions};
use record::Manifest;

use crate::RunSpec;

/// All backends, with default options: to find out what this host can do, and which machines run on it.
pub fn backends() -> Vec<Arc<dyn Backend>> {
    vec![Arc::new(TcgBackend::new(TcgOptions::default()))]
}

/// The backend that executes a run. Nothing is started or looked for yet.
pub(crate) fn of_run(spec: &RunSpec) -> Arc<dyn Backend> {
    Arc::new(TcgBackend::new(TcgOptions {
        qemu: spec.qemu.clone(),
        shift: spec.shift,
    }))
}

/// The option `shift` of a machine with this manifest, for the plan of its runs; 0 on a backend that has no such option.
pub(crate) fn shift(manifest: &Manifest) -> u8 {
    let shift = manifest.facts.get("shift").and_then(|shift| shift.parse().ok());
    shift.unwrap_or(0)
}
