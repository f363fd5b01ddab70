//! What a worker does: one file a type of work, with its data, its text form, its help and its checks. How a
//! worker does it is the crate `workload`'s.
//!
//! A new type is a file here that implements `Definition`, a line in the table below, and a file with its
//! behaviour in `workload`:
//!
//! ```text
//! spec/src/work/NAME.rs ──► works! ──► Work: names, forms, help, parsing, checks
//! workload/src/work/NAME.rs ◄──────────── behaviour(&Work)
//! ```

mod burst;
mod definition;
mod jitter;
mod pingpong;
mod program;
mod spin;
mod r#yield;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use burst::SleepBurst;
pub use definition::{Form, PartError, WorkType};
pub use jitter::{Jitter, JitterError};
pub use pingpong::PingPong;
pub use program::Program;
pub use spin::Spin;
pub use r#yield::Yield;

use definition::Definition;

/// The one value of a type without data, or the data: both as a pattern and as an expression.
macro_rules! value {
    ($unit:ident) => {
        $unit
    };
    ($type:ident $data:ident) => {
        $data
    };
}

/// The enum, and what is read off its list. A variant has the name of the type that defines it; a type with data is
/// held by its variant.
macro_rules! works {
    ($($(#[$doc:meta])* $name:ident $(($data:ident: $held:ident))?,)+) => {
        /// The work of one worker. Reads as it shows itself: `spin`, `burst/4ms/1ms`; the forms are in
        /// [`Work::TYPES`].
        ///
        /// The order of the variants is a part of the wire's format: new ones go to the end.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Work {
            $($(#[$doc])* $name $(($held))?,)+
        }

        impl Work {
            /// Every type of work, in the order of the variants.
            pub const TYPES: &'static [&'static WorkType] = &[$($name::TYPE),+];

            /// What is known about its type.
            pub fn work_type(&self) -> &'static WorkType {
                match self {
                    $(Work::$name { .. } => $name::TYPE,)+
                }
            }

            /// Does each worker draw random numbers, and need a generator of its own?
            pub fn is_random(&self) -> bool {
                match self {
                    $(Work::$name $(($data))? => value!($name $($data)?).is_random(),)+
                }
            }

            /// Can `count` workers perform it?
            pub fn check(&self, count: u32) -> Result<(), WorkersError> {
                let WorkType { name, team, .. } = *self.work_type();
                if !count.is_multiple_of(team) {
                    return Err(WorkersError::IncompleteTeam { name, team, count });
                }
                match self {
                    $(Work::$name $(($data))? => value!($name $($data)?).check(),)+
                }
            }

            /// The work of that name whose text form has these parts.
            fn parse(name: &str, parts: &[&str]) -> Result<Option<Work>, PartError> {
                $(if name == $name::TYPE.name {
                    return Ok($name::parse(parts)?.map(Work::from));
                })+
                Ok(None)
            }
        }

        impl fmt::Display for Work {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Work::$name $(($data))? => fmt::Display::fmt(&value!($name $($data)?), f),)+
                }
            }
        }

        $(impl From<$name> for Work {
            fn from(value!($name $($data)?): $name) -> Work {
                Work::$name $(($data))?
            }
        })+
    };
}

works! {
    /// Computes without end.
    Spin,
    /// Sleeps, then computes, in turn.
    SleepBurst(burst: SleepBurst),
    /// Two workers wake each other over a futex; every two successive workers of a spawn are a pair.
    PingPong,
    /// Executes a program that was put into the guest; the program counts no work units.
    Program(program: Program),
    /// Computes for a short time, then yields its CPU, in turn.
    Yield(r#yield: Yield),
}

impl Work {
    /// The name of its type.
    pub fn name(&self) -> &'static str {
        self.work_type().name
    }

    /// All text forms: `` `spin`, `burst`, `burst/SLEEP/BURST` (as in `burst/4ms/1ms`), … ``.
    pub fn all_forms() -> String {
        let forms = Work::TYPES.iter().flat_map(|work_type| work_type.forms);
        joined(forms, ", ")
    }

    /// All text forms, and what the workers of each type do.
    pub fn help() -> String {
        let written = Work::TYPES.iter().filter(|work_type| !work_type.forms.is_empty());
        let lines = written.map(|work_type| format!("{}: {}", joined(work_type.forms, ", "), work_type.help));
        joined(lines, "; ")
    }
}

fn joined(items: impl IntoIterator<Item = impl fmt::Display>, separator: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

/// A text that names no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// There is no such work, or not with that many parts.
    #[error("there is no work `{text}`; there are {}", Work::all_forms())]
    Unknown {
        /// The text.
        text: String,
    },
    /// A part of it is wrong.
    #[error("work `{text}`")]
    Part {
        /// The text.
        text: String,
        /// What is wrong.
        #[source]
        source: PartError,
    },
}

/// Workers that cannot perform their work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkersError {
    /// The last team lacks members.
    #[error(
        "{name} workers work in teams of {team}, and {count} is not a multiple of {team}; spawn another number"
    )]
    IncompleteTeam {
        /// The work.
        name: &'static str,
        /// How many work together.
        team: u32,
        /// How many were to be spawned.
        count: u32,
    },
    /// A program without arguments.
    #[error("a program needs at least its path as argument")]
    NoPath,
}

impl FromStr for Work {
    type Err = WorkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let name = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let work = Work::parse(name, &parts).map_err(|source| WorkError::Part {
            text: text.to_owned(),
            source,
        })?;
        work.ok_or_else(|| WorkError::Unknown {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn works_read_as_they_show_themselves() {
        for text in [
            "spin",
            "burst/4ms/1ms",
            "burst/1.5s/20us",
            "burst/4ms/1ms/1%",
            "burst/4ms/1ms/20%",
            "burst/4ms/1ms/100%",
            "pingpong",
        ] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_form_has_an_example_that_reads_as_a_work_of_its_type() {
        for work_type in Work::TYPES {
            for form in work_type.forms {
                let work: Work = form.example.parse().unwrap();
                assert_eq!(work.work_type(), *work_type, "{form}");
                let parts = |text: &str| text.split('/').count();
                assert_eq!(parts(form.text), parts(form.example), "{form}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_have_help() {
        let names: BTreeSet<&str> = Work::TYPES.iter().map(|work_type| work_type.name).collect();
        assert_eq!(names.len(), Work::TYPES.len());
        assert!(Work::TYPES.iter().all(|work_type| !work_type.help.is_empty()));
    }

    #[test]
    fn help_says_what_the_workers_of_each_type_do() {
        let help = Work::help();
        assert!(
            help.starts_with("`spin`: computes without end; `burst`, "),
            "{help}"
        );
        assert!(!help.contains("program"), "{help}");
    }

    #[test]
    fn unknown_work_names_what_there_is() {
        for text in [
            "spinn",
            "",
            "burst/4ms",
            "burst/4ms/1ms/20%/5",
            "spin/20%",
            "pingpong/",
            "program",
        ] {
            let error = text.parse::<Work>().unwrap_err();
            assert!(matches!(error, WorkError::Unknown { .. }), "{error:?}");
            let error = error.to_string();
            assert!(
                error.contains(&format!("`{text}`; there are `spin`, `burst`, ")),
                "{error}"
            );
            assert!(
                error.contains("`burst/SLEEP/BURST` (as in `burst/4ms/1ms`)"),
                "{error}"
            );
        }
    }

    #[test]
    fn workers_that_cannot_perform_their_work_are_refused() {
        let program = |argv: &[&str]| {
            Work::from(Program {
                argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            })
        };
        let check = |work: Work, count, expect: Result<(), WorkersError>| {
            assert_eq!(work.check(count), expect, "{count} × {work}");
        };
        check(Work::Spin, 3, Ok(()));
        check(Work::PingPong, 4, Ok(()));
        let incomplete = WorkersError::IncompleteTeam {
            name: "pingpong",
            team: 2,
            count: 3,
        };
        check(Work::PingPong, 3, Err(incomplete));
        check(program(&["/bin/true"]), 3, Ok(()));
        check(program(&[]), 1, Err(WorkersError::NoPath));
        check(program(&[""]), 1, Err(WorkersError::NoPath));
    }

    /// The bytes on the wire and the JSON in a record of each type that has shipped.
    #[test]
    fn formats_are_pinned() {
        let check = |work: Work, bytes: &[u8], json: &str| {
            assert_eq!(postcard::to_allocvec(&work).unwrap(), bytes, "{work}");
            assert_eq!(serde_json::to_string(&work).unwrap(), json);
            assert_eq!(postcard::from_bytes(bytes), Ok(work.clone()));
            assert_eq!(serde_json::from_str::<Work>(json).unwrap(), work);
        };
        check(Work::Spin, &[0], r#""Spin""#);
        check(
            "burst/300ns/7ns/20%".parse().unwrap(),
            &[1, 0xac, 0x02, 7, 20],
            r#"{"SleepBurst":{"sleep":300,"burst":7,"jitter":20}}"#,
        );
        check(Work::PingPong, &[2], r#""PingPong""#);
        let argv = vec!["/a".to_owned(), "b".to_owned()];
        check(
            Program { argv }.into(),
            &[3, 2, 2, b'/', b'a', 1, b'b'],
            r#"{"Program":{"argv":["/a","b"]}}"#,
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_reads_shows_what_reads_the_same(
            name in prop::sample::select(Work::TYPES.iter().map(|work_type| work_type.name).collect::<Vec<_>>()),
            parts in prop::collection::vec("[0-9]{0,4}(ms|us|s|%|.)?", 0..5),
        ) {
            let text = std::iter::once(name.to_owned()).chain(parts).collect::<Vec<_>>().join("/");
            if let Ok(work) = text.parse::<Work>() {
                prop_assert_eq!(work.to_string().parse(), Ok(work));
            }
        }
    }
}
