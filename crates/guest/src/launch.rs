//! Launching an injected program, and hearing from it.
//!
//! Between fork and exec the child runs under the scheduler under test, which may never pick it: so nothing here
//! waits for the child. Whether the exec worked is told through a pipe that closes when it does.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, setsid};
use spec::{ExitStatus, OpError};
use wire::Stream;

use crate::error::system;
use crate::fork::{self, Forked};

/// What every program of a guest finds in its environment.
const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/root"),
    ("LANG", "C"),
];

/// The shell's code for a command that could not be executed.
const EXIT_NOT_EXECUTED: i32 = 127;

/// A program that was launched. Dropping it does not end it.
#[derive(Debug)]
pub(crate) struct Launched {
    /// `argv[0]`.
    pub(crate) program: String,
    /// Its process id, and its process group's.
    pub(crate) pid: Pid,
    /// Readable once it has ended.
    pub(crate) pidfd: OwnedFd,
    /// What it writes.
    pub(crate) outputs: Vec<Output>,
    /// Readable once it is known whether the exec worked.
    pub(crate) exec: OwnedFd,
}

/// The reading end of a program's standard output or error; does not block.
#[derive(Debug)]
pub(crate) struct Output {
    /// Which.
    pub(crate) stream: Stream,
    pipe: File,
}

/// What reading an [`Output`] gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// No bytes at present.
    WouldBlock,
    /// The writing end is closed.
    EndOfFile,
}

/// Launches `argv` with both outputs in pipes, in a session of its own.
pub(crate) fn launch(argv: &[String]) -> Result<Launched, OpError> {
    let program = argv
        .first()
        .ok_or_else(|| OpError::State("a program needs at least its path as argument".to_owned()))?;
    let doing = || format!("launch {program}");
    let (out, out_writer) = pipe().map_err(system(doing()))?;
    let (err, err_writer) = pipe().map_err(system(doing()))?;
    let (exec, exec_writer) = pipe().map_err(system(doing()))?;
    for end in [&out, &err, &exec] {
        make_nonblocking(end.as_fd()).map_err(system(doing()))?;
    }
    match fork::fork().map_err(system(doing()))? {
        Forked::Child => {
            // It fails only for the leader of a group, which a fresh child is not.
            let _ = setsid();
            let Err(error) = execute(argv, Stdio::from(out_writer), Stdio::from(err_writer));
            let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
            let _ = File::from(exec_writer).write_all(&errno.to_ne_bytes());
            std::process::exit(EXIT_NOT_EXECUTED)
        }
        Forked::Parent(pid) => {
            let output = |stream, pipe: OwnedFd| Output {
                stream,
                pipe: File::from(pipe),
            };
            Ok(Launched {
                program: program.clone(),
                pid,
                pidfd: pidfd_open(pid, PidfdFlags::empty()).map_err(system(doing()))?,
                outputs: vec![output(Stream::Stdout, out), output(Stream::Stderr, err)],
                exec,
            })
        }
    }
}

/// Becomes the program, with no input; returns only where that fails.
pub(crate) fn execute(argv: &[String], out: Stdio, err: Stdio) -> Result<Infallible, io::Error> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Err(Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .exec())
}

impl Launched {
    /// Did the exec work? `None`: not known yet.
    pub(crate) fn executed(&self) -> Option<Result<(), OpError>> {
        let mut errno = [0; 4];
        match rustix::io::read(&self.exec, &mut errno) {
            Ok(0) => Some(Ok(())),
            Ok(_) => {
                let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                Some(Err(system(format!("execute {}", self.program))(error)))
            }
            Err(_) => None,
        }
    }

    /// Its status, if it has ended; then it is reaped.
    pub(crate) fn try_reap(&self) -> Option<ExitStatus> {
        // Nobody else reaps it before; and if so, how it ended is lost, not whether.
        fork::try_reap(self.pid).unwrap_or(Some(ExitStatus::Code(EXIT_NOT_EXECUTED)))
    }

    /// Sends the program alone a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended meanwhile: then there is nothing to signal.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Kills it and what it started, as far as that stayed in its session.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// Everything that becomes readable when something happens to it.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let outputs = self.outputs.iter().map(|output| output.pipe.as_fd());
        std::iter::once(self.pidfd.as_fd()).chain(outputs)
    }
}

impl Output {
    /// Reads what is there, into `buffer`.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        match self.pipe.read(buffer) {
            Ok(0) => ReadOutcome::EndOfFile,
            Ok(len) => ReadOutcome::Bytes(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ReadOutcome::WouldBlock,
            Err(_) => ReadOutcome::EndOfFile,
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    pipe_with(PipeFlags::CLOEXEC)
}

/// Of the reading end only: a program expects its outputs to block.
fn make_nonblocking(pipe: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)
}
