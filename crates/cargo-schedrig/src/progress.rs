//! Progress on standard error.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use schedrig::{Doing, Progress, Status};

use crate::page::note;

/// A line that shows the current step and how far the guest is. Where standard error is no terminal, a line now and then.
pub(crate) struct Line {
    bar: ProgressBar,
    /// What all of it is for.
    title: Mutex<String>,
    booting: AtomicBool,
    guest: Arc<Mutex<Option<Arc<Status>>>>,
    plain: Option<Plain>,
}

/// Characters of the bar that shows how much of the guest's time is over.
const BAR: u64 = 20;

impl Line {
    /// A new line.
    pub(crate) fn new() -> Line {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        let guest = Arc::<Mutex<Option<Arc<Status>>>>::default();
        let plain = (!std::io::stderr().is_terminal()).then(|| Plain::new(Arc::clone(&guest)));
        Line {
            bar,
            title: Mutex::default(),
            booting: AtomicBool::new(false),
            guest,
            plain,
        }
    }

    /// Shows what all of it is for, until a step has words of its own.
    pub(crate) fn title(&self, title: impl Into<String>) {
        let title = title.into();
        self.title
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&title);
        self.say(title);
    }

    /// Shows a step in words.
    fn say(&self, doing: impl Into<String>) {
        let doing = doing.into();
        if let Some(plain) = &self.plain {
            plain.say(&doing);
        }
        self.bar.set_style(self.style());
        self.bar.set_message(doing);
    }

    /// `⠒ 1n1l2c1t under eevdf: the workers run, guest 5s of 20s ████----------------`.
    fn style(&self) -> ProgressStyle {
        let guest = Arc::clone(&self.guest);
        let draw = move |_: &ProgressState, f: &mut dyn std::fmt::Write| {
            let doing = doing(&guest);
            let part = doing.as_ref().and_then(|doing| {
                let takes = doing.takes.filter(|takes| takes.0 > 0)?;
                Some(
                    (u128::from(doing.elapsed.0) * u128::from(BAR) / u128::from(takes.0)).min(BAR.into())
                        as usize,
                )
            });
            let words = doing.map_or_else(String::new, |doing| format!(": {doing}"));
            let bar = part.map_or_else(String::new, |part| {
                format!(" {}{}", "█".repeat(part), "-".repeat(BAR as usize - part))
            });
            let _ = write!(f, "{words}{bar}");
        };
        match ProgressStyle::with_template("{spinner} {msg}{guest}") {
            Ok(style) => style.with_key("guest", draw),
            Err(_) => ProgressStyle::default_spinner(),
        }
    }

    /// Shows a step on the way to a run.
    pub(crate) fn step(&self, step: Progress) {
        match step {
            Progress::Kernel(step) => self.kernel(step),
            Progress::Machine(saves::Progress::Making) => {
                self.booting.store(true, Ordering::Relaxed);
                self.say("booting this machine once; later runs fork it");
            }
            Progress::Machine(saves::Progress::Waiting { lock }) => {
                self.say(format!(
                    "waiting for another process that boots this machine ({})",
                    lock.display()
                ));
            }
            Progress::Attaching { scheduler } => {
                self.booting.store(true, Ordering::Relaxed);
                self.say(format!(
                    "attaching {scheduler} once; later runs fork the machine with it"
                ));
            }
            Progress::Unsaved { why } => {
                let warning = "warning: the booted machine is not kept for later runs";
                self.bar
                    .suspend(|| note!("{warning}: {why}; SCHEDRIG_SAVES names another directory"));
            }
            Progress::Guest(status) => {
                *self.guest.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                // The boot is over.
                if self.booting.swap(false, Ordering::Relaxed) {
                    let title = self.title.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.say(title);
                }
            }
            Progress::Tracing => {
                self.say("the run failed: executing it again to trace the calls that led there");
            }
            Progress::Confirming => self.say("the run did not pass: executing it again, cold"),
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

    /// For whoever needs the terminal meanwhile.
    pub(crate) fn pause(&self) -> Pause {
        Pause {
            bar: self.bar.clone(),
            plain: self.plain.as_ref().map(|plain| Arc::clone(&plain.paused)),
        }
    }

    /// Removes the line.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
    }
}

/// What the guest is doing, once it does something.
fn doing(guest: &Mutex<Option<Arc<Status>>>) -> Option<Doing> {
    let guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
    let doing = guest.as_ref()?.now();
    Some(doing).filter(|doing| !doing.what.is_empty())
}

/// Takes a [`Line`] away for a while.
pub(crate) struct Pause {
    bar: ProgressBar,
    plain: Option<Arc<AtomicBool>>,
}

impl Pause {
    /// Calls this without the line.
    pub(crate) fn over(&self, function: impl FnOnce()) {
        let set = |paused| {
            if let Some(plain) = &self.plain {
                plain.store(paused, Ordering::Relaxed);
            }
        };
        set(true);
        self.bar.suspend(function);
        set(false);
    }
}

/// Says on standard error what is still being done, every ten seconds, until it is dropped.
struct Plain {
    doing: Sender<String>,
    paused: Arc<AtomicBool>,
}

impl Plain {
    const EVERY: Duration = Duration::from_secs(10);

    fn new(guest: Arc<Mutex<Option<Arc<Status>>>>) -> Plain {
        let (sender, steps) = channel::<String>();
        let paused = Arc::<AtomicBool>::default();
        let quiet = Arc::clone(&paused);
        thread::spawn(move || {
            let (mut step, mut since) = (String::new(), Instant::now());
            loop {
                match steps.recv_timeout(Plain::EVERY) {
                    Ok(next) => (step, since) = (next, Instant::now()),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) if quiet.load(Ordering::Relaxed) => {}
                    Err(RecvTimeoutError::Timeout) => {
                        let guest = doing(&guest).map_or_else(String::new, |doing| format!(": {doing}"));
                        note!("{step} ({} s){guest}", since.elapsed().as_secs());
                    }
                }
            }
        });
        Plain {
            doing: sender,
            paused,
        }
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
