//! What is in a map: entries of keys and values.

use guestmem::GuestVirt;
use record::Value;
use spec::CpuSet;

use super::datum::Shape;
use super::{Datum, Map, array, hash, ringbuf, storage, struct_ops};
use crate::{Limits, Object, ReadError};

/// Entries of a map.
#[derive(Debug, Clone, Default)]
pub struct Contents<'b> {
    /// As many as were asked for, by ascending keys.
    pub entries: Vec<Entry<'b>>,
    /// How many there are; with a problem, how many were found.
    pub total: u64,
    /// What ended the walk before its time.
    pub problem: Option<ReadError>,
}

/// An entry of a map.
#[derive(Debug, Clone)]
pub struct Entry<'b> {
    /// What it is found by.
    pub key: Key<'b>,
    /// What it holds.
    pub value: Held<'b>,
}

/// What an entry is found by.
#[derive(Debug, Clone, Copy)]
pub enum Key<'b> {
    /// Its place in an array or a buffer.
    Index(u64),
    /// A key that lies in the map.
    Data(Datum<'b>),
    /// Who owns it: `struct task_struct`, `cgroup`, `inode` or `sock`.
    Owner(Object<'b>),
}

/// What an entry holds.
#[derive(Debug, Clone)]
pub enum Held<'b> {
    /// A value.
    One(Datum<'b>),
    /// A value for each CPU.
    PerCpu(Vec<(u32, Datum<'b>)>),
    /// A map: its id.
    Map(u64),
    /// A program: its id.
    Program(u64),
    /// Something else of the kernel's: its address.
    Pointer(u64),
}

/// The values of all CPUs, from a pointer that `alloc_percpu` gave.
pub(super) fn per_cpu<'b>(values: &Shape<'b>, cpus: &CpuSet, template: u64) -> Result<Held<'b>, ReadError> {
    let value = |cpu| {
        let at = values
            .kernel
            .per_cpu_at("a map's value", GuestVirt(template), cpu)?;
        Ok((cpu, values.at(at)))
    };
    let values: Result<_, ReadError> = cpus.iter().map(value).collect();
    values.map(Held::PerCpu)
}

impl<'b> Contents<'b> {
    /// The contents of any kind of map whose contents are known.
    pub(super) fn of(map: &Map<'b>, most: usize) -> Result<Contents<'b>, ReadError> {
        let kind = map.kind()?;
        match kind.strip_prefix("BPF_MAP_TYPE_").unwrap_or_default() {
            "ARRAY" | "PERCPU_ARRAY" | "PROG_ARRAY" | "ARRAY_OF_MAPS" | "CGROUP_ARRAY"
            | "PERF_EVENT_ARRAY" => array::contents(map, most),
            "HASH" | "LRU_HASH" | "PERCPU_HASH" | "LRU_PERCPU_HASH" | "HASH_OF_MAPS" => {
                hash::contents(map, most)
            }
            "TASK_STORAGE" | "CGRP_STORAGE" | "INODE_STORAGE" | "SK_STORAGE" => storage::contents(map, most),
            "RINGBUF" | "USER_RINGBUF" => ringbuf::contents(map, most),
            "STRUCT_OPS" => struct_ops::contents(map),
            _ => Err(ReadError::Unfit {
                what: map.object().describe(),
                declaration: kind,
                wanted: "of a kind of map whose contents are known here",
            }),
        }
    }

    /// The entries, how many were left out, and what ended the walk.
    pub fn value(&self, limits: &Limits) -> Value {
        let left_out = self.total.saturating_sub(self.entries.len() as u64);
        let mut values: Vec<Value> = self.entries.iter().map(|entry| entry.value(limits)).collect();
        if left_out > 0 {
            values.push(Value::Missing(format!("left out: {left_out} more entries")));
        }
        if let Some(problem) = &self.problem {
            values.push(Value::missing(problem));
        }
        Value::List(values)
    }
}

impl Entry<'_> {
    /// Key and value.
    pub fn value(&self, limits: &Limits) -> Value {
        Value::tree([
            ("key", self.key.value(limits)),
            ("value", self.value.value(limits)),
        ])
    }
}

impl Key<'_> {
    /// The key.
    pub fn value(&self, limits: &Limits) -> Value {
        match self {
            Key::Index(index) => Value::Unsigned(*index),
            Key::Data(datum) => datum.value(limits),
            Key::Owner(owner) => storage::owner_value(owner),
        }
    }
}

impl Held<'_> {
    /// The value, or the CPUs' values.
    pub fn value(&self, limits: &Limits) -> Value {
        match self {
            Held::One(datum) => datum.value(limits),
            Held::PerCpu(data) => Value::tree(
                data.iter()
                    .map(|(cpu, datum)| (format!("cpu{cpu}"), datum.value(limits))),
            ),
            Held::Map(id) => Value::tree([("map", Value::Unsigned(*id))]),
            Held::Program(id) => Value::tree([("prog", Value::Unsigned(*id))]),
            Held::Pointer(at) => Value::Hex(*at),
        }
    }
}
