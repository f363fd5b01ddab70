//! QEMU's monitor protocol, as far as a machine needs it: a greeting before the first instruction, commands while it
//! is saved or a fork starts, and at the end the reason of the shutdown.
//!
//! Nothing is sent while the guest runs: a stop from outside takes effect at an instant that depends on the host.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use serde_json::{Value, json};

use crate::link::wait;

/// Our end of the connection.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    /// Commands so far; the number of each is its id.
    commands: u64,
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The connection failed.
    #[error("exchange messages with QEMU's monitor ({command})")]
    Connection {
        /// The command.
        command: &'static str,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// QEMU returned an error.
    #[error("QEMU refused `{command}`: {reason}")]
    Refused {
        /// The command.
        command: &'static str,
        /// QEMU's words.
        reason: String,
    },
    /// QEMU did not answer in time, or hung up.
    #[error("QEMU did not answer `{command}` in time; is the host overloaded, has QEMU died?")]
    NoAnswer {
        /// The command.
        command: &'static str,
    },
}

impl Qmp {
    /// A connection: our end, and QEMU's. The request for events is in it before QEMU starts.
    pub(crate) fn pair() -> io::Result<(Qmp, OwnedFd)> {
        let (mut qmp, theirs) = Qmp::greeted_pair()?;
        qmp.stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
        Ok((qmp, theirs))
    }

    /// A connection in the place of one on which QEMU has answered the request for events.
    pub(crate) fn greeted_pair() -> io::Result<(Qmp, OwnedFd)> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let qmp = Qmp {
            stream,
            received: Vec::new(),
            commands: 0,
        };
        Ok((qmp, theirs.into()))
    }

    /// Waits until QEMU has answered the request for events; false where it hung up or `deadline` passed.
    pub(crate) fn greeted(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            let open = self.fill()?;
            if self.messages().any(|message| message.get("return").is_some()) {
                return Ok(true);
            }
            if !open || Instant::now() >= deadline {
                return Ok(false);
            }
            let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            wait(&mut fds, deadline)?;
        }
    }

    /// Carries out a command and returns its answer.
    pub(crate) fn execute(
        &mut self,
        command: &'static str,
        arguments: &Value,
        deadline: Instant,
    ) -> Result<Value, QmpError> {
        let id = self.send(command, arguments)?;
        self.answer(command, id, deadline)
    }

    /// Sends a command; its answer is waited for with [`Qmp::answer`].
    pub(crate) fn send(&mut self, command: &'static str, arguments: &Value) -> Result<u64, QmpError> {
        self.commands += 1;
        let id = self.commands;
        let mut line = json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
        line.push('\n');
        // A line is far smaller than the socket's buffer, and QEMU reads each before the next is sent.
        let sent = self.stream.write_all(line.as_bytes());
        sent.map_err(|source| QmpError::Connection { command, source })?;
        Ok(id)
    }

    /// The answer to the command with that number.
    pub(crate) fn answer(
        &mut self,
        command: &'static str,
        id: u64,
        deadline: Instant,
    ) -> Result<Value, QmpError> {
        let failed = |source| QmpError::Connection { command, source };
        loop {
            let open = self.fill().map_err(failed)?;
            if let Some(mut answer) = self.messages().find(|message| message["id"] == id) {
                return match answer.get("error") {
                    None => Ok(answer["return"].take()),
                    Some(error) => Err(QmpError::Refused {
                        command,
                        reason: error["desc"].as_str().unwrap_or("no reason given").to_owned(),
                    }),
                };
            }
            if !open || Instant::now() >= deadline {
                return Err(QmpError::NoAnswer { command });
            }
            let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            wait(&mut fds, deadline).map_err(failed)?;
        }
    }

    /// QEMU's `ShutdownCause`; `None` if it was not reported.
    pub(crate) fn shutdown_reason(&mut self) -> Option<String> {
        // Messages that were read before an error are used all the same.
        let _ = self.fill();
        let shutdown = self.messages().find(|message| message["event"] == "SHUTDOWN")?;
        Some(shutdown["data"]["reason"].as_str()?.to_owned())
    }

    /// Reads what has arrived; false at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(len) => self.received.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// The messages so far, one a line, without those that do not parse.
    fn messages(&self) -> impl Iterator<Item = Value> {
        let lines = self.received.split(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn qmp_that_got(text: &str) -> Qmp {
        let (qmp, theirs) = Qmp::pair().unwrap();
        UnixStream::from(theirs).write_all(text.as_bytes()).unwrap();
        qmp
    }

    #[test]
    fn the_reason_is_in_the_shutdown_event() {
        let mut qmp = qmp_that_got(concat!(
            "{\"QMP\": {}}\r\n{\"return\": {}}\r\n{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\r\n",
            "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n"
        ));
        assert_eq!(qmp.shutdown_reason().as_deref(), Some("guest-reset"));
    }

    #[test]
    fn nonsense_and_silence_give_no_reason() {
        assert_eq!(qmp_that_got("").shutdown_reason(), None);
        assert_eq!(
            qmp_that_got("{\"event\": \"SHUTDOWN\"}\nnot json\n{").shutdown_reason(),
            None
        );
    }

    #[test]
    fn the_greeting_is_waited_for_in_vain_only_until_the_deadline() {
        let (mut qmp, _theirs) = Qmp::pair().unwrap();
        assert!(!qmp.greeted(Instant::now() + Duration::from_millis(10)).unwrap());
        assert!(
            !qmp_that_got("")
                .greeted(Instant::now() + Duration::from_secs(60))
                .unwrap()
        );
        assert!(
            qmp_that_got("{\"return\": {}}\n")
                .greeted(Instant::now())
                .unwrap()
        );
    }
}
