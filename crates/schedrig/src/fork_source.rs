//! The saved machine that runs are forks of: found, or booted and saved, once for each manifest in this process.
//!
//! ```text
//! manifest ─► saves::Store ──found────────────────────────► SavedMachine ─► fork(seed), as often as wanted
//!                  └──missing or damaged──► boot, save ──┘              └──► prepare(seed): a fork in the pool
//! ```
//!
//! The boot has one fixed seed: what differs between runs enters at the fork.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use machine::{
    Backend, BootError, ForkError, Machine, MachineConfig, MachineError, OpenError, SavedMachine, Source,
};
use record::{End, Evidence, Manifest};
use saves::{Entry, ObtainError, Store, StoreError};
use session::{Failed, GuestClock, Limits, Session, Start, Status, chain};
use tempfile::TempDir;

use crate::fork_pool::ForkPool;
use crate::{Progress, RigError, RunSpec};

/// The seed of every boot.
pub(crate) const BOOT_SEED: u64 = 1;

/// How often a damaged save is made anew before the run fails.
const ATTEMPTS: u32 = 3;

/// Where saved machines are.
pub(crate) struct Place {
    store: Store,
    /// The store's directory, where it is this process's alone.
    temporary: Option<TempDir>,
}

impl Place {
    /// Where a run wants them; where nobody has chosen a place, and the user's cache cannot be written to, a temporary one.
    pub(crate) fn of(spec: &RunSpec, progress: &mut dyn FnMut(Progress)) -> Result<Place, RigError> {
        let store = match &spec.saves {
            Some(directory) => Store::open(directory),
            None => Store::open_default(),
        };
        let writable = store.and_then(|store| store.probe().map(|()| store));
        let why = match writable {
            Ok(store) => {
                return Ok(Place {
                    store,
                    temporary: None,
                });
            }
            Err(why @ (StoreError::File { .. } | StoreError::NoCacheDir)) => why,
            Err(error) => return Err(error.into()),
        };
        if spec.saves.is_some() || Store::is_chosen() {
            return Err(why.into());
        }
        let Ok(temporary) = TempDir::with_prefix("schedrig-saves-") else {
            return Err(why.into());
        };
        progress(Progress::Unsaved { why: chain(&why) });
        Ok(Place {
            store: Store::open(temporary.path())?,
            temporary: Some(temporary),
        })
    }
}

/// A machine at its agent's first call.
pub(crate) struct ForkSource {
    backend: Arc<dyn Backend>,
    config: MachineConfig,
    clock: Option<GuestClock>,
    manifest: Manifest,
    store: Store,
    state: Mutex<State>,
    fork_pool: ForkPool,
    /// Forks that were requested.
    forks: AtomicU64,
    /// Removed with this.
    _temporary: Option<TempDir>,
}

/// What is known of it in this process.
#[derive(Default)]
struct State {
    /// The save, and its entry in the store, which is not evicted as long as it is held.
    saved: Option<(Entry, Arc<dyn SavedMachine>)>,
    /// The evidence of a machine that does not boot by its own fault.
    dead: Option<Evidence>,
}

/// A fork, or the evidence of a boot that failed.
pub(crate) enum Forked {
    Machine(Box<dyn Machine>),
    /// The machine does not boot; this is the run's evidence.
    Dead(Evidence),
}

/// The save, or the evidence of a boot that failed.
enum Booted {
    Saved(Entry, Arc<dyn SavedMachine>),
    Dead(Evidence),
}

/// A machine could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error(transparent)]
    Launch(#[from] BootError),
    #[error("boot the machine")]
    Boot(Box<Failed>),
    #[error(transparent)]
    Save(#[from] MachineError),
}

impl ForkSource {
    /// The fork source of a manifest; the same one in the whole process.
    pub(crate) fn of(
        backend: &Arc<dyn Backend>,
        config: MachineConfig,
        clock: Option<GuestClock>,
        manifest: Manifest,
        place: Place,
    ) -> Result<Arc<ForkSource>, RigError> {
        /// By the store's directory and the key in it.
        type ForkSources = HashMap<(PathBuf, String), Arc<ForkSource>>;
        static FORK_SOURCES: OnceLock<Mutex<ForkSources>> = OnceLock::new();
        let Place { store, temporary } = place;
        let key = (store.directory().to_owned(), saves::key_of(&manifest)?);
        let is_temporary = temporary.is_some();
        let make = || {
            Arc::new(ForkSource {
                backend: Arc::clone(backend),
                config: MachineConfig {
                    seed: BOOT_SEED,
                    ..config
                },
                clock,
                manifest,
                store,
                state: Mutex::default(),
                fork_pool: ForkPool::default(),
                forks: AtomicU64::new(0),
                _temporary: temporary,
            })
        };
        // What is kept for the whole process is never dropped, and would leave the directory behind.
        if is_temporary {
            return Ok(make());
        }
        let mut fork_sources = lock(FORK_SOURCES.get_or_init(Mutex::default));
        Ok(Arc::clone(fork_sources.entry(key).or_insert_with(make)))
    }

    /// A new machine at the agent's first call.
    pub(crate) fn fork(
        &self,
        seed: u64,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Forked, RigError> {
        self.forks.fetch_add(1, Ordering::Relaxed);
        if let Some(machine) = self.fork_pool.take(seed) {
            return Ok(Forked::Machine(machine));
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (entry, saved) = match self.saved(limits, progress)? {
                Booted::Saved(entry, saved) => (entry, saved),
                Booted::Dead(evidence) => return Ok(Forked::Dead(evidence)),
            };
            match saved.fork(seed) {
                Ok(machine) => return Ok(Forked::Machine(machine)),
                Err(ForkError::Damaged(damage)) if attempt < ATTEMPTS => self.discard(&entry, &damage)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Boots and saves the machine if there is no save of it.
    pub(crate) fn ready(&self, limits: Limits, progress: &mut dyn FnMut(Progress)) -> Result<(), RigError> {
        self.saved(limits, progress).map(|_| ())
    }

    /// How many forks were requested in this process.
    pub(crate) fn forks(&self) -> u64 {
        self.forks.load(Ordering::Relaxed)
    }

    /// Makes the fork of a seed in the background. Does nothing where there is no place for it, or no saved machine yet.
    pub(crate) fn prepare(&self, seed: u64) {
        // Without waiting: the thread that boots the machine holds the lock for seconds.
        let saved = match self.state.try_lock() {
            Ok(state) => state.saved.clone(),
            Err(_) => None,
        };
        if let Some((_, saved)) = saved {
            self.fork_pool.make(seed, saved);
        }
    }

    /// The save, made if there is none. Other threads wait while it is made.
    fn saved(&self, limits: Limits, progress: &mut dyn FnMut(Progress)) -> Result<Booted, RigError> {
        let mut state = lock(&self.state);
        if let Some(evidence) = &state.dead {
            return Ok(Booted::Dead(evidence.clone()));
        }
        if let Some((entry, saved)) = state.saved.clone() {
            return Ok(Booted::Saved(entry, saved));
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let status = Arc::<Status>::default();
            progress(Progress::Guest(Arc::clone(&status)));
            let make = |directory: &Path| self.make(directory, limits, &status);
            let mut tell = |step| progress(Progress::Machine(step));
            let entry = match self.store.obtain(&self.manifest, &mut tell, make) {
                Ok(entry) => entry,
                Err(ObtainError::Make(MakeError::Boot(failed))) => {
                    // What the host or a limit did to one boot says nothing about the next.
                    if matches!(
                        failed.evidence.end,
                        End::GuestPanic { .. } | End::GuestExited { .. }
                    ) {
                        state.dead = Some(failed.evidence.clone());
                    }
                    return Ok(Booted::Dead(failed.evidence));
                }
                Err(ObtainError::Make(MakeError::Launch(error))) => return Err(error.into()),
                Err(ObtainError::Make(MakeError::Save(error))) => return Err(RigError::Save(error)),
                Err(ObtainError::Store(error)) => return Err(error.into()),
            };
            match self.backend.open(&self.config, &entry.directory) {
                Ok(saved) => {
                    state.saved = Some((entry.clone(), Arc::clone(&saved)));
                    return Ok(Booted::Saved(entry, saved));
                }
                Err(OpenError::Damaged { source: damage, .. }) if attempt < ATTEMPTS => {
                    tracing::warn!(%damage, "a saved machine is made anew");
                    self.store.discard(&entry)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn make(&self, directory: &Path, limits: Limits, status: &Arc<Status>) -> Result<(), MakeError> {
        let began = Instant::now();
        let machine = self.backend.boot(&self.config)?;
        let start = Start {
            clock: self.clock,
            limits,
            status: Arc::clone(status),
            ..Start::default()
        };
        let (session, _hello) = Session::start_with(machine, start).map_err(MakeError::Boot)?;
        session.save(directory)?;
        tracing::debug!(seconds = began.elapsed().as_secs_f64(), "booted and saved");
        Ok(())
    }

    /// Discards a damaged save.
    fn discard(&self, entry: &Entry, damage: &Source) -> Result<(), RigError> {
        tracing::warn!(%damage, "a saved machine is made anew");
        lock(&self.state).saved = None;
        Ok(self.store.discard(entry)?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
