//! What `bpftool` in the guest says.

use std::collections::BTreeMap;

use schedrig::prelude::*;
use schedrig::{BodyError, Rig};
use serde_json::Value as Json;

use super::ours::{self, Fields, Leaf, Seen, SeenEntry};
use crate::introspect::truth::Tally;

/// `bpftool`, in the guest.
pub(super) struct Tool(String);

impl Tool {
    pub(super) fn put(rig: &mut Rig) -> Result<Tool, BodyError> {
        let path = ["/usr/sbin/bpftool", "/usr/bin/bpftool", "/usr/local/sbin/bpftool"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        Ok(Tool(rig.put_program(
            path.ok_or("no bpftool: run `cargo xtask setup`")?,
        )?))
    }

    pub(super) fn run(&self, rig: &mut Rig, args: &[&str]) -> Result<Json, BodyError> {
        let mut argv = vec![self.0.as_str(), "-j"];
        argv.extend(args);
        let (status, stdout, stderr) = rig.exec(&argv, secs(20))?;
        let text = String::from_utf8_lossy(&stdout);
        if !status.success() {
            return Err(format!("{argv:?}: {text} {}", String::from_utf8_lossy(&stderr)).into());
        }
        if text.trim().is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("{argv:?}: {error}: {text}").into())
    }

    /// All programs.
    pub(super) fn compare_progs(&self, rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
        let before = Seen::of(&rig.kernel()?)?;
        let said = self.run(rig, &["prog", "show"])?;
        let after = Seen::of(&rig.kernel()?)?;
        let theirs = by_id(&said)?;
        let ids: Vec<_> = theirs.keys().copied().collect();
        tally.exact(
            "prog ids",
            "",
            &before.progs.keys().copied().collect::<Vec<_>>(),
            &ids,
        );
        for (id, prog) in theirs {
            let mut fields = scalars(prog);
            let maps = prog.get("map_ids").cloned().unwrap_or(Json::Array(Vec::new()));
            let maps: Vec<_> = maps
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_u64)
                .collect();
            fields.insert("map_ids".to_owned(), Leaf::word(format!("{maps:?}")));
            // Left out while they are 0.
            for name in ["run_cnt", "run_time_ns"] {
                fields.entry(name.to_owned()).or_insert(Leaf::Number(0));
            }
            let at = format!("prog {id}");
            compare("prog", &at, &before.progs[&id], &fields, &after.progs[&id], tally);
        }
        Ok(())
    }

    /// All types and links.
    pub(super) fn compare_others(&self, rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
        let [btfs, links] = ours::others(&rig.kernel()?)?;
        for (what, ours) in [("btf", btfs), ("link", links)] {
            let said = self.run(rig, &[what, "show"])?;
            let theirs = by_id(&said)?;
            let ids: Vec<_> = theirs.keys().copied().collect();
            tally.exact(
                &format!("{what} ids"),
                "",
                &ours.keys().copied().collect::<Vec<_>>(),
                &ids,
            );
            for (id, one) in theirs {
                let fields = scalars(one);
                compare(
                    what,
                    &format!("{what} {id}"),
                    &ours[&id],
                    &fields,
                    &ours[&id],
                    tally,
                );
            }
        }
        Ok(())
    }

    /// All maps, and what is in them.
    pub(super) fn compare_maps(&self, rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
        let before = Seen::of(&rig.kernel()?)?;
        let said = self.run(rig, &["map", "show"])?;
        let after = Seen::of(&rig.kernel()?)?;
        let theirs = by_id(&said)?;
        let ids: Vec<_> = theirs.keys().copied().collect();
        tally.exact(
            "map ids",
            "",
            &before.maps.keys().copied().collect::<Vec<_>>(),
            &ids,
        );
        for (id, map) in theirs {
            let at = format!("map {id}");
            let mut fields = scalars(map);
            if fields.get("type") == Some(&before.maps[&id].number.into()) {
                fields.insert("type".to_owned(), Leaf::word(&before.maps[&id].kind));
            }
            compare(
                "map",
                &at,
                &before.maps[&id].fields,
                &fields,
                &after.maps[&id].fields,
                tally,
            );
            let kind = before.maps[&id].kind.as_str();
            if before.maps[&id].readable && !kind.ends_with("_storage") && !kind.ends_with("ringbuf") {
                self.compare_contents(rig, id, tally)?;
            }
        }
        Ok(())
    }

    fn compare_contents(&self, rig: &mut Rig, id: u64, tally: &mut Tally) -> Result<(), BodyError> {
        let before = Seen::of(&rig.kernel()?)?;
        let said = self.run(rig, &["map", "dump", "id", &id.to_string()])?;
        let after = Seen::of(&rig.kernel()?)?;
        let (before, after) = (&before.maps[&id], &after.maps[&id]);
        let mut theirs = BTreeMap::new();
        for entry in said.as_array().ok_or("no entries")? {
            if let Some(found) = self::entry(entry, &before.kind)? {
                theirs.insert(found.0, found.1);
            }
        }
        let kind = &before.kind;
        let keys: Vec<_> = theirs.keys().collect();
        let at = format!("map {id}");
        tally.exact(
            &format!("{kind} keys"),
            &at,
            &before.entries.keys().collect::<Vec<_>>(),
            &keys,
        );
        for (key, theirs) in &theirs {
            let (Some(before), Some(after)) = (before.entries.get(key), after.entries.get(key)) else {
                continue;
            };
            let at = format!("map {id} key {key:02x?}");
            for (cpu, theirs) in &theirs.raw {
                let at = format!("{at} {cpu}");
                // What moves is compared by its fields.
                if before.raw.get(cpu) == after.raw.get(cpu) {
                    let front = before.front;
                    let ours = before.raw.get(cpu).map(|ours| &ours[front..]);
                    tally.exact(&format!("{kind} bytes"), &at, &ours, &theirs.get(front..));
                }
            }
            let subject = format!("{kind} fields");
            for (path, theirs) in &theirs.leaves {
                let (Some(before), Some(after)) = (before.leaves.get(path), after.leaves.get(path)) else {
                    tally.exact(&subject, &format!("{at} {path}"), &None, &Some(theirs));
                    continue;
                };
                tally.value(&subject, &format!("{at} {path}"), before, theirs, after);
            }
            if !theirs.leaves.is_empty() {
                let paths = |entry: &SeenEntry| entry.leaves.keys().cloned().collect::<Vec<_>>();
                tally.exact(&format!("{kind} fields"), &at, &paths(before), &paths(theirs));
            }
        }
        Ok(())
    }
}

fn by_id(said: &Json) -> Result<BTreeMap<u64, &Json>, BodyError> {
    // It says nothing when there are none.
    let all = match said {
        Json::Null => &[][..],
        said => said.as_array().ok_or("no list")?,
    };
    let entry = |one| {
        let id = Json::get(one, "id").and_then(Json::as_u64);
        id.map(|id| (id, one)).ok_or_else(|| "no id".into())
    };
    all.iter().map(entry).collect()
}

/// The fields that the rig has a value for, and that are no lists.
fn compare(what: &str, at: &str, before: &Fields, theirs: &Fields, after: &Fields, tally: &mut Tally) {
    for (name, ours) in before {
        let subject = format!("{what} {name}");
        match theirs.get(name) {
            Some(theirs) => tally.value(&subject, at, ours, theirs, &after[name]),
            None => tally.exact(&subject, at, &Some(ours), &None),
        }
    }
}

fn scalars(object: &Json) -> Fields {
    let all = object.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| leaf(value).map(|leaf| (name.clone(), leaf)))
        .collect()
}

fn leaf(value: &Json) -> Option<Leaf> {
    match value {
        Json::Bool(yes) => Some(Leaf::Number((*yes).into())),
        Json::Number(number) => {
            let number = number
                .as_i64()
                .map(i128::from)
                .or(number.as_u64().map(i128::from));
            number.map(Leaf::Number)
        }
        Json::String(text) => {
            let hex = text
                .strip_prefix("0x")
                .and_then(|hex| u64::from_str_radix(hex, 16).ok());
            Some(hex.map_or_else(|| Leaf::word(text), Leaf::from))
        }
        _ => None,
    }
}

/// An entry of a dump; `None` of an empty slot.
fn entry(entry: &Json, kind: &str) -> Result<Option<(Vec<u8>, SeenEntry)>, BodyError> {
    let key = hex_list(&entry["key"]).ok_or_else(|| format!("no key in {entry}"))?;
    let mut seen = SeenEntry::default();
    if let Some(values) = entry.get("values").and_then(Json::as_array) {
        for value in values {
            let bytes = hex_list(&value["value"]).ok_or_else(|| format!("no value in {entry}"))?;
            seen.raw.insert(format!("cpu{}", value["cpu"]), bytes);
        }
    } else if let Some(bytes) = hex_list(&entry["value"]) {
        seen.raw.insert(String::new(), bytes);
    } else {
        return Ok(None);
    }
    if let Some(value) = entry
        .get("formatted")
        .and_then(|formatted| formatted.get("value"))
    {
        flatten(value, "", &mut seen.leaves);
    }
    if kind == "struct_ops" {
        seen.leaves.retain(|path, _| path.starts_with("data."));
    }
    Ok(Some((key, seen)))
}

fn hex_list(list: &Json) -> Option<Vec<u8>> {
    let bytes = list.as_array()?.iter();
    bytes
        .map(|byte| u8::from_str_radix(byte.as_str()?.strip_prefix("0x")?, 16).ok())
        .collect()
}

/// By the paths that the rig gives them. A section is a list of variables, each alone in a struct.
fn flatten(value: &Json, path: &str, into: &mut Fields) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Json::Array(vars) if path.is_empty() && name.starts_with('.') => {
                        vars.iter().for_each(|var| flatten(var, "", into));
                    }
                    _ if name.is_empty() || name == "(anon)" => flatten(value, path, into),
                    _ if path.is_empty() => flatten(value, name, into),
                    _ => flatten(value, &format!("{path}.{name}"), into),
                }
            }
        }
        Json::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(value, &format!("{path}[{index}]"), into);
            }
        }
        scalar => {
            if let Some(leaf) = leaf(scalar) {
                into.insert(path.to_owned(), leaf);
            }
        }
    }
}

/// Bytes as numbers of 8 bytes.
pub(super) fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).map(word).collect()
}

pub(super) fn unhex(hex: &str) -> Result<Vec<u8>, BodyError> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(Into::into);
    (0..hex.len()).step_by(2).map(byte).collect()
}
