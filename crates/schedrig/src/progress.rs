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
    /// The machine cannot be saved where saved machines are kept; it is saved for this process alone.
    Unsaved {
        /// Why.
        why: String,
    },
    /// A guest begins to run; this says what it is doing until another does.
    Guest(Arc<Status>),
    /// The run failed, and is executed again to see what led there.
    Tracing,
}
