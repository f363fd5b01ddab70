//! Progress on standard error.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use schedrig::Progress;

/// A line that shows the current step. Where standard error is no terminal, a line now and then.
pub(crate) struct Line {
    bar: ProgressBar,
    plain: Option<Plain>,
}

impl Line {
    /// A new line.
    pub(crate) fn new() -> Line {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        let plain = (!std::io::stderr().is_terminal()).then(Plain::new);
        Line { bar, plain }
    }

    /// Shows a step in words.
    pub(crate) fn say(&self, doing: impl Into<String>) {
        let doing = doing.into();
        if let Some(plain) = &self.plain {
            plain.say(&doing);
        }
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(doing);
    }

    /// Shows a step on the way to a run.
    pub(crate) fn step(&self, step: Progress) {
        match step {
            Progress::Kernel(step) => self.kernel(step),
            Progress::Machine(saves::Progress::Making) => {
                self.say("booting this machine once; later runs fork it");
            }
            Progress::Machine(saves::Progress::Waiting { lock }) => {
                self.say(format!(
                    "waiting for another process that boots this machine ({})",
                    lock.display()
                ));
            }
            Progress::Tracing => {
                self.say("the run failed: executing it again to trace the calls that led there");
            }
            Progress::Machine(other) => self.say(format!("{other:?}")),
        }
    }

    /// Shows a step of the kernel store.
    pub(crate) fn kernel(&self, step: kstore::Progress) {
        use kstore::Progress;
        match step {
            Progress::Waiting { lock } => {
                self.say(format!("waiting for another process ({})", lock.display()));
            }
            Progress::Indexing { suite, percent } => {
                self.say(format!("reading the index of {suite} ({percent:.0} %)"));
            }
            Progress::Downloading {
                package,
                done_bytes,
                total_bytes,
            } => {
                if let Ok(style) =
                    ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes}")
                {
                    self.bar.set_style(style);
                }
                self.bar.set_length(total_bytes);
                self.bar.set_position(done_bytes);
                self.bar.set_message(package);
            }
            Progress::Unpacking { what } => self.say(format!("unpacking {what}")),
            Progress::Storing { release } => self.say(format!("storing {release}")),
            other => self.say(format!("{other:?}")),
        }
    }

    /// Removes the line.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
    }
}

/// Says on standard error what is still being done, every ten seconds, until it is dropped.
struct Plain {
    doing: Sender<String>,
}

impl Plain {
    const EVERY: Duration = Duration::from_secs(10);

    fn new() -> Plain {
        let (doing, steps) = channel::<String>();
        thread::spawn(move || {
            let (mut step, mut since) = (String::new(), Instant::now());
            loop {
                match steps.recv_timeout(Plain::EVERY) {
                    Ok(next) => (step, since) = (next, Instant::now()),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => eprintln!("{step} ({} s)", since.elapsed().as_secs()),
                }
            }
        });
        Plain { doing }
    }

    /// The thread lives as long as this does.
    fn say(&self, step: &str) {
        let _ = self.doing.send(step.to_owned());
    }
}

/// How many runs have ended, and their verdicts.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for that many runs.
    pub(crate) fn new(runs: u64) -> Bar {
        let bar = ProgressBar::new(runs);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar { bar }
    }

    /// Shows the number of ended runs and their verdicts.
    pub(crate) fn show(&self, runs: u64, counts: &str) {
        self.bar.set_position(runs);
        self.bar.set_message(counts.to_owned());
    }

    /// Removes the bar.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
    }
}
