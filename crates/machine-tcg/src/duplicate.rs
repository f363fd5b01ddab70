//! Two machines out of one: QEMU's process, which stands still, is duplicated with the code that it has translated.
//!
//! ```text
//!  channel, monitor, console, standard error of the duplicate ──► plugin: Duplicate
//!  Duplicated{pid} ◄── the original       IsDuplicate{pid} ◄── the duplicate, on its own channel
//! ```
//!
//! Guest RAM of both is their own from then on, over the same file, which does not change any more.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use guestmem::{ProcessRam, ProcessRamError, RamLayout};
use rustix::event::{PollFd, PollFlags};
use tcg_channel::{Cause, Command, Refusal};

use crate::exit::tail;
use crate::launch::{PLUGIN, Parts};
use crate::link::{Link, Received, wait};
use crate::memfd;
use crate::process::Process;
use crate::qmp::Qmp;
use crate::ram::GuestRam;

/// How long both answers may take; some milliseconds on a quiet host.
const PATIENCE: Duration = Duration::from_secs(20);

/// A machine could not be duplicated. Except where its process has ended, it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum DuplicateError {
    /// A memory file, a socket pair or a poll failed on the host.
    #[error("{doing}")]
    Host {
        /// What was being done.
        doing: &'static str,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// The process is not one that can be duplicated.
    #[error("QEMU's process cannot be duplicated: {}{}", why(*refusal, *number), in_words(stderr))]
    Refused {
        /// Why not.
        refusal: Refusal,
        /// The number that belongs to it.
        number: u64,
        /// The last of QEMU's standard error.
        stderr: String,
    },
    /// RAM of its own cannot be reached.
    #[error(transparent)]
    Ram(#[from] ProcessRamError),
    /// An answer did not come, or was another one.
    #[error("{whose} did not answer as it should ({what}){}", in_words(stderr))]
    Answer {
        /// The original or the duplicate.
        whose: &'static str,
        /// What came in its place.
        what: String,
        /// The last of its standard error.
        stderr: String,
    },
}

fn why(refusal: Refusal, number: u64) -> String {
    match refusal {
        Refusal::Architecture => "only one for x86-64 can be".to_owned(),
        Refusal::Descriptor => format!("its descriptor {number} is of an unknown kind"),
        Refusal::Mapping => format!("it has a shared mapping at {number:#x}"),
        Refusal::Threads => format!("it has {number} threads, or they come and go"),
        Refusal::ThreadBlock => format!("the C library keeps the id of thread {number} in an unknown place"),
        Refusal::ShadowStacks => "its threads have shadow stacks".to_owned(),
        Refusal::Restless => format!("{number} of its threads did not stand still in time"),
        Refusal::Kernel => {
            let error = i32::try_from(number).map(io::Error::from_raw_os_error);
            error.map_or_else(|_| format!("error {number}"), |error| error.to_string())
        }
        Refusal::NoRam => "it does not map guest RAM".to_owned(),
        Refusal::Command => {
            format!("{number} descriptors came with the command; this is a defect of schedrig")
        }
    }
}

fn in_words(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        stderr => format!("; it says: {stderr}"),
    }
}

/// Duplicates the machine behind `parts`, which stands still.
pub(crate) fn duplicate(parts: &mut Parts, layout: &RamLayout) -> Result<Parts, DuplicateError> {
    let deadline = Instant::now() + PATIENCE;
    let (link, channel) = Link::pair().map_err(host("make the duplicate's channel"))?;
    let (qmp, monitor) = Qmp::greeted_pair().map_err(host("make the duplicate's monitor"))?;
    let console = memfd::empty("schedrig-console").map_err(host("make the duplicate's console"))?;
    let stderr = memfd::empty("schedrig-stderr").map_err(host("make a file for the duplicate's messages"))?;
    // From here on the original's RAM may be its own, whatever comes of the rest.
    if let GuestRam::Shared(_) = parts.ram {
        parts.ram = own_ram(parts.process.id(), &parts.ram_file, layout)?;
    }
    let given = [channel.as_fd(), monitor.as_fd(), console.as_fd(), stderr.as_fd()];
    let sent = parts.link.send_with(Command::Duplicate, &given);
    sent.map_err(host("send a command"))?;
    drop((channel, monitor));

    let original = Party {
        whose: "QEMU",
        link: &parts.link,
        stderr: &parts.stderr,
    };
    let answer = original.answer(deadline);
    if answer.is_err() {
        // An answer that comes later would be taken for another one's.
        parts.process.end();
    }
    // From here on it is waited for, whatever becomes of it.
    let process = match answer? {
        Cause::Duplicated { pid } => Process::of_child(pid).map_err(host("take the duplicate's process"))?,
        Cause::NotDuplicated { why, number } => {
            return Err(DuplicateError::Refused {
                refusal: why,
                number,
                stderr: original.said(),
            });
        }
        other => return Err(original.wrong(format!("{other:?}"))),
    };
    let twin = Party {
        whose: "QEMU's duplicate",
        link: &link,
        stderr: &stderr,
    };
    match twin.answer(deadline)? {
        Cause::IsDuplicate { pid } if pid == process.id() => {}
        other => return Err(twin.wrong(format!("{other:?}"))),
    }
    let ram = own_ram(process.id(), &parts.ram_file, layout)?;
    let ram_file = parts
        .ram_file
        .try_clone()
        .map_err(host("duplicate guest RAM's file"))?;
    Ok(Parts {
        process,
        link,
        qmp,
        ram,
        ram_file,
        console,
        stderr,
    })
}

fn own_ram(pid: u32, file: &File, layout: &RamLayout) -> Result<GuestRam, DuplicateError> {
    Ok(GuestRam::Private(ProcessRam::frozen(pid, file, layout.clone())?))
}

/// The build of the process's program, of its C library, of the plugin, and of the host's kernel.
pub(crate) fn depends_on(pid: u32) -> String {
    let file = |path: &str| match fs::metadata(path) {
        Ok(file) => format!("{path} {} {}", file.len(), file.mtime()),
        Err(error) => format!("{path} {error}"),
    };
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let library = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| {
            path.rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with("libc.so"))
        });
    let host = rustix::system::uname();
    [
        file(&program.to_string_lossy()),
        file(library.unwrap_or("libc.so")),
        disk::files::sha256(PLUGIN),
        format!(
            "{} {}",
            host.release().to_string_lossy(),
            host.version().to_string_lossy()
        ),
    ]
    .join("; ")
}

/// One of the two that answer.
struct Party<'p> {
    whose: &'static str,
    link: &'p Link,
    stderr: &'p File,
}

impl Party<'_> {
    fn answer(&self, deadline: Instant) -> Result<Cause, DuplicateError> {
        loop {
            match self.link.receive().map_err(host("read an answer"))? {
                Received::Report(report) => return Ok(report.cause),
                Received::Nothing if Instant::now() < deadline => {}
                Received::Nothing => return Err(self.wrong(format!("nothing for {} s", PATIENCE.as_secs()))),
                Received::HungUp => return Err(self.wrong("it has ended".to_owned())),
                Received::Nonsense(len) => return Err(self.wrong(format!("{len} bytes without meaning"))),
            }
            let mut fds = [PollFd::from_borrowed_fd(self.link.as_fd(), PollFlags::IN)];
            wait(&mut fds, deadline).map_err(host("wait for an answer"))?;
        }
    }

    fn wrong(&self, what: String) -> DuplicateError {
        DuplicateError::Answer {
            whose: self.whose,
            what,
            stderr: self.said(),
        }
    }

    fn said(&self) -> String {
        tail(&memfd::content(self.stderr).unwrap_or_default())
    }
}

fn host(doing: &'static str) -> impl Fn(io::Error) -> DuplicateError {
    move |source| DuplicateError::Host { doing, source }
}
