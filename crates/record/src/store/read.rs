//! Reading a record.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::{StoreError, parsing};
use super::index::{EvidenceFile, FileEntry, INDEX, Index, Part};
use super::list::About;
use super::v1;
use crate::hash::hex;
use crate::{FORMAT, Format, Record};

/// Reads the record in the directory `place`, whole: each file that the index lists must be there as it was written.
///
/// # Errors
/// [`StoreError`], with the path of the file.
pub fn load(place: &Path) -> Result<Record, StoreError> {
    let (path, index) = read_file(place)?;
    match format(&path, &index)? {
        v1::MAJOR => v1::upgrade(&index).map_err(parsing(&path)),
        _ => read_parts(place, serde_json::from_slice(&index).map_err(parsing(&path))?),
    }
}

/// What the index in the directory `place` says of the record, and the files that it lists, which are not read.
pub(super) fn read_index(place: &Path) -> Result<(About, Vec<FileEntry>), StoreError> {
    let (path, bytes) = read_file(place)?;
    if format(&path, &bytes)? == v1::MAJOR {
        let record = v1::upgrade(&bytes).map_err(parsing(&path))?;
        let about = About {
            verdict: record.verdict(),
            hash: record.hash,
            plan: record.plan,
            replay: record.host.replay,
        };
        return Ok((about, Vec::new()));
    }
    let index: Index<'_> = serde_json::from_slice(&bytes).map_err(parsing(&path))?;
    let about = About {
        hash: index.hash.into_owned(),
        verdict: index.judgement.verdict(),
        plan: index.plan.into_owned(),
        replay: index.host.into_owned().replay,
    };
    Ok((about, index.files))
}

fn read_file(place: &Path) -> Result<(PathBuf, Vec<u8>), StoreError> {
    let path = place.join(INDEX);
    match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(StoreError::Index { path, source }),
    }
}

/// The major number of an index's format, if this version reads it.
fn format(path: &Path, index: &[u8]) -> Result<u32, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        format: Format,
    }
    let Head { format } = serde_json::from_slice(index).map_err(parsing(path))?;
    if format.major == v1::MAJOR || format.major == FORMAT.major {
        return Ok(format.major);
    }
    Err(StoreError::Format {
        path: path.to_owned(),
        found: format,
    })
}

fn read_parts(place: &Path, index: Index<'_>) -> Result<Record, StoreError> {
    let (mut evidence, mut console, mut scheduler_log) = (None, None, None);
    let (mut series, mut repro) = (None, None);
    let (mut observations, mut snapshots, mut dumps) = (Vec::new(), Vec::new(), Vec::new());
    for file in &index.files {
        match Part::of(&file.path) {
            Some(Part::Evidence) => evidence = Some(json::<EvidenceFile<'_>>(place, file)?),
            Some(Part::Console) => console = Some(text(place, file)?),
            Some(Part::SchedulerLog) => scheduler_log = Some(text(place, file)?),
            Some(Part::Series) => series = Some(json(place, file)?),
            Some(Part::Observations) => observations = json(place, file)?,
            Some(Part::Snapshot) => snapshots.push(json(place, file)?),
            Some(Part::Dump) => dumps.push(json(place, file)?),
            Some(Part::Repro) => repro = Some(json(place, file)?),
            None => {}
        }
    }
    let lacks = |part: Part| StoreError::Incomplete {
        index: place.join(INDEX),
        part: part.path(),
    };
    let evidence = evidence.ok_or_else(|| lacks(Part::Evidence))?.with_logs(
        console.ok_or_else(|| lacks(Part::Console))?,
        scheduler_log.ok_or_else(|| lacks(Part::SchedulerLog))?,
    );
    Ok(Record {
        format: index.format,
        plan: index.plan.into_owned(),
        replay_inputs: index.replay_inputs.into_owned(),
        evidence,
        judgement: index.judgement.into_owned(),
        observations,
        snapshots,
        dumps,
        repro,
        series,
        hash: index.hash.into_owned(),
        host: index.host.into_owned(),
    })
}

fn json<T: DeserializeOwned>(place: &Path, file: &FileEntry) -> Result<T, StoreError> {
    let bytes = verified(place, file)?;
    serde_json::from_slice(&bytes).map_err(parsing(&place.join(&file.path)))
}

fn text(place: &Path, file: &FileEntry) -> Result<String, StoreError> {
    // It was written from a text, and the checksum says that it still is that.
    let bytes = verified(place, file)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file's bytes, which are those that were written.
fn verified(place: &Path, file: &FileEntry) -> Result<Vec<u8>, StoreError> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !Path::new(&file.path).components().all(inside) {
        return Err(StoreError::Outside {
            index: place.join(INDEX),
            path: file.path.clone(),
        });
    }
    let path = place.join(&file.path);
    let missing = |source| StoreError::Missing {
        path: path.clone(),
        source,
    };
    // Before it is read: a file that has grown is not read at all.
    let found = fs::metadata(&path).map_err(missing)?.len();
    if found != file.bytes {
        let expected = file.bytes;
        return Err(StoreError::Cut {
            path,
            found,
            expected,
        });
    }
    let bytes = fs::read(&path).map_err(missing)?;
    let found = hex(&Sha256::digest(&bytes));
    if found != file.sha256 {
        let expected = file.sha256.clone();
        return Err(StoreError::Altered {
            path,
            found,
            expected,
        });
    }
    Ok(bytes)
}
