//! A layer: a saved machine, found or made once for each manifest, on top of the layer below.
//!
//! ```text
//! booted:    reset ── boot ──► the agent's first call, saved
//! attached:  booted, forked ── the scheduler's program is put, started, attached ──► the reply, saved
//! ```
//!
//! Layers are made with one fixed seed: what differs between runs enters later.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use introspect::DebugInfo;
use machine::{Backend, BootError, ForkError, Machine, MachineConfig, OpenError, SavedMachine, Source};
use record::{End, Evidence, GuestLimits, Manifest};
use saves::{Entry, ObtainError, Store};
use serde::Serialize;
use session::{
    Failed, GuestClock, Limits, Program, SaveError, Session, SessionError, Standing, StandingError, Start,
    Status, chain,
};
use spec::op::{FileSum, PutProgram, StartScheduler};

use crate::{Progress, RigError};

/// The seed of whatever is made once for many runs.
pub(crate) const LAYER_SEED: u64 = 1;

/// How often a damaged save is made anew before the run fails.
const ATTEMPTS: u32 = 3;

/// The version of how layers are made, raised whenever a guest can notice a change.
const RECIPE: u32 = 1;

/// What all layers of a machine have in common.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: MachineConfig,
    pub(crate) clock: Option<GuestClock>,
}

/// A layer.
pub(crate) struct Layer {
    host: Host,
    store: Store,
    what: What,
    state: Mutex<State>,
}

/// How a layer is made.
enum What {
    Booted(Manifest),
    Attached {
        below: Arc<Layer>,
        scheduler: Attachment,
    },
}

/// A scheduler that is attached in a layer.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) program: Arc<Program>,
    pub(crate) args: Vec<String>,
    pub(crate) limits: Limits,
    /// Of the guest's kernel.
    pub(crate) info: Option<Arc<DebugInfo>>,
}

/// Everything that decides a layer: the key of its save.
#[derive(Serialize)]
#[serde(untagged)]
enum LayerManifest<'l> {
    Booted(&'l Manifest),
    Attached {
        below: &'l Manifest,
        recipe: u32,
        scheduler: String,
        args: &'l [String],
        files: Vec<FileSum>,
        limits: GuestLimits,
    },
}

/// What is known of a layer in this process.
#[derive(Default)]
struct State {
    opened: Option<Opened>,
    /// Why it cannot be made, by its own fault.
    refused: Option<Refused>,
}

/// A layer's save. Its entry in the store is not evicted as long as it is held.
#[derive(Clone)]
struct Opened {
    entry: Entry,
    saved: Arc<dyn SavedMachine>,
    standing: Standing,
}

/// A machine that cannot be brought to where the layer is, by its own fault.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What the guest did.
    pub(crate) evidence: Evidence,
    /// In words.
    pub(crate) why: String,
}

/// A fork, and what the session knows that goes on with it.
pub(crate) struct Fork {
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) standing: Standing,
}

/// A layer could not be made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Launch(#[from] BootError),
    #[error("bring the machine up")]
    Guest(Box<Failed>),
    #[error("fork the saved machine below")]
    Fork(#[source] ForkError),
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl Layer {
    /// The machine at its agent's first call.
    pub(crate) fn booted(host: Host, store: &Store, manifest: Manifest) -> Result<Arc<Layer>, RigError> {
        Layer::of(host, store, What::Booted(manifest))
    }

    /// The machine with a scheduler that was just attached.
    pub(crate) fn attached(below: &Arc<Layer>, scheduler: Attachment) -> Result<Arc<Layer>, RigError> {
        let below = Arc::clone(below);
        let (host, store) = (below.host.clone(), below.store.clone());
        Layer::of(host, &store, What::Attached { below, scheduler })
    }

    /// The same one in the whole process, as long as somebody has it.
    fn of(host: Host, store: &Store, what: What) -> Result<Arc<Layer>, RigError> {
        /// By the store's directory and the key in it.
        type Layers = HashMap<(PathBuf, String), Weak<Layer>>;
        static LAYERS: OnceLock<Mutex<Layers>> = OnceLock::new();
        let layer = Arc::new(Layer {
            host,
            store: store.clone(),
            what,
            state: Mutex::default(),
        });
        let key = layer.key()?;
        let mut layers = lock(LAYERS.get_or_init(Mutex::default));
        layers.retain(|_, layer| layer.strong_count() > 0);
        if let Some(there) = layers.get(&key).and_then(Weak::upgrade) {
            return Ok(there);
        }
        layers.insert(key, Arc::downgrade(&layer));
        Ok(layer)
    }

    /// The store's directory and the key in it.
    pub(crate) fn key(&self) -> Result<(PathBuf, String), RigError> {
        let key = saves::key_of(&self.manifest())?;
        Ok((self.store.directory().to_owned(), key))
    }

    /// The store that it is kept in.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Has it a scheduler that is attached?
    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.what, What::Attached { .. })
    }

    fn manifest(&self) -> LayerManifest<'_> {
        match &self.what {
            What::Booted(manifest) => LayerManifest::Booted(manifest),
            What::Attached { below, scheduler } => LayerManifest::Attached {
                below: below.machine(),
                recipe: RECIPE,
                scheduler: scheduler.name(),
                args: &scheduler.args,
                files: scheduler.program.sums().files,
                limits: scheduler.limits.of_guest(),
            },
        }
    }

    /// The manifest of the machine that was booted.
    fn machine(&self) -> &Manifest {
        match &self.what {
            What::Booted(manifest) => manifest,
            What::Attached { below, .. } => below.machine(),
        }
    }

    /// A new machine where the layer was saved.
    pub(crate) fn fork(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Fork, Refused>, RigError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let opened = match self.ready(limits, progress)? {
                Ok(opened) => opened,
                Err(refused) => return Ok(Err(refused)),
            };
            match opened.saved.fork() {
                Ok(machine) => {
                    let standing = opened.standing;
                    return Ok(Ok(Fork { machine, standing }));
                }
                Err(ForkError::Damaged(damage)) if attempt < ATTEMPTS => {
                    self.discard(&opened.entry, &damage)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes the layer if there is no save of it. Other threads wait while it is made.
    pub(crate) fn make_ready(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<(), Refused>, RigError> {
        Ok(self.ready(limits, progress)?.map(|_| ()))
    }

    fn ready(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Opened, Refused>, RigError> {
        let mut state = lock(&self.state);
        if let Some(refused) = &state.refused {
            return Ok(Err(refused.clone()));
        }
        if let Some(opened) = &state.opened {
            return Ok(Ok(opened.clone()));
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.obtain(limits, progress)? {
                Err(refused) => {
                    refused.note(&mut state);
                    return Ok(Err(refused));
                }
                Ok(entry) => match self.open(&entry) {
                    Ok(opened) => {
                        state.opened = Some(opened.clone());
                        return Ok(Ok(opened));
                    }
                    Err(OpenError::Damaged { source: damage, .. }) if attempt < ATTEMPTS => {
                        tracing::warn!(%damage, "a saved machine is made anew");
                        self.store.discard(&entry)?;
                    }
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    /// A fork of the layer is not what a run can begin from, by its own fault. The next one would not be, either.
    pub(crate) fn refuse(&self, refused: &Refused) {
        refused.note(&mut lock(&self.state));
    }

    fn open(&self, entry: &Entry) -> Result<Opened, OpenError> {
        let saved = self.host.backend.open(&self.host.config, &entry.directory)?;
        let standing = Standing::load(&entry.directory).map_err(|error| {
            let directory = entry.directory.clone();
            let is_damage = match &error {
                StandingError::Damaged { .. } => true,
                StandingError::File { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            };
            let source = error.into();
            if is_damage {
                OpenError::Damaged { directory, source }
            } else {
                OpenError::Other { directory, source }
            }
        })?;
        Ok(Opened {
            entry: entry.clone(),
            saved,
            standing,
        })
    }

    /// The save's entry in the store, which is made if it is not there. A save below that turns out to be damaged is made anew.
    fn obtain(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Entry, Refused>, RigError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match (self.try_to_obtain(limits, progress), &self.what) {
                (Err(RigError::Fork(ForkError::Damaged(damage))), What::Attached { below, .. })
                    if attempt < ATTEMPTS =>
                {
                    below.discard_opened(&damage)?;
                }
                (obtained, _) => return obtained,
            }
        }
    }

    fn try_to_obtain(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Entry, Refused>, RigError> {
        // While one save of the store is made, no other may be.
        let below = match &self.what {
            What::Booted(_) => None,
            What::Attached { below, .. } => match below.ready(limits, progress)? {
                Ok(opened) => Some(opened),
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let status = Arc::<Status>::default();
        progress(Progress::Guest(Arc::clone(&status)));
        let start = Start {
            clock: self.host.clock,
            limits,
            status,
            unobserved: true,
            ..Start::default()
        };
        let make = |directory: &Path| self.make(below, start, directory);
        let attaches = match &self.what {
            What::Booted(_) => None,
            What::Attached { scheduler, .. } => Some(scheduler.name()),
        };
        let mut tell = |step| match (step, &attaches) {
            (saves::Progress::Making, Some(scheduler)) => progress(Progress::Attaching {
                scheduler: scheduler.clone(),
            }),
            (step, _) => progress(Progress::Machine(step)),
        };
        match self.store.obtain(&self.manifest(), &mut tell, make) {
            Ok(entry) => Ok(Ok(entry)),
            Err(ObtainError::Make(MakeError::Guest(failed))) => Ok(Err(Refused {
                why: chain(&failed.error),
                evidence: failed.evidence,
            })),
            Err(ObtainError::Make(MakeError::Launch(error))) => Err(error.into()),
            Err(ObtainError::Make(MakeError::Fork(error))) => Err(error.into()),
            Err(ObtainError::Make(MakeError::Save(error))) => Err(RigError::Save(error)),
            Err(ObtainError::Store(error)) => Err(error.into()),
        }
    }

    fn make(&self, below: Option<Opened>, start: Start, directory: &Path) -> Result<(), MakeError> {
        let began = Instant::now();
        let session = match (&self.what, below) {
            (What::Attached { scheduler, .. }, Some(below)) => {
                let machine = below.saved.fork().map_err(MakeError::Fork)?;
                let session = Session::go_on(machine, below.standing, start).map_err(MakeError::Guest)?;
                scheduler.attach(session)?
            }
            _ => {
                let machine = self.host.backend.boot(&self.host.config)?;
                let (session, _hello) = Session::start_with(machine, start).map_err(MakeError::Guest)?;
                session
            }
        };
        session.save(directory)?;
        tracing::debug!(seconds = began.elapsed().as_secs_f64(), "made and saved");
        Ok(())
    }

    /// Discards the save that is open, which is damaged.
    fn discard_opened(&self, damage: &Source) -> Result<(), RigError> {
        let opened = lock(&self.state).opened.clone();
        opened.map_or(Ok(()), |opened| self.discard(&opened.entry, damage))
    }

    /// Discards a damaged save.
    fn discard(&self, entry: &Entry, damage: &Source) -> Result<(), RigError> {
        tracing::warn!(%damage, "a saved machine is made anew");
        lock(&self.state).opened = None;
        Ok(self.store.discard(entry)?)
    }
}

impl Refused {
    /// What the host or a limit did to one machine says nothing about the next.
    pub(crate) fn by_the_host(&self) -> bool {
        matches!(
            self.evidence.end,
            End::HostDeadline { .. } | End::MachineDied { .. } | End::Stopped { .. }
        )
    }

    fn note(&self, state: &mut State) {
        if !self.by_the_host() {
            state.refused = Some(self.clone());
        }
    }
}

impl Attachment {
    /// The program's name.
    fn name(&self) -> String {
        let path = &self.program.guest_path;
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// Attaches the scheduler in a machine at its agent's first call.
    fn attach(&self, mut session: Session) -> Result<Session, MakeError> {
        if let Some(info) = &self.info {
            session.set_debug_info(Arc::clone(info));
        }
        match self.try_to_attach(&mut session) {
            Ok(()) => Ok(session),
            Err(error) => Err(MakeError::Guest(Box::new(Failed {
                error,
                evidence: session.finish(),
            }))),
        }
    }

    fn try_to_attach(&self, session: &mut Session) -> Result<(), SessionError> {
        session.seed(LAYER_SEED)?;
        start_scheduler(session, &self.program, &self.args)
    }
}

/// Puts the scheduler's program into the guest, starts it, and waits until it is attached.
pub(crate) fn start_scheduler(
    session: &mut Session,
    program: &Arc<Program>,
    args: &[String],
) -> Result<(), SessionError> {
    session.supply(Arc::clone(program));
    let put = PutProgram {
        program: program.sums(),
    };
    session.apply(&put.into())?;
    let argv = [std::slice::from_ref(&program.guest_path), args].concat();
    session.apply(&StartScheduler { argv }.into()).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
