//! What is being done before a run begins, for whoever draws it.

/// A step on the way to the first fork.
#[derive(Debug, Clone)]
pub enum Progress {
    /// The kernel is looked for, fetched, unpacked.
    Kernel(kstore::Progress),
    /// The machine is booted and saved, or somebody else does that and is waited for.
    Machine(saves::Progress),
}
