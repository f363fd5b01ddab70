//! Records on disk: a directory each, `record.json` for tools and texts for people.
//!
//! ```text
//! DIR/fair-shares-0123456789ab/
//!     record.json      everything
//!     console.log      the kernel's console
//!     scheduler.log    what the scheduler's program wrote
//!     record.snapshot.stuck.txt    what a snapshot or a failure's dump shows, by its tag
//! ```
//!
//! A record is written aside and renamed, so a directory with that name is whole. Its name holds the record
//! hash: the same execution made twice is one directory.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{FORMAT, Format, Record, tagged_path};

/// The file that makes a directory a record.
const RECORD: &str = "record.json";

/// The file beside which the texts of snapshots are.
const SNAPSHOTS: &str = "record.txt";

/// A record's name below the directory of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordId(String);

impl RecordId {
    /// The name of this record: its plan's name, made harmless, and the start of its hash.
    pub fn of(record: &Record) -> RecordId {
        let harmless = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '_'
            }
        };
        let name: String = record.plan.name.chars().map(harmless).take(80).collect();
        let name = name.trim_start_matches('.');
        RecordId(format!(
            "{}-{}",
            if name.is_empty() { "run" } else { name },
            record.hash.short()
        ))
    }

    /// The directory's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{doing} {path}; is the disk full or the directory not writable? (set SCHEDRIG_RECORDS to another)", path = .path.display())]
    Write {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The file could not be read.
    #[error("read {path}; a record is a directory with a record.json", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The file is not a record.
    #[error("{path} is not a record", path = .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// No record is called so.
    #[error("there is no record `{which}` in {}; give its directory, its name or the beginning of its hash", dir.display())]
    NoRecord {
        /// What was asked for.
        which: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Several records are called so.
    #[error("`{which}` can be several records: {found}; give more of the hash")]
    Ambiguous {
        /// What was asked for.
        which: String,
        /// Their names.
        found: String,
    },
    /// The record is of another major format.
    #[error("{path} has format {}.{}, and this version reads {}.x", found.major, found.minor, FORMAT.major, path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: Format,
    },
}

/// Writes the record below `dir` and returns its directory.
pub fn save(record: &Record, dir: &Path) -> Result<PathBuf, StoreError> {
    fs::create_dir_all(dir).map_err(wrote("create", dir))?;
    let aside = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(dir)
        .map_err(wrote("create a directory in", dir))?;
    let json = serde_json::to_vec_pretty(record).map_err(|error| wrote("write", dir)(error.into()))?;
    for (name, bytes) in [
        (RECORD, json.as_slice()),
        ("console.log", record.evidence.console.as_bytes()),
        ("scheduler.log", record.evidence.scheduler_log.as_bytes()),
    ] {
        let path = aside.path().join(name);
        fs::write(&path, bytes).map_err(wrote("write", &path))?;
    }
    let shots = record.snapshots.iter().map(|shot| {
        let text = format!("{} at {}\n\n{}\n", shot.tag, shot.at, shot.seen);
        (&shot.tag, text)
    });
    let dumps = record.dumps.iter().map(|dump| (&dump.snapshot.tag, dump.text()));
    for (tag, text) in shots.chain(dumps) {
        let path = tagged_path(&aside.path().join(SNAPSHOTS), tag.as_str());
        fs::write(&path, text).map_err(wrote("write", &path))?;
    }
    let place = dir.join(RecordId::of(record).as_str());
    if place.exists() {
        // The same execution, made again: what was there differs in host facts at the most.
        fs::remove_dir_all(&place).map_err(wrote("replace", &place))?;
    }
    match fs::rename(aside.path(), &place) {
        // Another process has just put the same execution there.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        result => {
            result.map_err(wrote("rename the finished record to", &place))?;
            let _moved = aside.keep();
        }
    }
    Ok(place)
}

/// Reads the record in the directory `place`.
pub fn load(place: &Path) -> Result<Record, StoreError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: Format,
    }
    let path = place.join(RECORD);
    let bytes = fs::read(&path).map_err(|source| StoreError::Read {
        path: path.clone(),
        source,
    })?;
    let parse = |source| StoreError::Parse {
        path: path.clone(),
        source,
    };
    let Head { format } = serde_json::from_slice(&bytes).map_err(parse)?;
    if format.major != FORMAT.major {
        return Err(StoreError::Format { path, found: format });
    }
    serde_json::from_slice(&bytes).map_err(parse)
}

/// The directory of the record that goes by `which`: a path, or a record's name below `dir`, or the beginning of the
/// hash in one.
pub fn find(which: &str, dir: &Path) -> Result<PathBuf, StoreError> {
    let path = Path::new(which);
    if path.join(RECORD).is_file() {
        return Ok(path.to_owned());
    }
    if path.file_name().is_some_and(|name| name == RECORD) && path.is_file() {
        return Ok(path.parent().unwrap_or(Path::new(".")).to_owned());
    }
    let names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let hash_begins = |name: &&String| {
        let hash = name.rsplit('-').next().unwrap_or_default();
        !which.is_empty()
            && (hash.starts_with(which) || (which.len() > hash.len() && which.starts_with(hash)))
    };
    let exactly: Vec<&String> = names.iter().filter(|name| *name == which).collect();
    let found = if exactly.is_empty() {
        names.iter().filter(hash_begins).collect()
    } else {
        exactly
    };
    match found.as_slice() {
        [name] => Ok(dir.join(name)),
        [] => Err(StoreError::NoRecord {
            which: which.to_owned(),
            dir: dir.to_owned(),
        }),
        several => Err(StoreError::Ambiguous {
            which: which.to_owned(),
            found: several
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn wrote(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Write { doing, path, source }
}

#[cfg(test)]
mod tests {
    use spec::{GuestTime, Nanos};

    use super::*;
    use crate::{Evidence, Expectation, HostFacts, Judgement, KernelFacts, Plan};

    fn record(name: &str, console: &str) -> Record {
        let plan = Plan {
            name: name.into(),
            topology: "1n1l2c1t".parse().unwrap(),
            memory_mib: 512,
            shift: 2,
            kernel_args: String::new(),
            kernel: KernelFacts {
                request: "apt:sid".into(),
                release: "7.2".into(),
                build_id: "ab".into(),
            },
            scheduler: None,
            seed: 7,
            expectations: Expectation::defaults(),
        };
        let evidence = Evidence {
            console: console.into(),
            ..Evidence::default()
        };
        Record::new(plan, evidence, Judgement::of(Vec::new()), HostFacts::default())
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let record = record("fair shares", "boot\n");
        let place = save(&record, dir.path()).unwrap();
        assert_eq!(load(&place).unwrap(), record);
        assert_eq!(fs::read_to_string(place.join("console.log")).unwrap(), "boot\n");
    }

    #[test]
    fn a_record_is_found_by_path_name_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let one = record("fair", "boot");
        let place = save(&one, dir.path()).unwrap();
        let other = save(&record("fair", "other"), dir.path()).unwrap();
        let check = |which: &str| assert_eq!(find(which, dir.path()).unwrap(), place, "{which}");
        check(place.to_str().unwrap());
        check(place.join("record.json").to_str().unwrap());
        check(place.file_name().unwrap().to_str().unwrap());
        check(one.hash.short());
        check(one.hash.as_str());
        check(&one.hash.as_str()[..6]);
        assert_ne!(other, place);
        let error = |which| find(which, dir.path()).unwrap_err().to_string();
        assert!(
            error("fair-00").contains("no record `fair-00`"),
            "{}",
            error("fair-00")
        );
        assert!(error("").contains("no record"), "an empty name is nobody's");
    }

    #[test]
    fn the_same_execution_twice_is_one_directory_and_nothing_is_left_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut again = record("x", "boot");
        save(&again, dir.path()).unwrap();
        again.host.seconds = 9.0;
        save(&again, dir.path()).unwrap();
        save(&record("x", "other"), dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_hash_covers_the_guest_and_not_the_host_or_the_seed() {
        let mut one = record("x", "boot");
        one.host.seconds = 3.0;
        one.plan.seed = 8;
        let again = Record::new(one.plan, one.evidence, one.judgement, one.host);
        assert_eq!(again.hash, record("x", "boot").hash);
        assert_ne!(again.hash, record("x", "boot!").hash);
        let mut later = record("x", "boot").evidence;
        later.events.push(crate::Event {
            at: GuestTime(Nanos(1)),
            what: crate::EventKind::Note {
                key: "k".into(),
                value: "v".into(),
            },
        });
        assert_ne!(crate::RecordHash::of(&later, &again.judgement), again.hash);
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        assert!(
            RecordId::of(&record("../../etc/passwd", ""))
                .as_str()
                .starts_with("_.._etc_passwd-")
        );
        assert!(RecordId::of(&record("", "")).as_str().starts_with("run-"));
    }

    /// B10: a snapshot and a dump are files by their tags, in the record's directory whatever these are.
    #[test]
    fn snapshots_are_texts_beside_the_record_by_their_tags() {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = |tag: &str| crate::Snapshot {
            tag: crate::Tag::new(tag).unwrap(),
            at: GuestTime(Nanos(7)),
            seen: crate::Value::tree([("nr_running", crate::Value::from(3u64))]),
        };
        let mut record = record("x", "boot");
        record.snapshots.push(snapshot("../../mid run"));
        record.dumps.push(crate::Dump {
            trigger: "a task is stuck".into(),
            headline: Vec::new(),
            tasks: Vec::new(),
            cpus: Vec::new(),
            backtrace: Vec::new(),
            log: Vec::new(),
            timeline: Vec::new(),
            snapshot: snapshot("stuck"),
        });
        let place = save(&record, dir.path()).unwrap();
        for name in ["record.snapshot..._.._mid_run.txt", "record.snapshot.stuck.txt"] {
            let text = fs::read_to_string(place.join(name)).unwrap();
            assert!(text.contains("nr_running") && text.contains('3'), "{text}");
        }
        assert_eq!(load(&place).unwrap(), record);
    }

    #[test]
    fn another_major_format_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("record.json"),
            r#"{"format":{"major":9,"minor":0}}"#,
        )
        .unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("format 9.0"), "{error}");
    }
}
