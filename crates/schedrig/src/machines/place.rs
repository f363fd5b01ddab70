//! Where saved machines are.

use saves::{Store, StoreError};
use session::chain;
use tempfile::TempDir;

use crate::{Progress, RigError, RunSpec};

/// The store of a run.
pub(crate) struct Place {
    pub(super) store: Store,
    /// The store's directory, where it is this process's alone.
    pub(super) temporary: Option<TempDir>,
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
