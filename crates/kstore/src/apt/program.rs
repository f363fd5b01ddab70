//! Running apt's programs: lines of output as they come, and a deadline on silence.
//!
//! apt's progress lines (`APT::Status-Fd=1`) and answers arrive on stdout, read by a thread of their own, so that
//! silence is detected: a program that prints nothing for [`Programs::patience`] is killed.
//!
//! The lock of the suite is the child's *standard input* (an empty file): the lock then lasts as long as
//! apt does, also when this process is killed before it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::AptError;

/// The programs an `apt:` request needs, and how long they may be silent. The default looks them up in `PATH`.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `apt-get`
    pub apt_get: PathBuf,
    /// `apt-cache`
    pub apt_cache: PathBuf,
    /// `apt-config`
    pub apt_config: PathBuf,
    /// `dpkg`, which compares versions.
    pub dpkg: PathBuf,
    /// How long a program may print nothing before it is killed. apt itself ends a silent connection after 30 s.
    pub patience: Duration,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            apt_get: "apt-get".into(),
            apt_cache: "apt-cache".into(),
            apt_config: "apt-config".into(),
            dpkg: "dpkg".into(),
            patience: Duration::from_secs(120),
        }
    }
}

/// One invocation.
pub(super) struct Run<'a> {
    pub(super) program: &'a Path,
    pub(super) args: Vec<OsString>,
    /// The program's working directory.
    pub(super) cwd: &'a Path,
    /// The lock file, held by the child as its standard input.
    pub(super) lock: Option<&'a File>,
    pub(super) patience: Duration,
}

/// How much of a program's stderr is kept for the error message, in bytes.
const MAX_STDERR_BYTES: u64 = 64 << 10;

/// How much of a program's stdout is kept, in bytes; the largest answer has some kilobytes.
const MAX_STDOUT_BYTES: usize = 64 << 20;

impl Run<'_> {
    /// Runs the program to its end, calling `on_line` for each line of stdout as it comes.
    ///
    /// # Errors
    /// [`AptError::Missing`] without the program, [`AptError::Failed`] when it fails, [`AptError::Silent`] when it stalls.
    pub(super) fn lines(&self, on_line: &mut dyn FnMut(&str)) -> Result<(), AptError> {
        let mut child = self.spawn()?;
        let stderr = child.stderr.take().map(|pipe| {
            thread::spawn(move || {
                let mut text = Vec::new();
                let mut pipe = pipe;
                let _ = (&mut pipe).take(MAX_STDERR_BYTES).read_to_end(&mut text);
                // Read on, so that the program does not block on a full pipe.
                let _ = std::io::copy(&mut pipe, &mut std::io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let outcome = self
            .read_lines(&mut child, on_line)
            .and_then(|()| self.wait(&mut child));
        let status = match outcome {
            Ok(status) => status,
            Err(error) => {
                // apt's download methods end when their pipes to apt close.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        if status.success() {
            return Ok(());
        }
        let stderr = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
        Err(AptError::Failed {
            command: self.shown(),
            status,
            stderr: stderr.trim().to_owned(),
        })
    }

    /// Runs the program to its end and returns its whole stdout.
    ///
    /// # Errors
    /// As for [`Run::lines`].
    pub(super) fn output(&self) -> Result<String, AptError> {
        let mut text = String::new();
        self.lines(&mut |line| {
            if text.len() + line.len() < MAX_STDOUT_BYTES {
                text.push_str(line);
                text.push('\n');
            }
        })?;
        Ok(text)
    }

    fn spawn(&self) -> Result<Child, AptError> {
        let broken = |source: std::io::Error| {
            if source.kind() == std::io::ErrorKind::NotFound && self.cwd.is_dir() {
                AptError::Missing {
                    program: self.program.to_owned(),
                }
            } else {
                AptError::Spawn {
                    program: self.program.to_owned(),
                    source,
                }
            }
        };
        let stdin = match self.lock {
            Some(lock) => Stdio::from(lock.try_clone().map_err(broken)?),
            None => Stdio::null(),
        };
        Command::new(self.program)
            .args(&self.args)
            .current_dir(self.cwd)
            .env("LC_ALL", "C")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken)
    }

    fn read_lines(&self, child: &mut Child, on_line: &mut dyn FnMut(&str)) -> Result<(), AptError> {
        let Some(stdout) = child.stdout.take() else {
            return Ok(());
        };
        let (send, receive) = sync_channel(64);
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        loop {
            match receive.recv_timeout(self.patience) {
                Ok(line) => on_line(&line),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err(self.silent()),
            }
        }
    }

    /// Waits for the exit of a program that has closed its stdout, at most [`Run::patience`].
    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus, AptError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(self.silent()),
                Err(source) => {
                    return Err(AptError::Spawn {
                        program: self.program.to_owned(),
                        source,
                    });
                }
            }
        }
    }

    fn silent(&self) -> AptError {
        AptError::Silent {
            command: self.shown(),
            seconds: self.patience.as_secs(),
        }
    }

    /// The command as a person would type it.
    fn shown(&self) -> String {
        let mut shown = self.program.display().to_string();
        for arg in &self.args {
            shown.push(' ');
            shown.push_str(&arg.to_string_lossy());
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience_ms: u64) -> Result<String, AptError> {
        let run = Run {
            program: Path::new("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            cwd: Path::new("/"),
            lock: None,
            patience: Duration::from_millis(patience_ms),
        };
        run.output()
    }

    #[test]
    fn the_output_of_a_program_that_succeeds_is_returned() {
        assert_eq!(shell("echo a; echo b; echo c >&2", 5000).unwrap(), "a\nb\n");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = shell("echo 'E: no such suite' >&2; exit 100", 5000)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("E: no such suite") && error.contains("100"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_is_silent_is_killed() {
        let begin = Instant::now();
        assert!(matches!(
            shell("exec sleep 60", 200),
            Err(AptError::Silent { .. })
        ));
        assert!(matches!(
            shell("exec >&-; exec sleep 60", 200),
            Err(AptError::Silent { .. })
        ));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn much_noise_on_stderr_blocks_nothing() {
        assert_eq!(
            shell("head -c 1000000 /dev/zero >&2; echo done", 20_000).unwrap(),
            "done\n"
        );
    }
}
