//! What a person asks of a frozen kernel, in a few words: `rq`, `task 12`, `maps`, `sym jiffies_64`, `read 0xffff… 64`.

use std::fmt;
use std::str::FromStr;

use guestmem::GuestVirt;
use record::Value;

use crate::bpf::Bpf;
use crate::{GuestKernel, Limits, ReadError, cgroup, irq, sched, task, workqueue};

/// A question.
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
    /// A symbol: its address and the 8 bytes there.
    Sym(String),
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

/// The words are no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{words}' cannot be asked: {why}; what can: {}", Query::HELP)]
pub struct QueryError {
    words: String,
    why: &'static str,
}

/// Bytes that `read` shows unless it is told how many, and at the most.
const BYTES: usize = 64;
const MOST_BYTES: usize = 1 << 20;

/// Entries of a map that `maps` shows, and `map` at the most.
const ENTRIES: usize = 256;
const MOST_ENTRIES: usize = 1 << 16;

impl Query {
    /// The questions that there are.
    pub const HELP: &'static str = "rq [CPU], dsq, ps, task PID, cgroups, irq, wq, maps, map NAME|ID, progs, sym NAME, read ADDRESS [BYTES]";

    /// How many words a question that begins with this word has at the least and at the most, itself included.
    pub fn words(first: &str) -> Option<(usize, usize)> {
        match first {
            "rq" => Some((1, 2)),
            "dsq" | "ps" | "cgroups" | "irq" | "wq" | "maps" | "progs" => Some((1, 1)),
            "sym" | "task" | "map" => Some((2, 2)),
            "read" => Some((2, 3)),
            _ => None,
        }
    }

    /// The answer; what cannot be read is told in it.
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
            Query::Sym(name) => symbol(kernel, name),
            Query::Read { at, len } => bytes(kernel, *at, *len),
            Query::Maps => Ok(Bpf::of(kernel).maps_value(ENTRIES, &Limits::default())),
            Query::Map(name) => map(kernel, name),
            Query::Progs => Ok(Bpf::of(kernel).progs_value()),
        };
        answer.unwrap_or_else(|error| Value::missing(&error))
    }
}

fn symbol(kernel: &GuestKernel<'_>, name: &str) -> Result<Value, ReadError> {
    let at = kernel.symbol(name)?;
    Ok(Value::tree([
        ("symbol", name.into()),
        ("address", Value::Hex(at.0)),
        ("u64", Value::hex(kernel.read_u64(at))),
    ]))
}

fn map(kernel: &GuestKernel<'_>, name: &str) -> Result<Value, ReadError> {
    let limits = Limits {
        elements: MOST_ENTRIES,
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
    Ok(maps.iter().map(|map| map.value(MOST_ENTRIES, &limits)).collect())
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
        let refuse = |why| QueryError {
            words: text.to_owned(),
            why,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let first = *words.first().ok_or_else(|| refuse("it is empty"))?;
        let (least, most) = Query::words(first).ok_or_else(|| refuse("there is no such question"))?;
        if !(least..=most).contains(&words.len()) {
            return Err(refuse("it has too many words, or too few"));
        }
        let number = |index: usize| {
            words
                .get(index)
                .map(|word| parse(word).ok_or_else(|| refuse("not a number")))
        };
        match first {
            "rq" => {
                let cpu = number(1).transpose()?.map(u32::try_from).transpose();
                Ok(Query::Rq(cpu.map_err(|_| refuse("no such CPU"))?))
            }
            "dsq" => Ok(Query::Dsq),
            "ps" => Ok(Query::Ps),
            "task" => {
                let pid = number(1).unwrap_or_else(|| Err(refuse("no pid")))?;
                let pid = i64::try_from(pid).map_err(|_| refuse("no such pid"))?;
                Ok(Query::Task(pid))
            }
            "cgroups" => Ok(Query::Cgroups),
            "irq" => Ok(Query::Irq),
            "wq" => Ok(Query::Wq),
            "sym" => Ok(Query::Sym(words[1].to_owned())),
            "maps" => Ok(Query::Maps),
            "map" => Ok(Query::Map(words[1].to_owned())),
            "progs" => Ok(Query::Progs),
            "read" => {
                let at = GuestVirt(number(1).unwrap_or_else(|| Err(refuse("no address")))?);
                let len = number(2).transpose()?.map_or(BYTES, |len| len as usize);
                if len > MOST_BYTES {
                    return Err(refuse("too many bytes"));
                }
                Ok(Query::Read { at, len })
            }
            _ => Err(refuse("there is no such question")),
        }
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
            Query::Sym(name) => write!(f, "sym {name}"),
            Query::Read { at, len } => write!(f, "read {at} {len}"),
            Query::Maps => write!(f, "maps"),
            Query::Map(name) => write!(f, "map {name}"),
            Query::Progs => write!(f, "progs"),
        }
    }
}
