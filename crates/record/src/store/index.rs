//! The index of a record, and the form of its evidence on disk.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use spec::CgroupSpec;

use crate::{End, Event, Evidence, Format, HostFacts, Judgement, Plan, RecordHash, ReplayInputs, Window};

/// The file that makes a directory a record.
pub(super) const INDEX: &str = "record.json";

/// `record.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Index<'r> {
    pub(super) format: Format,
    pub(super) hash: Cow<'r, RecordHash>,
    pub(super) plan: Cow<'r, Plan>,
    pub(super) judgement: Cow<'r, Judgement>,
    pub(super) replay_inputs: Cow<'r, Option<ReplayInputs>>,
    pub(super) host: Cow<'r, HostFacts>,
    pub(super) files: Vec<FileEntry>,
}

/// A file of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Below the record's directory, with `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What a file holds: its path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Evidence,
    Console,
    SchedulerLog,
    Series,
    Observations,
    Snapshot,
    Dump,
    Repro,
}

/// The paths of the parts; one that ends with `/` is a folder of JSON files, one for each tag.
const PATHS: [(Part, &str); 8] = [
    (Part::Evidence, "evidence.json"),
    (Part::Console, "console.log"),
    (Part::SchedulerLog, "scheduler.log"),
    (Part::Series, "series.json"),
    (Part::Observations, "observations.json"),
    (Part::Snapshot, "snapshots/"),
    (Part::Dump, "dumps/"),
    (Part::Repro, "repro.json"),
];

impl Part {
    /// Its file, or its folder.
    pub(super) fn path(self) -> &'static str {
        PATHS
            .iter()
            .find(|(part, _)| *part == self)
            .map_or("", |(_, path)| path)
    }

    /// What the file at that path holds; `None` where this version does not know.
    pub(super) fn of(path: &str) -> Option<Part> {
        let holds = |known: &str| match known.strip_suffix('/') {
            None => path == known,
            Some(folder) => {
                let name = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(|name| name.ends_with(".json"))
            }
        };
        PATHS
            .iter()
            .find(|(_, known)| holds(known))
            .map(|(part, _)| *part)
    }
}

/// `evidence.json`: all but the two logs, which are files of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct EvidenceFile<'r> {
    groups: Cow<'r, [CgroupSpec]>,
    events: Cow<'r, [Event]>,
    windows: Cow<'r, [Window]>,
    end: Cow<'r, End>,
}

impl<'r> EvidenceFile<'r> {
    pub(super) fn of(evidence: &'r Evidence) -> EvidenceFile<'r> {
        // Without `..`: a new field must be stored somewhere.
        let Evidence {
            groups,
            events,
            windows,
            scheduler_log: _,
            console: _,
            end,
        } = evidence;
        EvidenceFile {
            groups: groups.into(),
            events: events.into(),
            windows: windows.into(),
            end: Cow::Borrowed(end),
        }
    }

    pub(super) fn with_logs(self, console: String, scheduler_log: String) -> Evidence {
        Evidence {
            groups: self.groups.into_owned(),
            events: self.events.into_owned(),
            windows: self.windows.into_owned(),
            scheduler_log,
            console,
            end: self.end.into_owned(),
        }
    }
}
