//! Child processes with deadlines; at its deadline, a child is ended with all processes that it started.
//!
//! A child is the leader of a process group of its own. When its deadline passes, or this program gets a signal to
//! stop, the group gets SIGTERM and, [`GRACE`] later, SIGKILL. Since the group is not the terminal's, the child
//! does not see Ctrl-C itself: this program gets the signal and passes it on.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a group may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// The interval of checks on a child.
const POLL: Duration = Duration::from_millis(20);

/// How long to wait for output after the child's end: a process that outlives the child may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(2);

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Installs handlers: SIGINT and SIGTERM end the running child first, then this program's command.
pub(crate) fn catch_signals() -> Result<()> {
    let stop = STOP.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(stop)).context("catch signals")?;
    }
    Ok(())
}

/// Whether this program has received a signal to stop.
pub(crate) fn stopped() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

/// Runs a command with inherited output; an error when it cannot start, fails, or outlasts `deadline`.
pub(crate) fn run(command: &mut Command, deadline: Duration) -> Result<()> {
    command.stdin(Stdio::null());
    let mut child = spawn(command)?;
    let status = wait(&mut child, command, Instant::now() + deadline)?;
    expect_success(command, status)
}

/// Runs a command and calls back for each line that it writes to either stream, in order.
pub(crate) fn run_lines(
    command: &mut Command,
    deadline: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<()> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let second = writer.try_clone().context("make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let child = spawn(command);
    // The command holds the pipe's writing ends until it is given others; the reader would wait for them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child?;
    let end = Instant::now() + deadline;
    let lines = read_lines(reader);
    let status = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break wait(&mut child, command, end)?,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = poll(&mut child, command, end)? {
            break status;
        }
    };
    let end = Instant::now() + LAST_WORDS;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        on_line(&line);
    }
    expect_success(command, status)
}

/// Runs a command and returns its standard output; its standard error becomes part of the error when it fails.
pub(crate) fn output(command: &mut Command, deadline: Duration) -> Result<String> {
    command.stderr(Stdio::piped());
    read(command, deadline, &[0])
}

/// Runs a command and returns its standard output; its standard error is inherited.
pub(crate) fn answer(command: &mut Command, deadline: Duration) -> Result<String> {
    answer_of(command, deadline, &[0])
}

/// The same of a command whose exit codes mean something: those that are no failure are given.
pub(crate) fn answer_of(command: &mut Command, deadline: Duration, codes: &[i32]) -> Result<String> {
    command.stderr(Stdio::inherit());
    read(command, deadline, codes)
}

fn read(command: &mut Command, deadline: Duration, codes: &[i32]) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(command)?;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = wait(&mut child, command, Instant::now() + deadline)?;
    let text = |pipe: Option<Receiver<String>>| {
        pipe.and_then(|pipe| pipe.recv_timeout(LAST_WORDS).ok())
            .unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    if status.code().is_some_and(|code| codes.contains(&code)) {
        return Ok(stdout);
    }
    match expect_success(command, status) {
        Ok(()) => Ok(stdout),
        Err(error) if stderr.trim().is_empty() => Err(error),
        Err(error) => Err(error.context(stderr.trim().to_owned())),
    }
}

/// The command as typed in a shell, with the variables set for it.
pub(crate) fn shown(command: &Command) -> String {
    let environment = command.get_envs().filter_map(|(name, value)| {
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            quoted(&value?.to_string_lossy())
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,:/@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .process_group(0)
        .spawn()
        .with_context(|| format!("start `{}`", shown(command)))
}

fn wait(child: &mut Child, command: &Command, end: Instant) -> Result<ExitStatus> {
    loop {
        if let Some(status) = poll(child, command, end)? {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

/// The child's exit status, if it has ended; kills it at its deadline, or when this program is to stop.
fn poll(child: &mut Child, command: &Command, end: Instant) -> Result<Option<ExitStatus>> {
    if let Some(status) = child
        .try_wait()
        .with_context(|| format!("wait for `{}`", shown(command)))?
    {
        return Ok(Some(status));
    }
    if stopped() {
        end_group(child);
        bail!("stopped by a signal while running `{}`", shown(command));
    }
    if Instant::now() >= end {
        end_group(child);
        bail!("`{}` exceeded its deadline, and was killed", shown(command));
    }
    Ok(None)
}

fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Errors: the group may be gone already, which is the goal.
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    signal(Signal::TERM);
    let end = Instant::now() + GRACE;
    while Instant::now() < end && !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
        thread::sleep(POLL);
    }
    signal(Signal::KILL);
    let _ = child.wait();
}

fn expect_success(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("`{}` failed ({status})", shown(command))
    }
}

fn read_lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = sync_channel(256);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receive
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_output_of_a_child_that_succeeds_is_its_answer() {
        assert_eq!(output(&mut shell("echo a; echo b >&2"), LONG).unwrap(), "a\n");
    }

    #[test]
    fn a_child_that_fails_is_named_and_quoted() {
        let error = format!(
            "{:#}",
            output(&mut shell("echo reason >&2; exit 3"), LONG).unwrap_err()
        );
        assert!(
            error.contains("reason") && error.contains("exit status: 3"),
            "{error}"
        );
        let error = format!(
            "{:#}",
            run(&mut Command::new("/no/such/program"), LONG).unwrap_err()
        );
        assert!(error.contains("/no/such/program"), "{error}");
    }

    #[test]
    fn lines_of_both_streams_arrive_in_order_and_the_last_needs_no_newline() {
        let mut lines = Vec::new();
        run_lines(&mut shell("echo a; echo b >&2; printf c"), LONG, &mut |line| {
            lines.push(line.to_owned());
        })
        .unwrap();
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_child_past_its_deadline_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let begin = Instant::now();
        let error = run_lines(&mut shell(&script), Duration::from_millis(500), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("killed"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let ended = |state: &str| state.is_empty() || state.contains(") Z ");
        // On a busy machine a killed process takes a moment to end.
        while !ended(&state()) && begin.elapsed() < Duration::from_secs(20) {
            thread::sleep(POLL);
        }
        let state = state();
        assert!(ended(&state), "the grandchild lives: {state}");
    }

    #[test]
    fn a_grandchild_that_keeps_the_pipe_open_holds_nobody_up() {
        let begin = Instant::now();
        run_lines(&mut shell("sleep 30 & exit 0"), LONG, &mut |_| {}).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let mut command = Command::new("cargo");
        command.args(["run", "it's", "", "--x=1"]);
        command.env("FLAGS", "-D warnings").env_remove("GONE");
        assert_eq!(
            shown(&command),
            r"FLAGS='-D warnings' cargo run 'it'\''s' '' --x=1"
        );
    }
}
