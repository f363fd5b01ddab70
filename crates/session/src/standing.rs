//! What a session knows of a machine that stands in its agent's call, as plain data: with it, whoever has a fork of that machine
//! goes on where the session was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use record::Evidence;
use serde::{Deserialize, Serialize};
use spec::GuestTime;

use crate::session::SchedulerLife;

/// A session's knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    pub(crate) evidence: Evidence,
    /// The last guest time that the guest has reported.
    pub(crate) now: GuestTime,
    pub(crate) scheduler: SchedulerLife,
    pub(crate) scheduler_log: Vec<u8>,
    /// Calls that the guest made so far.
    pub(crate) calls: u64,
}

/// It cannot be kept beside the saved machine, or read from there.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The file cannot be read or written.
    #[error("{doing} {}; is the disk full, was the file removed?", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged: {what}; save the machine again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// Beside the files of the saved machine: the SHA-256 of what follows, in hex, a line break, and the value as JSON.
const FILE: &str = "session";

impl Standing {
    /// Events so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<(), StandingError> {
        let path = directory.join(FILE);
        let text = serde_json::to_string(self).map_err(|error| StandingError::Damaged {
            path: path.clone(),
            what: error.to_string(),
        })?;
        let sum = disk::files::sha256(text.as_bytes());
        fs::write(&path, format!("{sum}\n{text}")).map_err(|source| StandingError::File {
            doing: "write",
            path,
            source,
        })
    }

    /// Reads what is kept beside a saved machine.
    ///
    /// # Errors
    /// [`StandingError`].
    pub fn load(directory: &Path) -> Result<Standing, StandingError> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| StandingError::File {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        let damaged = |what: String| StandingError::Damaged {
            path: path.clone(),
            what,
        };
        let (sum, value) = text
            .split_once('\n')
            .ok_or_else(|| damaged("it has no first line".to_owned()))?;
        if sum != disk::files::sha256(value.as_bytes()) {
            return Err(damaged("its checksum differs".to_owned()));
        }
        serde_json::from_str(value).map_err(|error| damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use record::{Event, EventKind};
    use spec::Nanos;

    use super::*;

    #[test]
    fn it_reads_as_it_was_written_and_any_damage_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let at = GuestTime(Nanos(7));
        let what = EventKind::Booted {
            release: "7.2".to_owned(),
            cpus: 4,
        };
        let standing = Standing {
            evidence: Evidence {
                events: vec![Event { at, what }],
                ..Evidence::default()
            },
            now: at,
            scheduler: SchedulerLife::Attached,
            scheduler_log: b"attached\n\xff".to_vec(),
            calls: 12,
        };
        standing.save(directory.path()).unwrap();
        assert_eq!(Standing::load(directory.path()).unwrap(), standing);
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(Standing::load(directory.path()).is_err(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(Standing::load(directory.path()).is_err(), "{at} bytes");
        }
        fs::remove_file(&path).unwrap();
        let missing = Standing::load(directory.path());
        assert!(matches!(missing, Err(StandingError::File { .. })));
    }
}
