//! The owner's end of the channel to the plugin.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    recv, sendmsg, socketpair,
};
use tcg_channel::{Command, DUPLICATE_DESCRIPTORS, REPORT_SIZE, Report};

/// How long the plugin may take to read a command. It reads whenever the guest is frozen, so this passes only
/// where QEMU itself is stopped.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// The owner's end of the channel.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message.
    Report(Box<Report>),
    /// No message has arrived.
    Nothing,
    /// The other end is closed, and all its messages were received.
    HungUp,
    /// A packet without meaning; its length.
    Nonsense(usize),
}

impl Link {
    /// A channel: the owner's end, and the plugin's.
    pub(crate) fn pair() -> io::Result<(Link, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Link(ours), theirs))
    }

    /// Sends a command. A closed channel is no error here: the end of the process is an event of its own.
    pub(crate) fn send(&self, command: Command) -> io::Result<()> {
        self.send_with(command, &[])
    }

    /// The same, and descriptors with it.
    pub(crate) fn send_with(&self, command: Command, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let deadline = Instant::now() + SEND_PATIENCE;
        let bytes = command.to_bytes();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DUPLICATE_DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("more descriptors than a command takes"));
            }
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, flags) {
                Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if Instant::now() < deadline => {
                    wait(
                        &mut [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::OUT)],
                        deadline,
                    )?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives the next message without waiting.
    pub(crate) fn receive(&self) -> io::Result<Received> {
        // One byte more than a report: a longer packet must not pass for one.
        let mut packet = [0; REPORT_SIZE + 1];
        loop {
            return match recv(&self.0, packet.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(Received::HungUp),
                Ok((_, len)) => Ok(match Report::from_bytes(&packet[..len.min(packet.len())]) {
                    Some(report) => Received::Report(Box::new(report)),
                    None => Received::Nonsense(len),
                }),
                Err(Errno::AGAIN) => Ok(Received::Nothing),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Polls until something is ready or `deadline` has passed.
pub(crate) fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<()> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        };
        match poll(fds, Some(&timeout)) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::send;
    use tcg_channel::Cause;

    #[test]
    fn reports_arrive_whole_and_in_order() {
        let (link, plugin) = Link::pair().unwrap();
        assert_eq!(link.receive().unwrap(), Received::Nothing);
        let reports = [0, 1, 2].map(|hits| Report::without_registers(Cause::Hook { index: 7, hits }));
        for report in reports {
            send(&plugin, &report.to_bytes(), SendFlags::empty()).unwrap();
        }
        for report in reports {
            assert_eq!(link.receive().unwrap(), Received::Report(Box::new(report)));
        }
    }

    #[test]
    fn a_packet_that_is_no_report_is_told_apart() {
        let (link, plugin) = Link::pair().unwrap();
        for len in [1, REPORT_SIZE + 1] {
            send(&plugin, &vec![1; len], SendFlags::empty()).unwrap();
            assert_eq!(link.receive().unwrap(), Received::Nonsense(len));
        }
        drop(plugin);
        assert_eq!(link.receive().unwrap(), Received::HungUp);
    }

    #[test]
    fn a_command_to_nobody_is_no_error() {
        let (link, plugin) = Link::pair().unwrap();
        drop(plugin);
        link.send(Command::Resume).unwrap();
    }

    #[test]
    fn waiting_ends_at_its_deadline() {
        let (link, _plugin) = Link::pair().unwrap();
        let started = Instant::now();
        let mut fds = [PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)];
        wait(&mut fds, started + Duration::from_millis(20)).unwrap();
        assert!(fds[0].revents().is_empty());
        assert!(started.elapsed() >= Duration::from_millis(20));
    }
}
