//! What is being done before a run begins and after it, for whoever draws it.

use std::sync::Arc;

use session::Status;

/// A step.
#[derive(Debug, Clone)]
pub enum Progress {
    /// The kernel is looked for, fetched, unpacked.
    Kernel(kstore::Progress),
    /// The machine is booted and saved, or somebody else does that and is waited for.
    Machine(saves::Progress),
    /// A scheduler is attached and the machine saved, for all runs under it.
    Attaching {
        /// Its program's name.
        scheduler: String,
    },
    /// The machine cannot be saved where saved machines are kept; it is saved for this process alone.
    Unsaved {
        /// Why.
        why: String,
    },
    /// A guest begins to run; this says what it is doing until another does.
    Guest(Arc<Status>),
    /// The run failed, and is executed again to see what led there.
    Tracing,
    /// The run did not pass, and is executed again on a machine that was never duplicated.
    Confirming,
}
