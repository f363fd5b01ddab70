//! Which scheduler runs: a program by name or path with arguments, or the kernel's own.

use std::fmt;
use std::str::FromStr;

/// The word for the kernel's own scheduler.
const EEVDF: &str = "eevdf";

/// A scheduler as it is asked for: `eevdf`, `scx_bpfland`, `./scx_baton --starve-nth 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerSpec {
    /// The kernel's own.
    Eevdf,
    /// A program that attaches a sched_ext scheduler.
    Program {
        /// Its name or path.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// A text that names no scheduler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchedulerSpecError {
    /// It is empty.
    #[error("a scheduler is `eevdf`, or a program's name or path with its arguments, and this text is empty")]
    Empty,
    /// The kernel's own scheduler has arguments.
    #[error(
        "`eevdf` is the kernel's own scheduler and takes no arguments; its settings are sysctls and kernel arguments"
    )]
    Arguments,
}

impl FromStr for SchedulerSpec {
    type Err = SchedulerSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(str::to_owned);
        match words.next() {
            None => Err(SchedulerSpecError::Empty),
            Some(word) if word == EEVDF => match words.next() {
                None => Ok(SchedulerSpec::Eevdf),
                Some(_) => Err(SchedulerSpecError::Arguments),
            },
            Some(program) => Ok(SchedulerSpec::Program {
                program,
                args: words.collect(),
            }),
        }
    }
}

impl fmt::Display for SchedulerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchedulerSpec::Eevdf => f.write_str(EEVDF),
            SchedulerSpec::Program { program, args } => {
                f.write_str(program)?;
                args.iter().try_for_each(|arg| write!(f, " {arg}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_read_as_they_show_themselves() {
        for text in ["eevdf", "scx_bpfland", "./scx_baton --starve-nth 3"] {
            assert_eq!(text.parse::<SchedulerSpec>().unwrap().to_string(), text);
        }
        assert!(" ".parse::<SchedulerSpec>().is_err());
        assert!("eevdf --x".parse::<SchedulerSpec>().is_err());
    }
}
