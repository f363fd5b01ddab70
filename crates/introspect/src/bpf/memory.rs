//! How much memory a map occupies, as the kernel accounts it: `bpf_map_memory_usage`, which asks each kind.

use super::{Map, RingBuf};
use crate::{Object, ReadError};

const PAGE: u64 = 4096;
const POINTER: u64 = 8;

/// `ops->map_mem_usage`
pub(super) fn usage(map: &Map<'_>) -> Result<u64, ReadError> {
    let kind = map.kind()?;
    match kind.strip_prefix("BPF_MAP_TYPE_").unwrap_or_default() {
        "ARRAY" | "PERCPU_ARRAY" | "PROG_ARRAY" | "CGROUP_ARRAY" | "PERF_EVENT_ARRAY" | "ARRAY_OF_MAPS" => {
            array(map, kind.contains("PERCPU"))
        }
        "HASH" | "LRU_HASH" | "PERCPU_HASH" | "LRU_PERCPU_HASH" | "HASH_OF_MAPS" => hash(map, &kind),
        "TASK_STORAGE" | "CGRP_STORAGE" | "INODE_STORAGE" | "SK_STORAGE" => {
            let storage = map.within("bpf_local_storage_map")?;
            let buckets = 1u64.checked_shl(storage.u64("bucket_log")? as u32).unwrap_or(0);
            let bucket = storage.follow("buckets")?.size();
            Ok(bucket.saturating_mul(buckets).saturating_add(storage.size()))
        }
        "RINGBUF" | "USER_RINGBUF" => {
            let ring = RingBuf::of(map)?;
            // The waiting queue's page, and those of the two positions.
            let pages = 3 + 2 * (map.max_entries()? / PAGE);
            let own = map.within("bpf_ringbuf_map")?.size();
            Ok(own + ring.object().u64("nr_pages")? * PAGE + pages * POINTER)
        }
        "STRUCT_OPS" => {
            let ops = map.within("bpf_struct_ops_map")?;
            let (value, own) = (map.value_size()?, ops.field("kvalue")?.size());
            // Each function has a link, and since v6.13 a symbol.
            let pointers = ops.u64("funcs_cnt")? * (1 + u64::from(ops.has("ksyms")));
            Ok((ops.size() + 2 * value + pointers * POINTER + PAGE).saturating_sub(own))
        }
        "ARENA" => match map.within("bpf_arena")?.u64("nr_pages") {
            // It was not accounted before v7.3.
            Err(error) if error.is_absent() => Ok(0),
            pages => Ok(pages?.saturating_mul(PAGE)),
        },
        _ => Err(ReadError::Unfit {
            what: map.object().describe(),
            declaration: kind,
            wanted: "of a kind of map whose memory is accounted here",
        }),
    }
}

/// `array_map_mem_usage`
fn array(map: &Map<'_>, per_cpu: bool) -> Result<u64, ReadError> {
    let array = map.within("bpf_array")?;
    let (entries, own) = (map.max_entries()?, array.size());
    let values = entries.saturating_mul(array.u64("elem_size")?);
    Ok(if per_cpu {
        let values = values.saturating_mul(cpus(map)?);
        values.saturating_add(own + entries * POINTER)
    } else if map.has_flag("BPF_F_MMAPABLE")? {
        let pages = values.div_ceil(PAGE) + own.div_ceil(PAGE);
        pages.saturating_mul(PAGE)
    } else {
        values.saturating_add(own)
    })
}

/// `htab_map_mem_usage`
fn hash(map: &Map<'_>, kind: &str) -> Result<u64, ReadError> {
    let htab = map.within("bpf_htab")?;
    let (per_cpu, lru) = (kind.contains("PERCPU"), kind.contains("LRU"));
    let cpus = cpus(map)?;
    let value_size = map.value_size()?.next_multiple_of(8);
    let elem_size = htab.u64("elem_size")?;
    let mut sum = htab.size() + htab.follow("buckets")?.size() * htab.u64("n_buckets")?;
    // Removed in v6.19: one lock counter for each CPU, and several such.
    if htab.has("map_locked") {
        let counters = htab.field("map_locked")?.size() / POINTER;
        sum += 4 * cpus * counters;
    }
    let loose = map.has_flag("BPF_F_NO_PREALLOC")?;
    let (entries, mut each) = if loose {
        // An element has a link of the allocator's in front.
        (elements(&htab)?, elem_size + POINTER)
    } else {
        let extra = htab.pointer("extra_elems")?.0 != 0;
        (map.max_entries()? + if extra { cpus } else { 0 }, elem_size)
    };
    if per_cpu {
        each += value_size * cpus + if loose { 2 * POINTER } else { 0 };
    } else if !lru && !loose {
        sum += POINTER * cpus;
    }
    Ok(entries.saturating_mul(each).saturating_add(sum))
}

/// `count`, or `pcount` summed over all CPUs.
fn elements(htab: &Object<'_>) -> Result<u64, ReadError> {
    if htab.u64("use_percpu_counter")? == 0 {
        return htab.u64("count.counter");
    }
    let kernel = htab.kernel();
    let mut sum = htab.i64("pcount.count")?;
    let template = htab.follow("pcount.counters")?;
    for cpu in kernel.online_cpus()?.iter() {
        let at = kernel.per_cpu_at("pcount.counters", template.address(), cpu)?;
        sum = sum.wrapping_add(template.elsewhere(at).number()?);
    }
    Ok(sum.max(0).cast_unsigned())
}

fn cpus(map: &Map<'_>) -> Result<u64, ReadError> {
    Ok(map.bpf().kernel().possible_cpus()?.iter().count() as u64)
}
