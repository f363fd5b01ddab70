//! A backend of scripted machines, with any abilities: for tests of what is asked of a backend, and when.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use machine::{
    Backend, BackendKind, BootError, Caps, Executor, ForkError, Identity, Machine, MachineConfig, OpenError,
    ProbeError, RunningMachine, SavedMachine,
};

use crate::{FakeMachine, Step};

/// A backend whose machines all play the same script.
#[derive(Debug, Clone)]
pub struct FakeBackend {
    caps: Caps,
    script: Vec<Step>,
    made: Arc<AtomicUsize>,
}

impl FakeBackend {
    /// A backend with these abilities. What its machines report as theirs is [`FakeMachine::CAPS`] all the same.
    pub fn new(caps: Caps, script: impl IntoIterator<Item = Step>) -> FakeBackend {
        FakeBackend {
            caps,
            script: script.into_iter().collect(),
            made: Arc::default(),
        }
    }

    /// All abilities without a limit.
    pub const ALL: Caps = Caps {
        backend: BackendKind::Fake,
        deterministic: true,
        max_hooks: None,
        late_hooks: true,
        max_watches: None,
        saves: true,
        duplicates: true,
    };

    /// How many machines were booted or forked, in all clones of this backend.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn make(&self) -> Box<dyn Machine> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Box::new(FakeMachine::new(self.script.clone(), ""))
    }
}

impl Backend for FakeBackend {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn probe(&self) -> Result<Executor, ProbeError> {
        Ok(Executor {
            path: "/fake".into(),
            version: "fake 1".to_owned(),
        })
    }

    fn identity(&self, _config: &MachineConfig) -> Result<Identity, ProbeError> {
        Ok(Identity {
            backend: self.caps.backend,
            executor: "fake 1".to_owned(),
            facts: Vec::new(),
        })
    }

    fn boot(&self, _config: &MachineConfig) -> Result<Box<dyn Machine>, BootError> {
        Ok(self.make())
    }

    fn open(&self, _config: &MachineConfig, _directory: &Path) -> Result<Arc<dyn SavedMachine>, OpenError> {
        Ok(Arc::new(self.clone()))
    }

    fn running(&self) -> Vec<Box<dyn RunningMachine>> {
        Vec::new()
    }
}

impl SavedMachine for FakeBackend {
    fn fork(&self) -> Result<Box<dyn Machine>, ForkError> {
        Ok(self.make())
    }
}
