//! Checks as text: `kernel`, `starvation=500ms`, `share:a,b=10%`, `fair:a`.

use record::{Expectation, Percent, PercentError};
use spec::{GroupName, GroupNameError, Nanos, NanosError};

use crate::table::{Form, KINDS, Kind, TOLERANCE, kind};

/// A text that is no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckTextError {
    /// No check is called so.
    #[error("unknown check `{name}`; checks: {}", usages())]
    Unknown {
        /// The name.
        name: String,
    },
    /// It takes something else than what was given.
    #[error("`{text}` is not how this check is written; write {usage}")]
    Form {
        /// The whole text.
        text: String,
        /// How it is written.
        usage: String,
    },
    /// A limit of nothing, which nobody can keep.
    #[error("check `{text}`: a limit is more than 0, as in `1ms`")]
    Zero {
        /// The text.
        text: String,
    },
    /// Its limit is no span of time.
    #[error("the limit in `{text}`: {source}")]
    Limit {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        source: NanosError,
    },
    /// Its tolerance is none.
    #[error("the tolerance in `{text}`: {source}")]
    Tolerance {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        source: PercentError,
    },
    /// A group has no valid name.
    #[error("the group in `{text}`: {source}")]
    Group {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        source: GroupNameError,
    },
}

/// The check that a text names.
///
/// # Errors
/// [`CheckTextError`], with what can be written instead.
pub fn parse(text: &str) -> Result<Expectation, CheckTextError> {
    let (head, value) = match text.split_once('=') {
        None => (text, None),
        Some((head, value)) => (head, Some(value)),
    };
    let (name, groups) = match head.split_once(':') {
        None => (head, None),
        Some((name, groups)) => (name, Some(groups)),
    };
    let unknown = || CheckTextError::Unknown {
        name: name.to_owned(),
    };
    let kind = KINDS.iter().find(|kind| kind.name == name).ok_or_else(unknown)?;
    match (&kind.form, groups, value) {
        (Form::Bare(expectation), None, None) => Ok(expectation.clone()),
        (Form::Limit(limit, make), None, value) => {
            let limit = value.map_or(Ok(*limit), str::parse);
            let limit: Nanos = limit.map_err(|source| CheckTextError::Limit {
                text: text.to_owned(),
                source,
            })?;
            match limit {
                Nanos::ZERO => Err(CheckTextError::Zero {
                    text: text.to_owned(),
                }),
                limit => Ok(make(limit)),
            }
        }
        (Form::Percent(limit, make), None, value) => Ok(make(percent(text, value, *limit)?)),
        (Form::Groups(make), Some(groups), value) => {
            let groups = groups.split(',').map(|name| group(text, name));
            Ok(make(
                groups.collect::<Result<_, _>>()?,
                percent(text, value, TOLERANCE)?,
            ))
        }
        (Form::Group(make), Some(name), value) => {
            Ok(make(group(text, name)?, percent(text, value, TOLERANCE)?))
        }
        _ => Err(CheckTextError::Form {
            text: text.to_owned(),
            usage: kind.usage(),
        }),
    }
}

fn group(text: &str, name: &str) -> Result<GroupName, CheckTextError> {
    name.parse().map_err(|source| CheckTextError::Group {
        text: text.to_owned(),
        source,
    })
}

fn percent(text: &str, value: Option<&str>, default: Percent) -> Result<Percent, CheckTextError> {
    value
        .map_or(Ok(default), str::parse)
        .map_err(|source| CheckTextError::Tolerance {
            text: text.to_owned(),
            source,
        })
}

/// The text that [`parse`] reads as that check.
pub fn text(expectation: &Expectation) -> String {
    let name = kind(expectation).name;
    match expectation {
        Expectation::SchedulerHealthy
        | Expectation::SomethingRan
        | Expectation::NoLostWorkers
        | Expectation::KernelClean
        | Expectation::CpusetsHonoured
        | Expectation::CpusAdvance => name.to_owned(),
        Expectation::NoStall { limit }
        | Expectation::NoStarvation { limit }
        | Expectation::WorkConserving { limit } => format!("{name}={}", limit.typed()),
        Expectation::NoLostTime { limit } => format!("{name}={}%", limit.0),
        Expectation::GroupShare { groups, within } => {
            let groups: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
            format!("{name}:{}={}%", groups.join(","), within.0)
        }
        Expectation::WorkerShare { group, within } => format!("{name}:{group}={}%", within.0),
    }
}

impl Kind {
    /// How it is written, as in `starvation[=LIMIT]`.
    pub fn usage(&self) -> String {
        let name = self.name;
        match self.form {
            Form::Bare(_) => name.to_owned(),
            Form::Limit(..) => format!("{name}[=LIMIT]"),
            Form::Percent(..) => format!("{name}[=PERCENT]"),
            Form::Groups(_) => format!("{name}:GROUP,GROUP[=PERCENT]"),
            Form::Group(_) => format!("{name}:GROUP[=PERCENT]"),
        }
    }

    /// What stands for what is left out, as in `1s`; `None` where nothing can be.
    fn default_value(&self) -> Option<String> {
        match self.form {
            Form::Bare(_) => None,
            Form::Limit(limit, _) => Some(format!("LIMIT is {limit} by default")),
            Form::Percent(limit, _) => Some(format!("PERCENT is {} by default", limit.0)),
            Form::Groups(_) | Form::Group(_) => Some(format!("PERCENT is {} by default", TOLERANCE.0)),
        }
    }
}

fn usages() -> String {
    let usages: Vec<String> = KINDS.iter().map(|kind| format!("`{}`", kind.usage())).collect();
    usages.join(", ")
}

/// All checks with what they promise, a line each.
pub fn help() -> String {
    let lines = KINDS.iter().map(|kind| {
        let default = kind
            .default_value()
            .map_or_else(String::new, |value| format!("; {value}"));
        format!("{:<32}{}{default}\n", kind.usage(), kind.help)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spec::Nanos;

    use super::*;

    #[test]
    fn a_check_reads_by_name_limit_groups_and_tolerance() {
        let check = |text: &str, expect: Expectation| assert_eq!(parse(text), Ok(expect), "{text}");
        let name = |name: &str| name.parse::<GroupName>().unwrap();
        check("kernel", Expectation::KernelClean);
        let limit = Nanos::from_millis(500);
        check("starvation=500ms", Expectation::NoStarvation { limit });
        let limit = crate::IDLE_LIMIT;
        check("work-conservation", Expectation::WorkConserving { limit });
        let (groups, within) = (vec![name("a"), name("b")], Percent(2.5));
        check("share:a,b=2.5%", Expectation::GroupShare { groups, within });
        let (group, within) = (name("a"), TOLERANCE);
        check("fair:a", Expectation::WorkerShare { group, within });
    }

    #[test]
    fn what_is_no_check_is_refused_with_what_can_be_written() {
        for (text, expect) in [
            (
                "starve",
                "unknown check `starve`; checks: `scheduler`, `ran`, `stall[=LIMIT]`, `starvation[=LIMIT]`",
            ),
            ("", "unknown check ``"),
            ("kernel=1s", "write kernel"),
            ("stall:a", "write stall[=LIMIT]"),
            ("share", "write share:GROUP,GROUP[=PERCENT]"),
            ("stall=1", "the limit in `stall=1`: `1` is not a span of time"),
            ("fair:a=101", "the tolerance in `fair:a=101`"),
            ("share:a,,b", "the group in `share:a,,b`"),
            ("share:a b", "the group in `share:a b`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }

    #[test]
    fn every_kind_has_help_and_a_name_of_its_own() {
        let help = help();
        assert_eq!(help.lines().count(), KINDS.len());
        let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        assert!(
            help.contains("stall[=LIMIT]") && help.contains("; LIMIT is 50ms by default"),
            "{help}"
        );
    }

    fn expectation() -> impl Strategy<Value = Expectation> {
        let limit = (0u64..1_000_000).prop_map(Nanos::from_millis);
        let within = (0u32..=1000).prop_map(|tenths| Percent(f64::from(tenths) / 10.0));
        let group = "[a-z0-9_-]{1,32}".prop_map(|name| name.parse::<GroupName>().unwrap());
        prop_oneof![
            proptest::sample::select(crate::defaults()),
            limit.prop_map(|limit| Expectation::NoStall { limit }),
            (prop::collection::vec(group.clone(), 1..4), within.clone())
                .prop_map(|(groups, within)| Expectation::GroupShare { groups, within }),
            (group, within).prop_map(|(group, within)| Expectation::WorkerShare { group, within }),
        ]
    }

    proptest! {
        #[test]
        fn a_check_reads_as_it_is_written(expectation in expectation()) {
            prop_assert_eq!(parse(&text(&expectation)), Ok(expectation));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|(stall|share|fair|kernel)[:=,a-z0-9%.]{0,12}") {
            if let Ok(expectation) = parse(&text) {
                prop_assert_eq!(parse(&super::text(&expectation)), Ok(expectation));
            }
        }
    }
}
