//! What the rig reads, as plain data: two looks can be compared.

use std::collections::BTreeMap;

use introspect::bpf::{Bpf, Datum, Entry, Held, Key, Map, Program};
use introspect::{GuestKernel, Limits, ReadError};
use record::Value;

/// A number or a word: whatever `bpftool` writes in one place.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Leaf {
    Number(i128),
    Word(String),
}

/// All programs and maps by id.
pub(super) struct Seen {
    pub(super) progs: BTreeMap<u64, Fields>,
    pub(super) maps: BTreeMap<u64, SeenMap>,
}

/// Values by `bpftool`'s names for them.
pub(super) type Fields = BTreeMap<String, Leaf>;

pub(super) struct SeenMap {
    pub(super) kind: String,
    /// `bpftool` tells kinds that it is too old for by their numbers.
    pub(super) number: u64,
    pub(super) value_size: u64,
    pub(super) fields: Fields,
    /// By the key's bytes.
    pub(super) entries: BTreeMap<Vec<u8>, SeenEntry>,
    /// Contents are known to the rig.
    pub(super) readable: bool,
}

#[derive(Default)]
pub(super) struct SeenEntry {
    /// Bytes that are not compared.
    pub(super) front: usize,
    /// Bytes; with a CPU in front of those that each CPU has its own of.
    pub(super) raw: BTreeMap<String, Vec<u8>>,
    /// By the paths of their fields.
    pub(super) leaves: Fields,
}

impl Leaf {
    pub(super) fn word(word: impl Into<String>) -> Leaf {
        Leaf::Word(word.into())
    }

    fn of(value: &Value) -> Leaf {
        match value {
            Value::Bool(yes) => Leaf::Number((*yes).into()),
            Value::Int(number) | Value::Time(number) => Leaf::Number((*number).into()),
            Value::Unsigned(number) | Value::Hex(number) => Leaf::Number((*number).into()),
            Value::Text(text) => Leaf::word(text),
            other => Leaf::word(format!("{other:?}")),
        }
    }
}

impl From<u64> for Leaf {
    fn from(number: u64) -> Leaf {
        Leaf::Number(number.into())
    }
}

impl Seen {
    pub(super) fn of(kernel: &GuestKernel<'_>) -> Result<Seen, ReadError> {
        let bpf = Bpf::of(kernel);
        let mut seen = Seen {
            progs: BTreeMap::new(),
            maps: BTreeMap::new(),
        };
        for prog in bpf.progs()? {
            seen.progs.insert(prog.id()?, program(&prog)?);
        }
        for map in bpf.maps()? {
            seen.maps.insert(map.id()?, self::map(&map)?);
        }
        Ok(seen)
    }
}

/// All types and all links, by id.
pub(super) fn others(kernel: &GuestKernel<'_>) -> Result<[BTreeMap<u64, Fields>; 2], ReadError> {
    let bpf = Bpf::of(kernel);
    let (mut btfs, mut links) = (BTreeMap::new(), BTreeMap::new());
    for btf in bpf.btfs()? {
        // They are read whole, and parsed.
        btf.types()?;
        btfs.insert(btf.id()?, Fields::from([("size".to_owned(), btf.size()?.into())]));
    }
    for link in bpf.links()? {
        let kind = brief(&link.kind()?, "BPF_LINK_TYPE_");
        links.insert(link.id()?, Fields::from([("type".to_owned(), Leaf::word(kind))]));
    }
    Ok([btfs, links])
}

fn program(prog: &Program<'_>) -> Result<Fields, ReadError> {
    const NAME_LEN: usize = 15;
    let (name, stats) = (prog.name()?, prog.stats()?);
    let name = match prog.full_name()? {
        Some(full) if name.len() == NAME_LEN => full,
        _ => name,
    };
    let maps: Result<Vec<_>, _> = prog.used_maps()?.iter().map(Map::id).collect();
    let mut fields = Fields::from([
        ("name".to_owned(), Leaf::word(name)),
        (
            "type".to_owned(),
            Leaf::word(brief(&prog.kind()?, "BPF_PROG_TYPE_")),
        ),
        ("tag".to_owned(), Leaf::word(prog.tag()?)),
        ("bytes_xlated".to_owned(), prog.xlated_len()?.into()),
        ("bytes_jited".to_owned(), prog.jited_len()?.into()),
        ("bytes_memlock".to_owned(), (prog.pages()? * 4096).into()),
        ("run_cnt".to_owned(), stats.cnt.into()),
        ("run_time_ns".to_owned(), stats.nsecs.into()),
        ("map_ids".to_owned(), Leaf::word(format!("{:?}", maps?))),
    ]);
    if let Some(types) = prog.types()? {
        fields.insert("btf_id".to_owned(), types.id()?.into());
    }
    Ok(fields)
}

fn map(map: &Map<'_>) -> Result<SeenMap, ReadError> {
    let kind = brief(&map.kind()?, "BPF_MAP_TYPE_");
    let mut fields = Fields::from([
        ("name".to_owned(), Leaf::word(map.name()?)),
        ("type".to_owned(), Leaf::word(kind.clone())),
        ("flags".to_owned(), map.flags()?.into()),
        ("bytes_key".to_owned(), map.key_size()?.into()),
        ("bytes_value".to_owned(), map.value_size()?.into()),
        ("max_entries".to_owned(), map.max_entries()?.into()),
        ("frozen".to_owned(), Leaf::Number(map.frozen()?.into())),
    ]);
    if kind != "queue" {
        fields.insert("bytes_memlock".to_owned(), map.mem_usage()?.into());
    }
    if let Some(types) = map.types()? {
        fields.insert("btf_id".to_owned(), types.id()?.into());
    }
    let contents = map.contents(1 << 16);
    let readable = contents.is_ok();
    let mut entries = BTreeMap::new();
    if let Ok(contents) = contents {
        if let Some(problem) = contents.problem {
            return Err(problem);
        }
        for entry in &contents.entries {
            entries.insert(key(entry)?, self::entry(entry, &kind)?);
        }
    }
    Ok(SeenMap {
        number: map.object().u64("map_type")?,
        value_size: map.value_size()?,
        kind,
        fields,
        entries,
        readable,
    })
}

/// `BPF_MAP_TYPE_LRU_HASH` as `bpftool` writes it.
fn brief(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

fn key(entry: &Entry<'_>) -> Result<Vec<u8>, ReadError> {
    match &entry.key {
        Key::Index(index) => Ok((*index as u32).to_le_bytes().to_vec()),
        Key::Data(datum) => datum.bytes(),
        Key::Owner(owner) => Ok(pid_key(owner.i64("pid").or_else(|_| owner.i64("kn->id"))?)),
    }
}

/// Tasks by their numbers.
pub(super) fn pid_key(pid: i64) -> Vec<u8> {
    pid.to_le_bytes().to_vec()
}

pub(super) fn pid(key: &[u8]) -> i64 {
    i64::from_le_bytes(key.try_into().unwrap())
}

fn entry(entry: &Entry<'_>, kind: &str) -> Result<SeenEntry, ReadError> {
    let mut seen = SeenEntry::default();
    match &entry.value {
        Held::One(datum) => {
            seen.raw.insert(String::new(), datum.bytes()?);
            seen.leaves = leaves(datum, kind);
            seen.front = front(datum, kind)?;
        }
        Held::PerCpu(data) => {
            for (cpu, datum) in data {
                seen.raw.insert(format!("cpu{cpu}"), datum.bytes()?);
            }
        }
        Held::Map(id) | Held::Program(id) => {
            seen.raw
                .insert(String::new(), (*id as u32).to_le_bytes().to_vec());
        }
        Held::Pointer(_) => {}
    }
    Ok(seen)
}

/// Where an ops struct begins behind reference count and state, which the system call makes up; else 0.
fn front(datum: &Datum<'_>, kind: &str) -> Result<usize, ReadError> {
    match datum.object().filter(|_| kind == "struct_ops") {
        Some(object) => Ok((object.field("data")?.address().0 - object.address().0) as usize),
        None => Ok(0),
    }
}

fn leaves(datum: &Datum<'_>, kind: &str) -> Fields {
    if datum.object().is_none() {
        return Fields::new();
    }
    let limits = Limits {
        elements: 1 << 16,
        values: 1 << 20,
        ..Limits::default()
    };
    let value = datum.value(&limits);
    let leaves = value.leaves();
    leaves
        .into_iter()
        .filter(|(path, _)| kind != "struct_ops" || path.starts_with("data."))
        // Names with dots are quoted in paths.
        .map(|(path, value)| (path.replace('"', ""), Leaf::of(value)))
        .collect()
}
