//! The one spelling of a place in a guest's kernel: for watches, kernel ops, snapshots and the command line.
//!
//! ```text
//! runqueues[1].nr_running           a field of a per-CPU variable
//! task[112].scx.dsq_vtime           a field of a task, by its pid
//! scx_root->exit_kind.counter       a field behind a pointer
//! nr_enqueued, cpu_vtime[3]         a variable of a BPF program, or an element of one
//! dsq[0x2].nr                       a field of a dispatch queue, by its id
//! map[stats][3].count               an element of a BPF map, by its key; without a key of a map with one entry
//! jiffies_64, sysctl_x:4            a symbol: 8 bytes, or as many as it says
//! kva[0xffffffff82000000]:4         an address of the kernel; direct[0x…] is one of the direct map of RAM
//! ```
//!
//! This file parses and prints. What a path leads to is for whoever reads a kernel (`introspect`) or a snapshot (`record`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of the longest path.
pub const MAX_KERNEL_PATH: usize = 512;

/// The path to a place in a kernel: where it begins, and the steps from there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KernelPath {
    root: PathRoot,
    steps: Vec<PathStep>,
    bytes: Option<u8>,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathRoot {
    /// The task with this pid.
    Task(u32),
    /// The dispatch queue with this id.
    Dsq(u64),
    /// The BPF map with this name, or with this id.
    Map(String),
    /// An address of the kernel's half.
    Address(u64),
    /// An address in the direct map of RAM.
    Direct(u64),
    /// A symbol of the kernel, or else a variable of a BPF program. An index that follows a per-CPU symbol is a CPU.
    Name(String),
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathStep {
    /// `.name`: a field.
    Field(String),
    /// `->name`: a field behind a pointer.
    Arrow(String),
    /// `[3]`: an element.
    Index(u64),
}

/// A text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no kernel path: {problem}; write one as `runqueues[1].nr_running`, `task[112].scx.weight` or `jiffies_64`"
)]
pub struct KernelPathError {
    /// The text, or the beginning of it.
    pub text: String,
    /// What is wrong with it.
    pub problem: PathProblem,
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// More than [`MAX_KERNEL_PATH`].
    #[error("it has {len} bytes, and {MAX_KERNEL_PATH} are the most")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A name should be there.
    #[error("a name of letters, digits and `_` is missing at byte {at}")]
    Name {
        /// Where.
        at: usize,
    },
    /// What is in brackets is no number.
    #[error("`[{found}]` is no number of the range that is needed there")]
    Number {
        /// What it is.
        found: String,
    },
    /// What is in brackets is no name of a map.
    #[error("`map[…]` holds the name of a map or its id")]
    Map,
    /// A bracket is not closed.
    #[error("the bracket at byte {at} is not closed")]
    Bracket {
        /// Where it is.
        at: usize,
    },
    /// A size that nothing is stored with.
    #[error("a size is 1, 2, 4 or 8, not `{found}`")]
    Bytes {
        /// What it is.
        found: String,
    },
    /// A size behind a field.
    #[error("a size is for a bare symbol or address; a field has its own")]
    SizedField,
    /// Something that is no step.
    #[error("at byte {at} only `.`, `->`, `[` or `:` can follow")]
    Step {
        /// Where.
        at: usize,
    },
}

impl KernelPath {
    /// A symbol, or a variable of a BPF program.
    ///
    /// # Errors
    /// [`KernelPathError`] for what is no name.
    pub fn name(name: &str) -> Result<KernelPath, KernelPathError> {
        let path: KernelPath = name.parse()?;
        match path.root {
            PathRoot::Name(_) if path.steps.is_empty() && path.bytes.is_none() => Ok(path),
            _ => Err(refused(name, PathProblem::Name { at: 0 })),
        }
    }

    /// Where it begins.
    pub fn root(&self) -> &PathRoot {
        &self.root
    }

    /// The steps from there.
    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The size of a bare symbol or address, in bytes, where the path tells one: 1, 2, 4 or 8.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes.map(u64::from)
    }
}

impl PathStep {
    /// Steps as a path of fields, without the dot or the arrow of the first: `scx.flags`, `[3]`, `next->pid`.
    pub fn fields(steps: &[PathStep]) -> String {
        use fmt::Write;
        let mut text = String::new();
        for (index, step) in steps.iter().enumerate() {
            let _ = match step {
                PathStep::Field(name) | PathStep::Arrow(name) if index == 0 => write!(text, "{name}"),
                step => write!(text, "{step}"),
            };
        }
        text
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathStep::Field(name) => write!(f, ".{name}"),
            PathStep::Arrow(name) => write!(f, "->{name}"),
            PathStep::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for PathRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathRoot::Task(pid) => write!(f, "task[{pid}]"),
            PathRoot::Dsq(id) => write!(f, "dsq[{id:#x}]"),
            PathRoot::Map(name) => write!(f, "map[{name}]"),
            PathRoot::Address(at) => write!(f, "kva[{at:#x}]"),
            PathRoot::Direct(at) => write!(f, "direct[{at:#x}]"),
            PathRoot::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        for step in &self.steps {
            write!(f, "{step}")?;
        }
        match self.bytes {
            Some(bytes) => write!(f, ":{bytes}"),
            None => Ok(()),
        }
    }
}

impl FromStr for KernelPath {
    type Err = KernelPathError;

    fn from_str(text: &str) -> Result<KernelPath, KernelPathError> {
        let parsed = match text.len() {
            len if len > MAX_KERNEL_PATH => Err(PathProblem::TooLong { len }),
            _ => Parser { text, at: 0 }.path(),
        };
        parsed.map_err(|problem| refused(text, problem))
    }
}

impl From<KernelPath> for String {
    fn from(path: KernelPath) -> String {
        path.to_string()
    }
}

impl TryFrom<String> for KernelPath {
    type Error = KernelPathError;

    fn try_from(text: String) -> Result<KernelPath, KernelPathError> {
        text.parse()
    }
}

fn refused(text: &str, problem: PathProblem) -> KernelPathError {
    /// Characters of a text that an error shows.
    const SHOWN: usize = 80;
    let text = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    KernelPathError { text, problem }
}

/// Takes a path apart, from the left.
struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn path(mut self) -> Result<KernelPath, PathProblem> {
        let root = self.root()?;
        let mut steps = Vec::new();
        let mut bytes = None;
        while !self.rest().is_empty() {
            if self.takes("->") {
                steps.push(PathStep::Arrow(self.name()?.to_owned()));
            } else if self.takes(".") {
                steps.push(PathStep::Field(self.name()?.to_owned()));
            } else if self.rest().starts_with('[') {
                steps.push(PathStep::Index(number(self.brackets()?)?));
            } else if self.takes(":") {
                bytes = Some(size(self.rest())?);
                self.at = self.text.len();
            } else {
                return Err(PathProblem::Step { at: self.at });
            }
        }
        let can_have_size = matches!(
            root,
            PathRoot::Name(_) | PathRoot::Address(_) | PathRoot::Direct(_)
        );
        if bytes.is_some() && !(can_have_size && steps.is_empty()) {
            return Err(PathProblem::SizedField);
        }
        Ok(KernelPath { root, steps, bytes })
    }

    fn root(&mut self) -> Result<PathRoot, PathProblem> {
        let name = self.name()?;
        if !self.rest().starts_with('[') {
            return Ok(PathRoot::Name(name.to_owned()));
        }
        Ok(match name {
            "task" => PathRoot::Task(number(self.brackets()?)?),
            "dsq" => PathRoot::Dsq(number(self.brackets()?)?),
            "kva" => PathRoot::Address(number(self.brackets()?)?),
            "direct" => PathRoot::Direct(number(self.brackets()?)?),
            "map" => {
                let name = self.brackets()?;
                if name.is_empty() || name.contains(|char: char| char == '[' || char.is_control()) {
                    return Err(PathProblem::Map);
                }
                PathRoot::Map(name.to_owned())
            }
            _ => PathRoot::Name(name.to_owned()),
        })
    }

    fn name(&mut self) -> Result<&'t str, PathProblem> {
        let rest = self.rest();
        let of_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '$';
        let len = rest.find(|char| !of_name(char)).unwrap_or(rest.len());
        let name = &rest[..len];
        if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) {
            return Err(PathProblem::Name { at: self.at });
        }
        self.at += len;
        Ok(name)
    }

    /// What is in the brackets that begin here.
    fn brackets(&mut self) -> Result<&'t str, PathProblem> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let (inside, _) = inside
            .split_once(']')
            .ok_or(PathProblem::Bracket { at: self.at })?;
        self.at += inside.len() + 2;
        Ok(inside)
    }

    fn takes(&mut self, token: &str) -> bool {
        let takes = self.rest().starts_with(token);
        self.at += if takes { token.len() } else { 0 };
        takes
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }
}

/// A number as C writes it, in decimal or hex, without a sign.
fn number<N: TryFrom<u64>>(text: &str) -> Result<N, PathProblem> {
    let digits = |text: &str| text.starts_with(|char: char| char.is_ascii_hexdigit());
    let parsed = match text.strip_prefix("0x") {
        Some(hex) if digits(hex) => u64::from_str_radix(hex, 16).ok(),
        None if digits(text) => text.parse().ok(),
        _ => None,
    };
    let number = parsed.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| PathProblem::Number {
        found: text.to_owned(),
    })
}

fn size(text: &str) -> Result<u8, PathProblem> {
    match text {
        "1" => Ok(1),
        "2" => Ok(2),
        "4" => Ok(4),
        "8" => Ok(8),
        _ => Err(PathProblem::Bytes {
            found: text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_is_read_and_printed() {
        let field = |name: &str| PathStep::Field(name.to_owned());
        let arrow = |name: &str| PathStep::Arrow(name.to_owned());
        let name = |name: &str| PathRoot::Name(name.to_owned());
        let check = |text: &str, root: PathRoot, steps: &[PathStep], bytes: Option<u8>| {
            let path: KernelPath = text.parse().unwrap();
            let expect = KernelPath {
                root,
                steps: steps.to_vec(),
                bytes,
            };
            assert_eq!(path, expect);
            assert_eq!(path.to_string(), text);
        };
        check(
            "runqueues[1].nr_running",
            name("runqueues"),
            &[PathStep::Index(1), field("nr_running")],
            None,
        );
        check(
            "task[112].scx.dsq_vtime",
            PathRoot::Task(112),
            &[field("scx"), field("dsq_vtime")],
            None,
        );
        check(
            "scx_root->exit_kind.counter",
            name("scx_root"),
            &[arrow("exit_kind"), field("counter")],
            None,
        );
        check("cpu_vtime[3]", name("cpu_vtime"), &[PathStep::Index(3)], None);
        check("jiffies_64", name("jiffies_64"), &[], None);
        check("sysctl_x:4", name("sysctl_x"), &[], Some(4));
        check("dsq[0x2].nr", PathRoot::Dsq(2), &[field("nr")], None);
        check(
            "map[baton.bss].nr_enqueued",
            PathRoot::Map("baton.bss".into()),
            &[field("nr_enqueued")],
            None,
        );
        check(
            "kva[0xff00000000000000]:8",
            PathRoot::Address(0xff << 56),
            &[],
            Some(8),
        );
        check("direct[0x10]", PathRoot::Direct(16), &[], None);
        // A task is one by its pid only; the word alone is a name like others.
        check("task", name("task"), &[], None);
    }

    #[test]
    fn numbers_are_decimal_or_hex() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<KernelPath>().unwrap().to_string(), expect);
        };
        check("runqueues[0x1].nr_running", "runqueues[1].nr_running");
        check("dsq[2].nr", "dsq[0x2].nr");
        check("task[0x70]", "task[112]");
    }

    #[test]
    fn a_text_that_is_no_path_says_what_is_wrong() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<KernelPath>().unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
            assert!(error.contains("write one as"), "{error}");
        };
        check("", "missing at byte 0");
        check("1x", "missing at byte 0");
        check("a.", "missing at byte 2");
        check("a->", "missing at byte 3");
        check("a b", "at byte 1 only");
        check("runqueues[1", "the bracket at byte 9 is not closed");
        check("runqueues[-1]", "`[-1]` is no number");
        check("runqueues[+1]", "`[+1]` is no number");
        check("task[x]", "`[x]` is no number");
        check("task[4294967296]", "no number");
        check("dsq[0x]", "`[0x]` is no number");
        check("map[]", "the name of a map");
        check("jiffies:3", "1, 2, 4 or 8");
        check("jiffies:", "1, 2, 4 or 8");
        check("a.b:4", "a field has its own");
        check("task[1]:4", "a field has its own");
        check(&"x".repeat(513), "513 bytes");
    }

    #[test]
    fn fields_are_the_path_from_the_second_name_on() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                PathStep::fields(text.parse::<KernelPath>().unwrap().steps()),
                expect
            );
        };
        check("task[1].scx.flags", "scx.flags");
        check("a->b.c[3]->d", "b.c[3]->d");
        check("a[3].b", "[3].b");
        check("a", "");
    }

    fn names() -> impl Strategy<Value = String> {
        "[a-zA-Z_$][a-zA-Z0-9_$]{0,12}"
    }

    fn paths() -> impl Strategy<Value = KernelPath> {
        // Words that are more than a name where a bracket follows.
        let bare = names().prop_filter("a root of its own", |name| {
            !["task", "dsq", "map", "kva", "direct"].contains(&name.as_str())
        });
        let root = prop_oneof![
            any::<u32>().prop_map(PathRoot::Task),
            any::<u64>().prop_map(PathRoot::Dsq),
            "[a-zA-Z0-9_.]{1,15}".prop_map(PathRoot::Map),
            any::<u64>().prop_map(PathRoot::Address),
            any::<u64>().prop_map(PathRoot::Direct),
            bare.prop_map(PathRoot::Name),
        ];
        let step = prop_oneof![
            names().prop_map(PathStep::Field),
            names().prop_map(PathStep::Arrow),
            any::<u64>().prop_map(PathStep::Index),
        ];
        let size = prop::option::of(prop::sample::select(vec![1u8, 2, 4, 8]));
        (root, prop::collection::vec(step, 0..6), size).prop_map(|(root, steps, bytes)| {
            let bare = matches!(
                root,
                PathRoot::Name(_) | PathRoot::Address(_) | PathRoot::Direct(_)
            );
            let bytes = bytes.filter(|_| bare && steps.is_empty());
            KernelPath { root, steps, bytes }
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(path in paths()) {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<KernelPath>();
        }

        #[test]
        fn what_is_read_is_printed_and_read_the_same(text in "[a-c_0-9\\[\\].:>x-]{0,24}") {
            if let Ok(path) = text.parse::<KernelPath>() {
                prop_assert_eq!(path.to_string().parse(), Ok(path));
            }
        }
    }
}
