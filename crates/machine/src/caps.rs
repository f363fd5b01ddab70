//! What a backend can do, as a value.

use std::fmt;

/// Which backend executes the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// QEMU's translator, one thread, instruction-counted time: deterministic.
    Tcg,
    /// Hardware virtualisation: real speed, not deterministic.
    Kvm,
    /// A scripted machine for tests of what stands above.
    Fake,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Tcg => "tcg",
            Backend::Kvm => "kvm",
            Backend::Fake => "fake",
        })
    }
}

/// The optional abilities of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Which backend this is.
    pub backend: Backend,
    /// The same inputs give the same execution, bit for bit.
    pub deterministic: bool,
    /// How many hooks can be set at a time; `None` = no limit.
    pub max_hooks: Option<usize>,
    /// Hooks can be set after the first instruction, too: where a function begins.
    pub late_hooks: bool,
    /// How many watches can be set at a time; `None` = no limit.
    pub max_watches: Option<usize>,
    /// A machine that is frozen in a call can be saved.
    pub saves: bool,
}
