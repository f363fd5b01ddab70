//! `struct bpf_local_storage_map`: values that tasks, cgroups, inodes and sockets have of their own.
//!
//! ```text
//!  bpf_local_storage_map.buckets[1 << bucket_log].list ─► bpf_local_storage_elem.map_node ─► …
//!  bpf_local_storage_elem ─┬─ sdata.data: the value
//!                          └─ local_storage ─► owner: struct task_struct, …
//! ```

use record::Value;

use super::{Contents, Entry, Held, Key, Map};
use crate::collections::{containers, hlist};
use crate::{Object, ReadError};

/// `bucket_log` at the most; the kernel has one bucket for each possible CPU.
const MOST_LOG: u64 = 16;
const MOST_ENTRIES: usize = 1 << 20;

/// The values of all owners.
pub(super) fn contents<'b>(map: &Map<'b>, most: usize) -> Result<Contents<'b>, ReadError> {
    let storage = map.within("bpf_local_storage_map")?;
    let log = storage.u64("bucket_log")?;
    if log > MOST_LOG {
        let what = format!("bucket_log of {}", storage.describe());
        return Err(ReadError::out_of_range(what, log, format!("{MOST_LOG} at most")));
    }
    let owner = match map.kind()?.as_str() {
        "BPF_MAP_TYPE_TASK_STORAGE" => "task_struct",
        "BPF_MAP_TYPE_CGRP_STORAGE" => "cgroup",
        "BPF_MAP_TYPE_INODE_STORAGE" => "inode",
        _ => "sock",
    };
    let mut found = Vec::new();
    let problem = walk(map, storage, log, owner, &mut found).err();
    found.sort_by_key(|(order, _)| *order);
    Ok(Contents {
        total: found.len() as u64,
        entries: found.into_iter().take(most).map(|(_, entry)| entry).collect(),
        problem,
    })
}

fn walk<'b>(
    map: &Map<'b>,
    storage: Object<'b>,
    log: u64,
    owner: &str,
    found: &mut Vec<(u64, Entry<'b>)>,
) -> Result<(), ReadError> {
    let buckets = storage.follow("buckets")?;
    let values = map.values()?;
    for index in 0..1u64 << log {
        let head = buckets.element(index)?.field("list")?;
        for element in containers(hlist(head, MOST_ENTRIES), "bpf_local_storage_elem", "map_node") {
            let element = element?;
            if found.len() == MOST_ENTRIES {
                return Err(ReadError::TooMany {
                    what: storage.describe(),
                    most: MOST_ENTRIES,
                });
            }
            // An element whose owner is going away has none any more.
            let Some(local) = element.follow_opt("local_storage")? else {
                continue;
            };
            let Some(place) = local.follow_opt("owner")? else {
                continue;
            };
            let owner = map.bpf().kernel().object(place.address(), owner)?;
            let value = values.at(element.field("sdata.data")?.address());
            found.push((
                order(&owner),
                Entry {
                    key: Key::Owner(owner),
                    value: Held::One(value),
                },
            ));
        }
    }
    Ok(())
}

/// What sorts owners: a task's number; of others, where they are.
fn order(owner: &Object<'_>) -> u64 {
    owner.i64("pid").map_or(owner.address().0, i64::cast_unsigned)
}

/// Who an owner is, briefly.
pub(super) fn owner_value(owner: &Object<'_>) -> Value {
    if owner.has("comm") {
        Value::tree([
            ("pid", Value::from(owner.i64("pid"))),
            ("comm", Value::from(owner.str("comm"))),
        ])
    } else if owner.has("kn") {
        Value::tree([("cgroup", Value::from(owner.u64("kn->id")))])
    } else if owner.has("i_ino") {
        Value::tree([("inode", Value::from(owner.u64("i_ino")))])
    } else {
        Value::Hex(owner.address().0)
    }
}
