//! What a process says that cannot be duplicated.

/// What comes with [`crate::Command::Duplicate`], in this order: the duplicate's end of the channel, of the monitor's
/// connection, its console, its standard error.
pub const DUPLICATE_DESCRIPTORS: usize = 4;

/// The name of a process that was duplicated, as long as it does not go on itself (`/proc/PID/comm`).
pub const HELD: &str = "schedrig-held";

/// Why a process cannot be duplicated. Each comes with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Only a process for x86-64 can be. No number.
    Architecture = 1,
    /// It has a descriptor of an unknown kind: its number.
    Descriptor = 2,
    /// It has a shared mapping that is not guest RAM: its address.
    Mapping = 3,
    /// It has more threads than are known of: how many.
    Threads = 4,
    /// The C library keeps a thread's id somewhere else: the thread.
    ThreadBlock = 5,
    /// Its threads have shadow stacks, on which a signal's frame cannot be forged. No number.
    ShadowStacks = 6,
    /// Threads did not stand still in time: how many did not.
    Restless = 7,
    /// The host's kernel refused: its error number.
    Kernel = 8,
    /// Guest RAM was not found among its mappings. No number.
    NoRam = 9,
    /// The command came without its descriptors: how many there were.
    Command = 10,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 10] = [
        Refusal::Architecture,
        Refusal::Descriptor,
        Refusal::Mapping,
        Refusal::Threads,
        Refusal::ThreadBlock,
        Refusal::ShadowStacks,
        Refusal::Restless,
        Refusal::Kernel,
        Refusal::NoRam,
        Refusal::Command,
    ];

    /// The refusal with that number.
    pub(crate) fn of(number: u32) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|refusal| *refusal as u32 == number)
    }
}
