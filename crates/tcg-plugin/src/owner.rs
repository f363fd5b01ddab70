// SPDX-License-Identifier: GPL-2.0-or-later
//! The owner at the other end of the channel: reports go to it, commands come from it, and QEMU does not outlive it.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::{fs, io, mem, ptr, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use tcg_channel::{COMMAND_SIZE, Cause, Command, DUPLICATE_DESCRIPTORS, HELD, Report};

use crate::duplicate::{Ends, Inherited, Outcome, STOPS, duplicate};

/// QEMU's exit status when its owner is gone or sends a packet without meaning (`EX_UNAVAILABLE` of sysexits.h). Only a
/// tracer sees it.
const OWNER_GONE: i32 = 69;

/// The plugin's end of the channel.
pub(crate) struct Owner {
    channel: OwnedFd,
    /// QEMU's end of its monitor's connection to the owner.
    monitor: RawFd,
    inherited: Inherited,
    /// The process's name before it was duplicated, until it goes on.
    name: Mutex<Option<String>>,
}

impl Owner {
    /// Takes the channel and starts the guardian, which ends QEMU at once when the owner hangs up, whatever QEMU
    /// is doing and whatever killed the owner.
    ///
    /// # Safety
    /// `fd` is open, and nobody else in this process uses it.
    pub(crate) unsafe fn attach(fd: RawFd, monitor: RawFd) -> io::Result<Owner> {
        // SAFETY: the caller vouches for the descriptor.
        let channel = unsafe { OwnedFd::from_raw_fd(fd) };
        let guarded = channel.try_clone()?;
        with_signals_blocked(|| {
            thread::Builder::new()
                .name("owner-guardian".to_owned())
                .spawn(move || guard(&guarded))
        })?;
        Ok(Owner {
            channel,
            monitor,
            inherited: Inherited::now(),
            name: Mutex::default(),
        })
    }

    /// Sends a report and blocks until [`Command::Resume`]; passes every command before it to `obey`.
    pub(crate) fn report(&self, report: Report, obey: &mut dyn FnMut(Command)) {
        self.send(report);
        loop {
            let Ok((packet, len, given)) = self.receive() else {
                leave()
            };
            match Command::from_bytes(packet.get(..len).unwrap_or_default()) {
                Some(Command::Resume) => return self.goes_on(),
                Some(Command::Duplicate) => self.duplicate(given),
                Some(command) => obey(command),
                None => leave(),
            }
        }
    }

    /// The next packet with its length, and the descriptors that came with it.
    fn receive(&self) -> rustix::io::Result<(Packet, usize, Vec<OwnedFd>)> {
        let mut packet: Packet = [0; COMMAND_SIZE + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DUPLICATE_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = retry(|| {
            let mut into = [IoSliceMut::new(&mut packet)];
            recvmsg(&self.channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let mut given = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                given.extend(descriptors);
            }
        }
        Ok((packet, received.bytes, given))
    }

    /// Duplicates this process. The duplicate, too, goes on behind this call; its channel is another one.
    fn duplicate(&self, given: Vec<OwnedFd>) {
        let ends = Ends {
            channel: self.channel.as_raw_fd(),
            monitor: self.monitor,
            inherited: &self.inherited,
        };
        match duplicate(&ends, given) {
            Outcome::Report(cause) => {
                if matches!(cause, Cause::Duplicated { .. }) {
                    self.is_held();
                }
                self.send(Report::without_registers(cause));
            }
            Outcome::Failed(error) => {
                eprintln!("schedrig plugin: a duplicate did not come up: {error}");
                leave()
            }
        }
    }

    /// This process was duplicated: it is named so, for whoever looks at processes.
    fn is_held(&self) {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.is_none() {
            *name = fs::read_to_string(NAME).ok();
            // A wrong name is no reason to fail.
            let _ = fs::write(NAME, HELD);
        }
    }

    fn goes_on(&self) {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = name.take() {
            let _ = fs::write(NAME, name.trim_end());
        }
    }

    /// Sends a report.
    pub(crate) fn send(&self, report: Report) {
        let bytes = report.to_bytes();
        let sent = retry(|| send(&self.channel, &bytes, SendFlags::NOSIGNAL));
        if sent != Ok(bytes.len()) {
            leave();
        }
    }
}

/// This process's name.
const NAME: &str = "/proc/self/comm";

/// One byte more than a command: a longer packet must not pass for one.
type Packet = [u8; COMMAND_SIZE + 1];

/// Waits for the hang-up, then takes the process down.
fn guard(channel: &OwnedFd) {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(channel.as_fd(), PollFlags::RDHUP)];
        match poll(&mut fds, None) {
            Ok(_) => leave(),
            Err(Errno::INTR) => {}
            Err(_) => leave(),
        }
    }
}

/// Ends QEMU without its exit handlers, which could wait for a thread that is blocked here.
pub(crate) fn leave() -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(OWNER_GONE) }
}

/// Runs `spawn` with all signals blocked but that by which threads are stopped, so that the thread it starts has them blocked
/// for good: QEMU's signals are for QEMU's threads.
fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: a `sigset_t` of zeros is a valid value to be overwritten.
    let mut all: libc::sigset_t = unsafe { mem::zeroed() };
    let mut before = all;
    // SAFETY: `all` is a live set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: as above.
    unsafe { libc::sigdelset(&raw mut all, STOPS) };
    // SAFETY: both sets are live.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let result = spawn();
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    result
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
