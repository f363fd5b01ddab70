//! What a session is doing, for whoever shows it: the session writes, another thread reads whenever it draws.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use spec::{GuestTime, Nanos};

/// What a session is doing; shared between threads. Nothing that a guest can notice depends on it.
#[derive(Debug, Default)]
pub struct Status(Mutex<Doing>);

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doing {
    /// In words, as in `the workers run`; empty before anything was begun.
    pub what: String,
    /// Guest time since that began, as far as it is known.
    pub elapsed: Nanos,
    /// How much guest time it takes in all; `None` where that is not known.
    pub takes: Option<Nanos>,
    /// How far it is, in words; empty where nothing is known.
    pub detail: String,
    since: GuestTime,
}

impl Status {
    /// What is being done now.
    pub fn now(&self) -> Doing {
        self.doing().clone()
    }

    /// Something begins.
    pub(crate) fn begin(&self, what: &str, at: GuestTime, takes: Option<Nanos>) {
        *self.doing() = Doing {
            what: what.to_owned(),
            elapsed: Nanos::ZERO,
            takes,
            detail: String::new(),
            since: at,
        };
    }

    /// How far it is, in words.
    pub(crate) fn detail(&self, detail: String) {
        self.doing().detail = detail;
    }

    /// The guest's time, while it is being done.
    pub(crate) fn advance(&self, now: GuestTime) {
        let mut doing = self.doing();
        doing.elapsed = now.since(doing.since);
    }

    fn doing(&self) -> std::sync::MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `the workers run, guest 1.2s of 20s`.
impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |span: Nanos| Nanos::from_millis(span.0 / 100_000_000 * 100);
        write!(f, "{}, ", self.what)?;
        if !self.detail.is_empty() {
            write!(f, "{}, ", self.detail)?;
        }
        write!(f, "guest {}", tenths(self.elapsed))?;
        match self.takes {
            Some(takes) => write!(f, " of {takes}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_far_it_is() {
        let status = Status::default();
        let at = |ms| GuestTime(Nanos::from_millis(ms));
        status.begin("the kernel boots", at(0), None);
        status.advance(at(1_234));
        assert_eq!(status.now().to_string(), "the kernel boots, guest 1.2s");
        status.begin("the workers run", at(2_000), Some(Nanos::from_secs(20)));
        assert_eq!(status.now().to_string(), "the workers run, guest 0s of 20s");
        status.advance(at(7_999));
        assert_eq!(status.now().to_string(), "the workers run, guest 5.9s of 20s");
        status.detail("7 BPF programs loaded".into());
        let doing = status.now().to_string();
        assert_eq!(doing, "the workers run, 7 BPF programs loaded, guest 5.9s of 20s");
        // A clock that is read to the tick can be behind.
        status.advance(at(1_900));
        assert_eq!(status.now().elapsed, Nanos::ZERO);
    }
}
