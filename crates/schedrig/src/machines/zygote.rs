//! Warm forks: a machine that has executed what comes in every run is held, and duplicated for each of them with the code that
//! its emulator has translated.
//!
//! A duplicate executes what a fork that was made cold and warmed up in the same way executes, bit for bit: it is a matter of
//! speed alone. Where the host does not allow it, every run is cold.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guestmem::{GuestPhys, MemError, PhysMem};
use introspect::{DebugInfo, Hints, Placement};
use serde::{Deserialize, Serialize};
use session::{Session, SessionError, chain};
use spec::GuestTime;

use super::layer::LAYER_SEED;
use crate::RigError;

/// Machines that are held in this process at most; the least recently used is ended first. Each takes as much memory as its
/// guest has written to, and some 60 MiB.
const MOST: usize = 4;

/// A held machine.
pub(crate) struct Zygote {
    session: Session,
    /// Where its kernel lies, for whoever looks at a duplicate's.
    place: Option<Placement>,
}

/// The place of a held machine, which may be empty.
pub(crate) type Slot = Arc<Mutex<Option<Zygote>>>;

/// The slots of this process, the most recently used last.
static SLOTS: Mutex<Vec<(Key, Slot)>> = Mutex::new(Vec::new());

/// Why no machine of this process is duplicated any more.
static OFF: Mutex<Option<String>> = Mutex::new(None);

/// The store's directory and the key in it of the layer that a machine was restored from.
type Key = (PathBuf, String);

/// The slot of a layer.
pub(crate) fn slot(key: &Key) -> Slot {
    let mut slots = lock(&SLOTS);
    let slot = match slots.iter().position(|(other, _)| other == key) {
        Some(index) => slots.remove(index),
        None => (key.clone(), Slot::default()),
    };
    let held = Arc::clone(&slot.1);
    slots.push(slot);
    let evicted = (slots.len() > MOST).then(|| slots.remove(0));
    // Its machine takes time to end, which nobody else has to wait for.
    drop(slots);
    drop(evicted);
    held
}

/// Why machines are not duplicated here, if they are not.
pub(crate) fn off() -> Option<String> {
    lock(&OFF).clone()
}

/// A held machine of this process is gone: is it the first?
pub(crate) fn first_loss() -> bool {
    static LOST: AtomicBool = AtomicBool::new(false);
    !LOST.swap(true, Ordering::Relaxed)
}

/// From now on every run of this process is cold.
pub(crate) fn turn_off(why: String) {
    let mut off = lock(&OFF);
    if off.is_none() {
        tracing::warn!(%why, "runs are not forked from a warm machine");
        *off = Some(why);
    }
}

impl Zygote {
    /// Holds a machine that was warmed up.
    pub(crate) fn hold(session: Session, info: Option<&DebugInfo>) -> Zygote {
        let place = info.and_then(|info| Placement::find(info, session.memory(), &Hints::default()).ok());
        Zygote { session, place }
    }

    /// Does its machine still stand?
    pub(crate) fn stands(&self) -> bool {
        let mut byte = [0];
        let regions = self.session.memory().regions();
        let first = regions.first().map(|region| region.start);
        first.is_some_and(|first| self.session.memory().read(first, &mut byte).is_ok())
    }

    /// A duplicate.
    ///
    /// # Errors
    /// The reason; the machine that is held may have ended.
    pub(crate) fn twin(&mut self) -> Result<Session, machine::MachineError> {
        let mut twin = self.session.twin()?;
        if let Some(place) = self.place {
            twin.set_placement(place);
        }
        Ok(twin)
    }
}

/// Whether duplicates are what they should be on this host: found out once, and kept beside the saved machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// What duplicating depends on: QEMU's build, its C library, the host's kernel.
    pub environment: String,
    /// What was found; `None`: a duplicate executes what its original does.
    pub fault: Option<String>,
}

impl SelfTest {
    /// The last one whose machines are kept in this directory.
    pub fn load(saves: &Path) -> Option<SelfTest> {
        serde_json::from_slice(&std::fs::read(saves.join(FILE)).ok()?).ok()
    }

    fn keep(&self, saves: &Path) {
        let kept = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .and_then(|text| disk::files::replace(&saves.join(FILE), &text));
        if let Err(error) = kept {
            tracing::debug!(%error, "the self-test of warm forks is not kept");
        }
    }
}

/// The saves store ignores names that are no keys.
const FILE: &str = ".warm-forks";

/// Compares a duplicate with a machine that was brought to the same place cold, unless that was done on this host before.
///
/// False: the zygote is not to be used, since that was not shown.
///
/// # Errors
/// [`RigError`] where the cold machine cannot be made.
pub(crate) fn self_test(
    zygote: &mut Zygote,
    saves: &Path,
    cold: impl FnOnce() -> Result<Option<Session>, RigError>,
) -> Result<bool, RigError> {
    let environment = zygote.session.duplicates_depend_on();
    if let Some(done) = SelfTest::load(saves).filter(|done| done.environment == environment) {
        let passed = done.fault.is_none();
        if let Some(fault) = done.fault {
            turn_off(fault);
        }
        return Ok(passed);
    }
    let twin = match zygote.twin() {
        Ok(twin) => twin,
        Err(error) => {
            turn_off(chain(&error));
            return Ok(false);
        }
    };
    let Some(cold) = cold()? else { return Ok(false) };
    let fault = match (probe(twin), probe(cold)) {
        (Ok(warm), Ok(cold)) if warm == cold => None,
        (Ok(warm), Ok(cold)) => Some(format!(
            "a duplicate executed something else than its original: {warm:?} instead of {cold:?}"
        )),
        // The host may have ended one of them, which says nothing about the next time.
        (Err(error), _) | (_, Err(error)) => {
            turn_off(format!(
                "the self-test of warm forks did not come to its end: {error}"
            ));
            return Ok(false);
        }
    };
    let passed = fault.is_none();
    if let Some(fault) = &fault {
        turn_off(fault.clone());
    }
    SelfTest { environment, fault }.keep(saves);
    Ok(passed)
}

/// What a machine has come to: the guest's time, and a hash of its memory.
type Trace = (GuestTime, u64);

/// Has a machine do something that depends on every bit of it.
fn probe(mut session: Session) -> Result<Trace, ProbeFailed> {
    session.seed(LAYER_SEED)?;
    session.warm_up()?;
    Ok((session.now(), hash(session.memory())?))
}

#[derive(Debug, thiserror::Error)]
enum ProbeFailed {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Memory(#[from] MemError),
}

/// Of all pages that are not zero.
fn hash(memory: &dyn PhysMem) -> Result<u64, MemError> {
    const PAGE: usize = 4096;
    let mut hasher = DefaultHasher::new();
    let mut block = vec![0; 256 * PAGE];
    for extent in memory.data() {
        let end = extent.start.0 + extent.len;
        let mut at = extent.start.0;
        while at < end {
            let len = (end - at).min(block.len() as u64) as usize;
            memory.read(GuestPhys(at), &mut block[..len])?;
            for (nth, page) in block[..len].chunks(PAGE).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    hasher.write_u64(at + (nth * PAGE) as u64);
                    hasher.write(page);
                }
            }
            at += len as u64;
        }
    }
    Ok(hasher.finish())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
