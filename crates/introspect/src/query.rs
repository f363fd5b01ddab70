//! What a person asks of a frozen kernel, in a few words: `rq`, `task 12`, `maps`,
//! `get runqueues[1].nr_running`, `read 0xffff… 64`.

use std::fmt;
use std::str::FromStr;

use guestmem::GuestVirt;
use record::Value;
use spec::KernelPath;

use crate::bpf::Bpf;
use crate::path::{self, Place};
use crate::{GuestKernel, Limits, ReadError, cgroup, irq, render, sched, task, workqueue};

/// A query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The runqueues at a glance, or all of a CPU's.
    Rq(Option<u32>),
    /// sched_ext's schedulers, their dispatch queues and the tasks in them.
    Dsq,
    /// All tasks, a line each.
    Ps,
    /// All of the task with this pid.
    Task(i64),
    /// The cgroups, and what they have used.
    Cgroups,
    /// Each CPU's times and interrupts.
    Irq,
    /// The pools of workers, and what they do.
    Wq,
    /// What a path leads to: its address, and its value by its type.
    Get(KernelPath),
    /// Bytes at an address.
    Read {
        /// Where.
        at: GuestVirt,
        /// How many.
        len: usize,
    },
    /// All BPF maps, with the first of their entries.
    Maps,
    /// The BPF maps of a name, or that with an id, with all entries.
    Map(String),
    /// All BPF programs.
    Progs,
}

/// The words are no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No query begins with this word.
    #[error("unknown query '{words}'; queries: {}", Query::HELP)]
    Unknown {
        /// All words.
        words: String,
    },
    /// The query has other arguments.
    #[error("query '{words}': {problem}; queries: {}", Query::HELP)]
    Arguments {
        /// All words.
        words: String,
        /// What is wrong.
        problem: String,
    },
}

/// Bytes that `read` shows unless it is told how many, and at the most.
const BYTES: usize = 64;
const MAX_BYTES: usize = 1 << 20;

/// Entries of a map that `maps` shows, and `map` at the most.
const ENTRIES: usize = 256;
const MAX_ENTRIES: usize = 1 << 16;

impl Query {
    /// All queries.
    pub const HELP: &'static str = "rq [CPU], dsq, ps, task PID, cgroups, irq, wq, maps, map NAME|ID, progs, get PATH, read ADDRESS [BYTES]";

    /// How many words a query with this first word has at the least and at the most, the first included.
    pub fn words(first: &str) -> Option<(usize, usize)> {
        match first {
            "rq" => Some((1, 2)),
            "dsq" | "ps" | "cgroups" | "irq" | "wq" | "maps" | "progs" => Some((1, 1)),
            "get" | "task" | "map" => Some((2, 2)),
            "read" => Some((2, 3)),
            _ => None,
        }
    }

    /// The answer. What cannot be read says why in its place.
    pub fn answer(&self, kernel: &GuestKernel<'_>) -> Value {
        let answer = match self {
            Query::Rq(None) => sched::runqueues(kernel),
            Query::Rq(Some(cpu)) => sched::runqueue(kernel, *cpu),
            Query::Dsq => sched::dispatch_queues(kernel),
            Query::Ps => task::list(kernel),
            Query::Task(pid) => task::by_pid(kernel, *pid).map(|task| task.value()),
            Query::Cgroups => cgroup::tree(kernel),
            Query::Irq => irq::list(kernel),
            Query::Wq => workqueue::pools(kernel),
            Query::Get(path) => return get(kernel, path),
            Query::Read { at, len } => bytes(kernel, *at, *len),
            Query::Maps => Ok(Bpf::of(kernel).maps_value(ENTRIES, &Limits::default())),
            Query::Map(name) => map(kernel, name),
            Query::Progs => Ok(Bpf::of(kernel).progs_value()),
        };
        answer.unwrap_or_else(|error| Value::missing(&error))
    }
}

fn get(kernel: &GuestKernel<'_>, path: &KernelPath) -> Value {
    let bpf = Bpf::of(kernel);
    let (address, declaration, value) = match path::resolve(&bpf, path) {
        Ok(Place::Typed(object)) => (
            object.address(),
            object.btf().declaration(object.type_id()),
            render(&object, &Limits::default()),
        ),
        Ok(Place::Bytes { at, bytes }) => {
            let mut word = [0; 8];
            let read = kernel.read(at, &mut word[..bytes as usize]);
            let value = Value::hex(read.map(|()| u64::from_le_bytes(word)));
            (at, format!("u{}", 8 * bytes), value)
        }
        Err(error) => return Value::missing(&error),
    };
    Value::tree([
        ("path", Value::from(path.to_string())),
        ("address", Value::Hex(address.0)),
        ("type", Value::from(declaration)),
        ("value", value),
    ])
}

fn map(kernel: &GuestKernel<'_>, name: &str) -> Result<Value, ReadError> {
    let limits = Limits {
        elements: MAX_ENTRIES,
        values: 1 << 20,
        ..Limits::default()
    };
    let bpf = Bpf::of(kernel);
    let maps = bpf.maps_named(name)?;
    if maps.is_empty() {
        return Err(ReadError::NotLoaded {
            kind: "map",
            name: name.to_owned(),
        });
    }
    Ok(maps.iter().map(|map| map.value(MAX_ENTRIES, &limits)).collect())
}

fn bytes(kernel: &GuestKernel<'_>, at: GuestVirt, len: usize) -> Result<Value, ReadError> {
    const ROW: usize = 16;
    let bytes = kernel.read_chunked(at, len)?;
    let row = |(index, row): (usize, &[u8])| {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '.'
            }
        };
        Value::tree([
            ("address", Value::Hex(at.wrapping_add((index * ROW) as u64).0)),
            ("bytes", hex.join(" ").into()),
            ("text", row.iter().map(printable).collect::<String>().into()),
        ])
    };
    Ok(bytes.chunks(ROW).enumerate().map(row).collect())
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Query, QueryError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let unknown = || QueryError::Unknown {
            words: text.to_owned(),
        };
        let refuse = |problem: &str| QueryError::Arguments {
            words: text.to_owned(),
            problem: problem.to_owned(),
        };
        let first = *words.first().ok_or_else(unknown)?;
        let (least, most) = Query::words(first).ok_or_else(unknown)?;
        if words.len() < least {
            return Err(refuse("an argument is missing"));
        }
        if words.len() > most {
            return Err(refuse("it has too many arguments"));
        }
        let argument = words.get(1).copied().unwrap_or_default();
        let number = |word: &str| parse(word).ok_or_else(|| refuse(&format!("{word} is not a number")));
        Ok(match first {
            "rq" if words.len() == 1 => Query::Rq(None),
            "rq" => {
                let cpu = u32::try_from(number(argument)?);
                Query::Rq(Some(cpu.map_err(|_| refuse("no such CPU"))?))
            }
            "dsq" => Query::Dsq,
            "ps" => Query::Ps,
            "task" => {
                let pid = i64::try_from(number(argument)?);
                Query::Task(pid.map_err(|_| refuse("no such pid"))?)
            }
            "cgroups" => Query::Cgroups,
            "irq" => Query::Irq,
            "wq" => Query::Wq,
            "get" => {
                let path = argument.parse::<KernelPath>();
                Query::Get(path.map_err(|error| refuse(&error.problem.to_string()))?)
            }
            "maps" => Query::Maps,
            "map" => Query::Map(argument.to_owned()),
            "progs" => Query::Progs,
            "read" => {
                let at = GuestVirt(number(argument)?);
                let len = match words.get(2) {
                    Some(len) => usize::try_from(number(len)?).unwrap_or(usize::MAX),
                    None => BYTES,
                };
                if len > MAX_BYTES {
                    return Err(refuse(&format!("{MAX_BYTES} bytes are the most")));
                }
                Query::Read { at, len }
            }
            _ => return Err(unknown()),
        })
    }
}

/// A number as C writes it, in decimal or hex.
fn parse(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Rq(None) => write!(f, "rq"),
            Query::Rq(Some(cpu)) => write!(f, "rq {cpu}"),
            Query::Dsq => write!(f, "dsq"),
            Query::Ps => write!(f, "ps"),
            Query::Task(pid) => write!(f, "task {pid}"),
            Query::Cgroups => write!(f, "cgroups"),
            Query::Irq => write!(f, "irq"),
            Query::Wq => write!(f, "wq"),
            Query::Get(path) => write!(f, "get {path}"),
            Query::Read { at, len } => write!(f, "read {at} {len}"),
            Query::Maps => write!(f, "maps"),
            Query::Map(name) => write!(f, "map {name}"),
            Query::Progs => write!(f, "progs"),
        }
    }
}
