//! The saved machine that runs are forks of: found, or booted and saved, once for each manifest in this process.
//!
//! ```text
//! manifest ─► saves::Store ──found──────────────────────────► Saved ─► fork(seed), as often as wanted
//!                  └──missing or damaged──► boot, save ──┘        └──► prepare(seed): one fork fork_pool
//! ```
//!
//! The boot has one fixed seed: what differs between runs enters at the fork.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use machine::MachineError;
use machine_tcg::{ForkError, LaunchError, Saved, SavedError, TcgConfig, TcgMachine};
use record::{End, Evidence, Manifest};
use saves::{Entry, ObtainError, Store};
use session::{Failed, GuestClock, Limits, Session};

use crate::fork_pool::ForkPool;
use crate::{Progress, RigError};

/// The seed of every boot.
pub(crate) const BOOT_SEED: u64 = 1;

/// How often a save that turns out damaged is made anew before the run gives up.
const ATTEMPTS: u32 = 3;

/// A machine as it is when its agent says hello.
pub(crate) struct ForkSource {
    config: TcgConfig,
    clock: Option<GuestClock>,
    manifest: Manifest,
    store: Store,
    state: Mutex<State>,
    fork_pool: ForkPool,
    /// Forks that were asked for.
    forks: AtomicU64,
}

/// What is known of it in this process.
#[derive(Default)]
struct State {
    /// Its entry in the store, which nobody evicts as long as it is held, and itself.
    saved: Option<(Entry, Saved)>,
    /// It does not boot, by its own doing; this is what it left.
    dead: Option<Evidence>,
}

/// A fork, or what became of the boot.
pub(crate) enum Forked {
    Machine(Box<TcgMachine>),
    /// There is nothing to fork: the machine does not come up, and that is the run's evidence.
    Dead(Evidence),
}

/// What became of the one boot.
enum Booted {
    Saved(Entry, Saved),
    Dead(Evidence),
}

/// A machine could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("boot the machine")]
    Boot(Box<Failed>),
    #[error(transparent)]
    Save(#[from] MachineError),
}

impl ForkSource {
    /// The one of this manifest; the same for the whole process.
    pub(crate) fn of(
        config: TcgConfig,
        clock: Option<GuestClock>,
        manifest: Manifest,
        store: Store,
    ) -> Result<Arc<ForkSource>, RigError> {
        /// By the store's directory and the key in it.
        type ForkSources = HashMap<(PathBuf, String), Arc<ForkSource>>;
        static FORK_SOURCES: OnceLock<Mutex<ForkSources>> = OnceLock::new();
        let key = (store.directory().to_owned(), saves::key_of(&manifest)?);
        let mut fork_sources = lock(FORK_SOURCES.get_or_init(Mutex::default));
        let fork_source = fork_sources.entry(key).or_insert_with(|| {
            Arc::new(ForkSource {
                config: TcgConfig {
                    seed: BOOT_SEED,
                    ..config
                },
                clock,
                manifest,
                store,
                state: Mutex::default(),
                fork_pool: ForkPool::default(),
                forks: AtomicU64::new(0),
            })
        });
        Ok(Arc::clone(fork_source))
    }

    /// A new machine that stands where this one does.
    pub(crate) fn fork(
        &self,
        seed: u64,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Forked, RigError> {
        self.forks.fetch_add(1, Ordering::Relaxed);
        if let Some(machine) = self.fork_pool.take(seed) {
            return Ok(Forked::Machine(Box::new(machine)));
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (entry, saved) = match self.saved(limits, progress)? {
                Booted::Saved(entry, saved) => (entry, saved),
                Booted::Dead(evidence) => return Ok(Forked::Dead(evidence)),
            };
            match TcgMachine::fork(&self.seeded(seed), &saved) {
                Ok(machine) => return Ok(Forked::Machine(Box::new(machine))),
                Err(ForkError::Saved(damage)) if attempt < ATTEMPTS => self.discard(&entry, &damage)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes sure of the save, or of the knowledge that there is none.
    pub(crate) fn ready(&self, limits: Limits, progress: &mut dyn FnMut(Progress)) -> Result<(), RigError> {
        self.saved(limits, progress).map(|_| ())
    }

    /// How many forks were asked for in this process.
    pub(crate) fn forks(&self) -> u64 {
        self.forks.load(Ordering::Relaxed)
    }

    /// Makes the fork of that seed in the background, to be there when it is asked for. Where there is no place for
    /// it, or no saved machine yet, nothing happens.
    pub(crate) fn prepare(&self, seed: u64) {
        // Not waited for: who boots the machine holds it for seconds.
        let saved = match self.state.try_lock() {
            Ok(state) => state.saved.clone(),
            Err(_) => None,
        };
        if let Some((_, saved)) = saved {
            self.fork_pool.make(seed, self.seeded(seed), saved);
        }
    }

    /// The save, made if there is none. Who comes while it is made waits.
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
            let make = |directory: &Path| self.make(directory, limits);
            let mut tell = |step| progress(Progress::Machine(step));
            let entry = match self.store.obtain(&self.manifest, &mut tell, make) {
                Ok(entry) => entry,
                Err(ObtainError::Make(MakeError::Boot(failed))) => {
                    // What the host or a limit did to one boot says nothing of the next.
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
            match Saved::open(&entry.directory) {
                Ok(saved) => {
                    state.saved = Some((entry.clone(), saved.clone()));
                    return Ok(Booted::Saved(entry, saved));
                }
                Err(error) if attempt < ATTEMPTS => {
                    tracing::warn!(%error, "a saved machine is made anew");
                    self.store.discard(&entry)?;
                }
                Err(error) => return Err(ForkError::from(error).into()),
            }
        }
    }

    fn make(&self, directory: &Path, limits: Limits) -> Result<(), MakeError> {
        let began = Instant::now();
        let machine = TcgMachine::launch(&self.config)?;
        let (session, _hello) =
            Session::start(Box::new(machine), self.clock, limits).map_err(MakeError::Boot)?;
        session.save(directory)?;
        tracing::debug!(seconds = began.elapsed().as_secs_f64(), "booted and saved");
        Ok(())
    }

    /// Forgets a save that cannot be used.
    fn discard(&self, entry: &Entry, damage: &SavedError) -> Result<(), RigError> {
        tracing::warn!(%damage, "a saved machine is made anew");
        lock(&self.state).saved = None;
        Ok(self.store.discard(entry)?)
    }

    fn seeded(&self, seed: u64) -> TcgConfig {
        TcgConfig {
            seed,
            // A fork has no use for it.
            initrd: Vec::new(),
            ..self.config.clone()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
