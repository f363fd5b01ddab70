//! Forks that are made before they are asked for, while something else runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use machine::{ForkError, Machine, SavedMachine};

/// The forks of one saved machine that were made ahead, by seed.
#[derive(Default)]
pub(crate) struct ForkPool(Mutex<HashMap<u64, Fork>>);

/// A fork that is being made, or waits to be asked for.
struct Fork {
    thread: JoinHandle<Result<Box<dyn Machine>, ForkError>>,
    _place: Place,
}

/// One of the places for such forks: a process keeps at most one for each host CPU.
struct Place;

static PLACES_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl ForkPool {
    /// The fork of a seed, if one was made. `None` for one that did not come up: the caller makes it again and gets the
    /// error.
    pub(crate) fn take(&self, seed: u64) -> Option<Box<dyn Machine>> {
        let fork = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&seed)?;
        fork.thread.join().ok()?.ok()
    }

    /// Makes the fork of a seed in the background. Does nothing where there is one, or no place for one.
    pub(crate) fn make(&self, seed: u64, saved: Arc<dyn SavedMachine>) {
        let mut forks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if forks.contains_key(&seed) {
            return;
        }
        let Some(place) = Place::take() else { return };
        let thread = thread::Builder::new()
            .name("fork-ahead".to_owned())
            .spawn(move || saved.fork(seed));
        match thread {
            Ok(thread) => drop(forks.insert(
                seed,
                Fork {
                    thread,
                    _place: place,
                },
            )),
            Err(error) => tracing::debug!(%error, "no fork ahead"),
        }
    }
}

impl Place {
    fn take() -> Option<Place> {
        let most = thread::available_parallelism().map_or(1, usize::from);
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let taken = PLACES_TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}
