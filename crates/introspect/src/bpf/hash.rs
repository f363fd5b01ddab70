//! `struct bpf_htab`: buckets of chains; of the kinds that forget the least recently used, too.
//!
//! ```text
//!  bpf_htab.buckets[n_buckets].head ─► htab_elem.hash_node ─► … ─► an odd number, which tells the bucket
//!
//!  htab_elem ── key (key_size, rounded up to 8) │ value, or a pointer to the CPUs' values, or to a map
//! ```
//! Mirrors `__htab_map_lookup_elem` and `bpf_for_each_hash_elem` of kernel/bpf/hashtab.c. An element that moves ends a
//! chain in another bucket; no chain of a guest that stands still does.

use guestmem::GuestVirt;
use spec::CpuSet;

use super::array::held;
use super::contents::per_cpu;
use super::datum::Shape;
use super::{Contents, Entry, Held, Key, Map};
use crate::collections::Visited;
use crate::{Object, ReadError};

/// Buckets and entries at the most: a table of four million has the buckets alone in 64 MiB.
const MOST_BUCKETS: u64 = 1 << 22;
const MOST_ENTRIES: usize = 1 << 22;
/// Buckets that are read at once.
const AT_ONCE: u64 = 4096;
/// Entries that are sorted by their keys before some are chosen; of more, the first ones are.
const MOST_SORTED: usize = 1 << 16;

/// `htab_map_lookup_elem` for all keys.
pub(super) fn contents<'b>(map: &Map<'b>, most: usize) -> Result<Contents<'b>, ReadError> {
    let table = Table::of(map)?;
    let mut found = Vec::new();
    let problem = table.walk(&mut found).err();
    let mut contents = Contents {
        total: found.len() as u64,
        problem,
        ..Contents::default()
    };
    if found.len() > MOST_SORTED {
        found.truncate(most.min(MOST_SORTED));
    }
    let keys = map.keys()?;
    let mut keyed = Vec::with_capacity(found.len());
    for at in found {
        let key = keys.at(at.wrapping_add(table.key));
        match key.bytes() {
            Ok(bytes) => keyed.push((order(bytes), at, key)),
            Err(error) => contents.problem = Some(error),
        }
    }
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    for (_, at, key) in keyed.into_iter().take(most) {
        match table.value(map, at) {
            Ok(value) => contents.entries.push(Entry {
                key: Key::Data(key),
                value,
            }),
            Err(error) => contents.problem = Some(error),
        }
    }
    Ok(contents)
}

/// What sorts keys: as numbers, if they can be ones.
fn order(mut key: Vec<u8>) -> Vec<u8> {
    if matches!(key.len(), 1 | 2 | 4 | 8) {
        key.reverse();
    }
    key
}

struct Table<'b> {
    htab: Object<'b>,
    kind: String,
    buckets: u64,
    /// Where an element has its chain, its key and its value.
    node: u64,
    key: u64,
    value: u64,
    most: usize,
    values: Shape<'b>,
    cpus: CpuSet,
}

impl<'b> Table<'b> {
    fn of(map: &Map<'b>) -> Result<Table<'b>, ReadError> {
        let htab = map.within("bpf_htab")?;
        let btf = htab.btf();
        let buckets = htab.u64("n_buckets")?;
        if !buckets.is_power_of_two() || buckets > MOST_BUCKETS {
            let what = format!("n_buckets of {}", htab.describe());
            let why = format!("a power of two, {MOST_BUCKETS} at most");
            return Err(ReadError::out_of_range(what, buckets, why));
        }
        let key = btf.offset_of("htab_elem", "key")?;
        let key_size = map.key_size()?.next_multiple_of(8);
        // While an element is replaced the new one is there already, on each CPU one at the most.
        let most = map.max_entries()? as usize + map.bpf().kernel().nr_cpu_ids()? as usize;
        Ok(Table {
            htab,
            kind: map.kind()?,
            buckets,
            node: btf.offset_of("htab_elem", "hash_node")?,
            key,
            value: key + key_size,
            most: most.min(MOST_ENTRIES),
            values: map.values()?,
            cpus: map.bpf().kernel().possible_cpus()?,
        })
    }

    /// The addresses of all elements, in the order of the buckets.
    fn walk(&self, found: &mut Vec<GuestVirt>) -> Result<(), ReadError> {
        let kernel = self.htab.kernel();
        let btf = self.htab.btf();
        let table = self.htab.follow("buckets")?;
        let head = btf.offset_of("bucket", "head.first")?;
        // A bucket has at least the head of its chain.
        let size = table.size().max(head + 8);
        let next = self.node + btf.offset_of("hlist_nulls_node", "next")?;
        let mut visited = Visited::new(self.most);
        for first in (0..self.buckets).step_by(AT_ONCE as usize) {
            let count = AT_ONCE.min(self.buckets - first);
            let at = table.element(first)?.address();
            let bytes = kernel.read_chunked(at, (count * size) as usize)?;
            for (index, bucket) in (first..).zip(bytes.chunks_exact(size as usize)) {
                let mut node = bucket
                    .get(head as usize..)
                    .and_then(|bytes| bytes.first_chunk())
                    .map_or(1, |bytes| u64::from_le_bytes(*bytes));
                while node & 1 == 0 {
                    let element = GuestVirt(node.wrapping_sub(self.node));
                    visited.note(element, || format!("bucket {index} of {}", self.htab.describe()))?;
                    // Read before it is taken for one: an address that leads nowhere is none.
                    let after = kernel.read_u64(element.wrapping_add(next))?;
                    found.push(element);
                    node = after;
                }
                if node >> 1 != index {
                    let what = format!("the end of bucket {index} of {}", self.htab.describe());
                    return Err(ReadError::out_of_range(
                        what,
                        node,
                        "it is the end of another bucket",
                    ));
                }
            }
        }
        Ok(())
    }

    fn value(&self, map: &Map<'b>, element: GuestVirt) -> Result<Held<'b>, ReadError> {
        let at = element.wrapping_add(self.value);
        let pointer = || self.htab.kernel().read_u64(at);
        match self.kind.as_str() {
            "BPF_MAP_TYPE_PERCPU_HASH" | "BPF_MAP_TYPE_LRU_PERCPU_HASH" => {
                per_cpu(&self.values, &self.cpus, pointer()?)
            }
            kind @ "BPF_MAP_TYPE_HASH_OF_MAPS" => {
                let value = held(map, kind, pointer()?)?;
                value.ok_or_else(|| ReadError::Null {
                    what: format!("the map in an element of {}", self.htab.describe()),
                })
            }
            _ => Ok(Held::One(self.values.at(at))),
        }
    }
}
