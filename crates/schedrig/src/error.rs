//! What can go wrong before there is a record, and inside a test's body.

use std::path::PathBuf;

use spec::{CpusError, GroupNameError, NanosError, OpError, TopologyError, WeightError};

/// What a test's body returns: any error fails the run, and its text is in the record.
pub type Outcome = Result<(), BodyError>;

/// Any error of a test's body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A run could not be set up, or its record could not be kept. What happens inside of the run is evidence, not this.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The machine's shape is impossible.
    #[error("topology")]
    Topology(#[from] TopologyError),
    /// The seed that the environment gives is not a number.
    #[error(
        "SCHEDRIG_SEED is `{text}`, not a seed; write a number from 0 to {}",
        u64::MAX
    )]
    Seed {
        /// The variable's value.
        text: String,
    },
    /// There is no such kernel.
    #[error("kernel `{request}`")]
    Kernel {
        /// As asked for.
        request: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The scheduler's program cannot be used.
    #[error("scheduler `{program}`")]
    Scheduler {
        /// As asked for.
        program: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The scheduler is not where programs are looked for.
    #[error(
        "there is no scheduler `{program}` in {looked}; build it (`cargo build`, `cargo install`) or give its path"
    )]
    NoScheduler {
        /// As asked for.
        program: String,
        /// The directories, in order.
        looked: String,
    },
    /// A scenario breaks a rule.
    #[error("scenario")]
    Scenario(#[from] scenario::RuleError),
    /// A body attaches the run's scheduler, and it is the kernel's own.
    #[error("there is nothing to attach: the run's scheduler is the kernel's own; name a program")]
    NothingToAttach,
    /// The initial RAM disk could not be made.
    #[error(transparent)]
    Initrd(#[from] session::InitrdError),
    /// The backend lacks an ability that the run needs.
    #[error(transparent)]
    Lacks(#[from] machine::LacksAbility),
    /// This host cannot execute machines of the backend.
    #[error(transparent)]
    Probe(#[from] machine::ProbeError),
    /// The machine could not be booted.
    #[error(transparent)]
    Boot(#[from] machine::BootError),
    /// The booted machine could not be saved.
    #[error("save the machine; SCHEDRIG_SAVES names another directory for saved machines")]
    Save(#[source] session::SaveError),
    /// A run could not be begun on a machine that came up.
    #[error("begin the run")]
    Begin(#[source] machine::MachineError),
    /// A run that did not pass was another execution when it was made again cold.
    #[error(
        "a run that was forked from a warm machine is {warm}, and cold it is {cold}: warm forks are wrong on this host; the records are kept{}; use --cold, and report this",
        in_words(places)
    )]
    WarmDiffers {
        /// The hash of its script, executed warm.
        warm: String,
        /// The hash of the same, executed cold.
        cold: String,
        /// Where the two records are.
        places: Vec<PathBuf>,
    },
    /// The cache of saved machines failed.
    #[error(transparent)]
    Saves(#[from] saves::StoreError),
    /// The saved machine could not be opened.
    #[error(transparent)]
    Open(#[from] machine::OpenError),
    /// The saved machine could not be forked.
    #[error(transparent)]
    Fork(#[from] machine::ForkError),
    /// The record holds too little to replay it, or this host differs from the recorded one.
    #[error(transparent)]
    Replay(#[from] crate::replay::CannotReplay),
    /// A file that the rig needs could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: std::io::Error,
    },
    /// The record could not be kept.
    #[error("keep the record of the run")]
    Record(#[from] record::StoreError),
    /// There is no home directory to keep records in.
    #[error("find the directory for records; set SCHEDRIG_RECORDS")]
    NoHome,
    /// Continuations of a run did not pass.
    #[error("{}", failed.join("; "))]
    Forks {
        /// Each with its verdict, and where its record is.
        failed: Vec<String>,
    },
    /// A test says something else about when its scheduler is attached.
    #[error(transparent)]
    Attach(#[from] record::AttachError),
    /// The name of a cgroup is invalid.
    #[error(transparent)]
    GroupName(#[from] GroupNameError),
    /// A weight is out of bounds.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// An op does not fit the machine.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A text is no span of time.
    #[error(transparent)]
    Time(#[from] NanosError),
    /// A text chooses no CPUs.
    #[error(transparent)]
    Cpus(#[from] CpusError),
    /// The guest's kernel cannot be read.
    #[error(transparent)]
    Look(#[from] session::LookError),
    /// A hook or a watch could not be set.
    #[error(transparent)]
    Instrument(#[from] session::InstrumentError),
    /// A snapshot could not be taken.
    #[error(transparent)]
    Snapshot(#[from] session::SnapshotError),
    /// A read or write of the guest's kernel was refused.
    #[error("kernel op: {reason}")]
    KernelOp {
        /// Which entry, and why.
        reason: String,
    },
    /// A value of the guest's kernel cannot be read.
    #[error(transparent)]
    Guest(#[from] introspect::ReadError),
    /// A run of another process cannot be queried.
    #[error(transparent)]
    Live(#[from] crate::live::LiveError),
    /// The running session refused.
    #[error(transparent)]
    Session(#[from] session::SessionError),
}

fn in_words(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    match places.is_empty() {
        true => String::new(),
        false => format!(" in {}", places.join(" and ")),
    }
}
