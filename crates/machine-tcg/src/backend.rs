//! [`TcgBackend`]: this crate as a [`Backend`].

use std::path::Path;
use std::sync::{Arc, OnceLock};

use machine::{
    Backend, BackendKind, BootError, Caps, Executor, ForkError, Identity, Machine, MachineConfig, OpenError,
    ProbeError, RunningMachine, SavedMachine,
};

use crate::fork::TcgForkError;
use crate::saved::SavedError;
use crate::vm::CAPS;
use crate::{PLUGIN, Qemu, RECIPE, Running, Saved, TcgConfig, TcgMachine, TcgOptions};

/// The deterministic backend, with its options.
#[derive(Debug)]
pub struct TcgBackend {
    options: TcgOptions,
    qemu: OnceLock<Qemu>,
}

impl TcgBackend {
    /// The backend with these options. Nothing is started or looked for yet.
    pub fn new(options: TcgOptions) -> TcgBackend {
        TcgBackend {
            options,
            qemu: OnceLock::new(),
        }
    }

    /// QEMU, which is asked for its version once.
    fn qemu(&self) -> Result<&Qemu, ProbeError> {
        if let Some(qemu) = self.qemu.get() {
            return Ok(qemu);
        }
        let probed = Qemu::probe(self.options.qemu.as_deref()).map_err(|error| ProbeError(error.into()))?;
        Ok(self.qemu.get_or_init(|| probed))
    }

    fn configure(&self, machine: MachineConfig) -> TcgConfig {
        TcgConfig {
            machine,
            options: self.options.clone(),
        }
    }
}

impl Backend for TcgBackend {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn probe(&self) -> Result<Executor, ProbeError> {
        let qemu = self.qemu()?;
        Ok(Executor {
            path: qemu.program.clone(),
            version: format!("QEMU {}", qemu.version),
        })
    }

    fn identity(&self, config: &MachineConfig) -> Result<Identity, ProbeError> {
        static PLUGIN_SHA256: OnceLock<String> = OnceLock::new();
        let plugin = PLUGIN_SHA256.get_or_init(|| disk::files::sha256(PLUGIN));
        let shift = self.options.effective_shift(&config.topology);
        Ok(Identity {
            backend: BackendKind::Tcg,
            executor: self.probe()?.version,
            facts: vec![
                ("recipe", RECIPE.to_string()),
                ("plugin", plugin.clone()),
                ("shift", shift.to_string()),
            ],
        })
    }

    fn boot(&self, config: &MachineConfig) -> Result<Box<dyn Machine>, BootError> {
        match TcgMachine::launch(&self.configure(config.clone())) {
            Ok(machine) => Ok(Box::new(machine)),
            Err(error) => Err(BootError {
                backend: BackendKind::Tcg,
                source: error.into(),
            }),
        }
    }

    fn open(&self, config: &MachineConfig, directory: &Path) -> Result<Arc<dyn SavedMachine>, OpenError> {
        let saved = Saved::open(directory).map_err(|error| {
            let directory = directory.to_owned();
            if error.is_damage() {
                OpenError::Damaged {
                    directory,
                    source: error.into(),
                }
            } else {
                OpenError::Other {
                    directory,
                    source: error.into(),
                }
            }
        })?;
        // A fork has no use for the initramfs.
        let config = MachineConfig {
            initrd: Vec::new(),
            ..config.clone()
        };
        let config = self.configure(config);
        Ok(Arc::new(OpenSave { config, saved }))
    }

    fn running(&self) -> Vec<Box<dyn RunningMachine>> {
        let all = Running::all().into_iter();
        all.map(|running| Box::new(running) as Box<dyn RunningMachine>)
            .collect()
    }
}

/// A save, and the configuration of its forks.
#[derive(Debug)]
struct OpenSave {
    config: TcgConfig,
    saved: Saved,
}

impl SavedMachine for OpenSave {
    fn fork(&self) -> Result<Box<dyn Machine>, ForkError> {
        match TcgMachine::fork(&self.config, &self.saved) {
            Ok(machine) => Ok(Box::new(machine)),
            Err(TcgForkError::Saved(error)) if error.is_damage() => Err(ForkError::Damaged(error.into())),
            Err(error) => Err(ForkError::Other(error.into())),
        }
    }
}

impl SavedError {
    /// Whether the save itself is unusable: a save that is made anew would do.
    fn is_damage(&self) -> bool {
        match self {
            SavedError::Damaged { .. } => true,
            SavedError::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            SavedError::Copy(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn backend(options: TcgOptions) -> TcgBackend {
        TcgBackend::new(options)
    }

    #[test]
    fn a_missing_qemu_is_an_error_of_the_probe_and_of_the_identity() {
        let backend = backend(TcgOptions {
            qemu: Some("/no/such/qemu".into()),
            ..TcgOptions::default()
        });
        let error = backend.probe().unwrap_err().to_string();
        assert!(error.contains("cargo xtask setup"), "{error}");
        assert!(backend.identity(&config("1n1l1c1t", 512).machine).is_err());
    }

    #[test]
    fn a_directory_without_a_save_is_a_damaged_save() {
        let directory = tempfile::tempdir().unwrap();
        let opened = backend(TcgOptions::default()).open(&config("1n1l1c1t", 512).machine, directory.path());
        let Err(OpenError::Damaged { directory: named, .. }) = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(named, directory.path());
    }

    #[test]
    fn a_save_that_cannot_be_read_for_another_reason_is_not_damaged() {
        let error = |kind: std::io::ErrorKind| SavedError::Read {
            path: "/save/ram".into(),
            source: kind.into(),
        };
        assert!(error(std::io::ErrorKind::NotFound).is_damage());
        assert!(!error(std::io::ErrorKind::PermissionDenied).is_damage());
        assert!(!SavedError::Copy(std::io::ErrorKind::StorageFull.into()).is_damage());
    }
}
