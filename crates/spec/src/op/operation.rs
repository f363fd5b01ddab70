//! What each op tells about itself.

use std::fmt;

use super::{Op, OpError};
use crate::{Nanos, Topology};

/// One kind of op. Its `Display` is its text form: what [`Operation::parse`] reads, where it has [`Operation::FORMS`].
pub trait Operation: Clone + fmt::Display + Into<Op> {
    /// How it is typed; empty for an op that cannot be.
    const FORMS: &'static [Form] = &[];

    /// Does the host carry it out without the agent? Then it is never sent.
    const BY_HOST: bool = false;

    /// The op that was typed, from the text after its keyword.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment; the caller adds the usage.
    fn parse(keyword: &str, _arguments: &str) -> Result<Self, String> {
        Err(format!("`{keyword}` cannot be typed"))
    }

    /// Can it be carried out on a machine of that shape?
    ///
    /// # Errors
    /// [`OpError`] with what the machine lacks or which value is out of bounds.
    fn check(&self, _topology: &Topology) -> Result<(), OpError> {
        Ok(())
    }

    /// How much guest time it takes beside what the agent itself needs.
    fn takes(&self) -> Takes {
        Takes::Nothing
    }

    /// What is being done meanwhile, as a clause: `the agent reads /proc/stat`.
    fn describe(&self) -> String;

    /// The op as a record keeps it: without contents that are too long.
    #[must_use]
    fn recorded(&self) -> Self {
        self.clone()
    }
}

/// One spelling of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its keyword, then its arguments in capitals: `run SPAN`.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

impl Form {
    /// The word by which it is told from all others.
    pub fn keyword(&self) -> &'static str {
        self.usage.split(' ').next().unwrap_or_default()
    }
}

/// How much guest time an op takes beside what the agent itself needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// At most that much.
    Span(Nanos),
    /// As much as a scheduler may take to attach, or to end: the run decides.
    SchedulerLimit,
}

/// The next word of the text and what follows it.
pub(super) fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (!word.is_empty()).then(|| (word, rest.trim_start()))
}

/// The next word, which must be there.
pub(super) fn need<'t>(text: &'t str, what: &str) -> Result<(&'t str, &'t str), String> {
    word(text).ok_or_else(|| format!("{what} is missing"))
}

/// The next word as a value.
pub(super) fn value<'t, T>(text: &'t str, what: &str) -> Result<(T, &'t str), String>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    let (word, rest) = need(text, what)?;
    Ok((read(word, what)?, rest))
}

/// A word as a value; what is wrong is said with its causes.
pub(super) fn read<T>(word: &str, what: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    word.parse().map_err(|error: T::Err| {
        let mut reason = format!("{what}: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        reason
    })
}

/// An absolute path of the guest.
pub(super) fn path(text: &str) -> Result<(String, &str), String> {
    let (path, rest) = need(text, "the path")?;
    if path.starts_with('/') {
        Ok((path.to_owned(), rest))
    } else {
        Err(format!("`{path}` is not an absolute path"))
    }
}

/// A program and its arguments; words are separated by white space, and there is no quoting.
pub(super) fn argv(text: &str) -> Result<Vec<String>, String> {
    need(text, "the program")?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Nothing may follow.
pub(super) fn end(rest: &str) -> Result<(), String> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(format!("`{rest}` is too much"))
    }
}
