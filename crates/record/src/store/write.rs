//! Writing a record.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::{StoreError, wrote};
use super::find::RecordId;
use super::index::{EvidenceFile, FileEntry, INDEX, Index, Part};
use crate::hash::hex;
use crate::{FORMAT, Record, Snapshot, Tag};

/// Writes the record below `dir` and returns its directory. A record of the same name takes the other's place: it is the
/// same execution, made again.
///
/// # Errors
/// [`StoreError::Write`]; nothing is left behind then.
pub fn save(record: &Record, dir: &Path) -> Result<PathBuf, StoreError> {
    // It is removed at the end, whatever comes of it, with all that was not moved out of it.
    let aside = aside(dir)?;
    let written = aside.path().join("record");
    write(record, &written)?;
    let place = dir.join(RecordId::of(record).as_str());
    put(&written, &place, &aside.path().join("replaced"))?;
    Ok(place)
}

/// Checks that a record can be written below `dir`, which is made if it is not there.
///
/// # Errors
/// [`StoreError::Write`].
pub fn probe(dir: &Path) -> Result<(), StoreError> {
    let aside = aside(dir)?;
    fs::write(aside.path().join(INDEX), [b' '; PROBE_LEN]).map_err(wrote("write to", dir))
}

/// Removes what this process, and processes that are gone, have begun to write below `dir` and did not finish.
///
/// # Errors
/// [`StoreError::Write`].
pub fn abandon(dir: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_abandoned(&entry.file_name().to_string_lossy())) {
        match fs::remove_dir_all(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(wrote("remove", &entry.path())(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What directories of records that are being written begin with; the process's id and a `-` follow.
const WRITING: &str = ".writing-";

/// Bytes that must have room for a record to be worth trying: those of a small one.
const PROBE_LEN: usize = 16 << 10;

/// A new directory in which a record is written before it has its name.
fn aside(dir: &Path) -> Result<tempfile::TempDir, StoreError> {
    fs::create_dir_all(dir).map_err(wrote("create", dir))?;
    tempfile::Builder::new()
        .prefix(&format!("{WRITING}{}-", std::process::id()))
        .tempdir_in(dir)
        .map_err(wrote("create a directory in", dir))
}

fn is_abandoned(name: &str) -> bool {
    let pid = name.strip_prefix(WRITING).and_then(|rest| rest.split_once('-'));
    let Some(pid) = pid.and_then(|(pid, _)| pid.parse::<u32>().ok()) else {
        return false;
    };
    pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists()
}

/// Moves the record that was written to its place, and what was there to `replaced`.
pub(super) fn put(written: &Path, place: &Path, replaced: &Path) -> Result<(), StoreError> {
    match fs::rename(place, replaced) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrote("replace", place)(error)),
        _ => {}
    }
    match fs::rename(written, place) {
        // Another process has just put the same execution there.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) => {
            // Better the older record than none; that it cannot be moved back either is the same failure.
            let _ = fs::rename(replaced, place);
            Err(wrote("rename the finished record to", place)(error))
        }
        Ok(()) => Ok(()),
    }
}

fn write(record: &Record, into: &Path) -> Result<(), StoreError> {
    // Without `..`: a new part must be written, too.
    let Record {
        format: _,
        plan,
        replay_inputs,
        evidence,
        judgement,
        observations,
        snapshots,
        dumps,
        repro,
        series,
        hash,
        host,
    } = record;
    let mut files = Files::new(into)?;
    files.pretty(Part::Evidence, &EvidenceFile::of(evidence))?;
    files.add(Part::Console.path(), evidence.console.as_bytes())?;
    files.add(Part::SchedulerLog.path(), evidence.scheduler_log.as_bytes())?;
    if let Some(series) = series {
        files.json(Part::Series.path(), series)?;
    }
    if !observations.is_empty() {
        files.json(Part::Observations.path(), observations)?;
    }
    for snapshot in snapshots {
        files.tagged(Part::Snapshot, &snapshot.tag, snapshot, &snapshot.text())?;
    }
    for dump in dumps {
        files.tagged(Part::Dump, &dump.snapshot.tag, dump, &dump.text())?;
    }
    if let Some(repro) = repro {
        files.json(Part::Repro.path(), repro)?;
    }
    let index = Index {
        format: FORMAT,
        hash: Cow::Borrowed(hash),
        plan: Cow::Borrowed(plan),
        judgement: Cow::Borrowed(judgement),
        replay_inputs: Cow::Borrowed(replay_inputs),
        host: Cow::Borrowed(host),
        files: std::mem::take(&mut files.entries),
    };
    let index = serde_json::to_vec_pretty(&index).map_err(|error| wrote("write", into)(error.into()))?;
    files.write(INDEX, &index)
}

/// The files of a record, as they are written.
struct Files<'d> {
    directory: &'d Path,
    entries: Vec<FileEntry>,
}

impl<'d> Files<'d> {
    fn new(directory: &'d Path) -> Result<Files<'d>, StoreError> {
        fs::create_dir(directory).map_err(wrote("create", directory))?;
        Ok(Files {
            directory,
            entries: Vec::new(),
        })
    }

    /// A part that people read as well.
    fn pretty(&mut self, part: Part, content: &impl Serialize) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(content);
        let json = json.map_err(|error| wrote("write", self.directory)(error.into()))?;
        self.add(part.path(), &json)
    }

    /// A part that can be long.
    fn json(&mut self, path: &str, content: &impl Serialize) -> Result<(), StoreError> {
        let json = serde_json::to_vec(content);
        let json = json.map_err(|error| wrote("write", self.directory)(error.into()))?;
        self.add(path, &json)
    }

    /// One of a folder, with its text for people.
    fn tagged(
        &mut self,
        part: Part,
        tag: &Tag,
        content: &impl Serialize,
        text: &str,
    ) -> Result<(), StoreError> {
        let folder = self.directory.join(part.path());
        fs::create_dir_all(&folder).map_err(wrote("create", &folder))?;
        let stem = self.free(part, tag);
        self.write(&format!("{stem}.txt"), text.as_bytes())?;
        self.json(&format!("{stem}.json"), content)
    }

    /// A path without its extension that no other of the folder has: two tags can be the same as a file's name (B10).
    fn free(&self, part: Part, tag: &Tag) -> String {
        let stem = format!("{}{}", part.path(), tag.file_part());
        let taken = |stem: &str| {
            let path = format!("{stem}.json");
            self.entries.iter().any(|entry| entry.path == path)
        };
        let numbered = (2..).map(|n| format!("{stem}-{n}"));
        let mut candidates = std::iter::once(stem.clone()).chain(numbered);
        candidates.find(|stem| !taken(stem)).unwrap_or(stem)
    }

    fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(path, bytes)?;
        self.entries.push(FileEntry {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        });
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(path);
        fs::write(&path, bytes).map_err(wrote("write", &path))
    }
}

impl Snapshot {
    /// All of it as text.
    fn text(&self) -> String {
        format!("{} at {}\n\n{}\n", self.tag, self.at, self.seen)
    }
}
