//! `struct bpf_array`: values one after the other; or pointers to programs, maps and the CPUs' values.
//!
//! ```text
//!  bpf_array ── value: elem_size bytes each, max_entries times      with BPF_F_MMAPABLE from a page's begin on
//!            └─ ptrs, pptrs: one pointer each
//! ```

use guestmem::GuestVirt;

use super::contents::per_cpu;
use super::{Contents, Entry, Held, Key, Map};
use crate::ReadError;

/// Entries that are told at the most, whatever is asked for.
const MOST_ENTRIES: usize = 1 << 20;

/// `array_map_lookup_elem`, `percpu_array_map_lookup_elem`, `fd_array_map_lookup_elem`
pub(super) fn contents<'b>(map: &Map<'b>, most: usize) -> Result<Contents<'b>, ReadError> {
    let array = map.within("bpf_array")?;
    let (total, kind) = (map.max_entries()?, map.kind()?);
    let elem_size = array.u64("elem_size")?;
    let first = array.field("value")?.address();
    let pointers = array.field("ptrs")?;
    let values = map.values()?;
    let cpus = map.bpf().kernel().possible_cpus()?;
    if elem_size < values.size && kind == "BPF_MAP_TYPE_ARRAY" {
        let what = format!("elem_size of {}", array.describe());
        let why = format!("values have {} bytes", values.size);
        return Err(ReadError::out_of_range(what, elem_size, why));
    }
    let entry = |index: u64| {
        let pointer = || pointers.element(index)?.bits();
        let value = match kind.as_str() {
            "BPF_MAP_TYPE_ARRAY" => Some(Held::One(
                values.at(first.wrapping_add(elem_size.wrapping_mul(index))),
            )),
            "BPF_MAP_TYPE_PERCPU_ARRAY" => match pointer()? {
                0 => None,
                template => Some(per_cpu(&values, &cpus, template)?),
            },
            kind => held(map, kind, pointer()?)?,
        };
        Ok(value.map(|value| Entry {
            key: Key::Index(index),
            value,
        }))
    };
    let mut contents = Contents {
        total,
        ..Contents::default()
    };
    for index in 0..total.min(most.min(MOST_ENTRIES) as u64) {
        match entry(index) {
            Ok(Some(entry)) => contents.entries.push(entry),
            // A slot of pointers with nothing in it is no entry.
            Ok(None) => contents.total -= 1,
            Err(error) => {
                contents.problem = Some(error);
                break;
            }
        }
    }
    Ok(contents)
}

/// What a pointer in a map leads to; `None` of NULL.
pub(super) fn held<'b>(map: &Map<'b>, kind: &str, pointer: u64) -> Result<Option<Held<'b>>, ReadError> {
    let kernel = map.bpf().kernel();
    if pointer == 0 {
        return Ok(None);
    }
    Ok(Some(match kind {
        "BPF_MAP_TYPE_PROG_ARRAY" => {
            Held::Program(kernel.object(GuestVirt(pointer), "bpf_prog")?.u64("aux->id")?)
        }
        "BPF_MAP_TYPE_ARRAY_OF_MAPS" | "BPF_MAP_TYPE_HASH_OF_MAPS" => {
            Held::Map(kernel.object(GuestVirt(pointer), "bpf_map")?.u64("id")?)
        }
        _ => Held::Pointer(pointer),
    }))
}
