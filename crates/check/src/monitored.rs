//! What a monitor saw of the CPUs.

use record::{Finding as Seen, Monitored};
use spec::Nanos;

use crate::Outcome;

/// Findings that are shown.
const MOST_SHOWN: usize = 8;

/// Why nothing is judged.
const NO_MONITOR: &str = "the run had no monitor";

/// No CPU idled while a task waited for it.
pub(crate) fn work_conserving(monitored: Option<&Monitored>, limit: Nanos) -> Outcome {
    let Some(monitored) = monitored else {
        return Outcome::skip(NO_MONITOR);
    };
    let violation = |seen: &&Seen| matches!(seen, Seen::IdleWhileWaiting { lasted, .. } | Seen::PassedOver { lasted, .. } if *lasted >= limit);
    let found: Vec<&Seen> = monitored.findings.iter().filter(violation).collect();
    of(monitored, &found, || {
        format!("no CPU idled for {limit} while a task waited for it")
    })
}

/// No busy CPU's clock stood.
pub(crate) fn cpus_advance(monitored: Option<&Monitored>) -> Outcome {
    let Some(monitored) = monitored else {
        return Outcome::skip(NO_MONITOR);
    };
    let stuck = |seen: &&Seen| matches!(seen, Seen::Stuck { .. });
    let found: Vec<&Seen> = monitored.findings.iter().filter(stuck).collect();
    of(monitored, &found, || "every busy CPU made progress".to_owned())
}

fn of(monitored: &Monitored, found: &[&Seen], well: impl Fn() -> String) -> Outcome {
    let samples = monitored.samples;
    let Some(first) = found.first() else {
        if samples == 0 {
            let why = monitored.unread.as_deref().unwrap_or("no worker ran");
            return match monitored.incomplete {
                0 => Outcome::skip("no samples: no worker ran while the monitor was active"),
                _ => Outcome::inconclusive(format!("the runqueues could not be read: {why}")),
            };
        }
        return Outcome::pass(format!("{}, in {samples} samples", well()));
    };
    let details = found.iter().take(MOST_SHOWN).map(ToString::to_string).collect();
    let more = match found.len() - 1 + usize::try_from(monitored.unlisted).unwrap_or(usize::MAX) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    Outcome::fail(format!("{first}{more}"), details)
}

#[cfg(test)]
mod tests {
    use record::{Value, Verdict};
    use spec::GuestTime;

    use super::*;

    fn monitored(findings: Vec<Seen>) -> Monitored {
        Monitored {
            samples: 100,
            incomplete: 0,
            unread: None,
            findings,
            unlisted: 0,
            numbers: Value::List(Vec::new()),
        }
    }

    fn idle(millis: u64) -> Seen {
        Seen::IdleWhileWaiting {
            pid: 9,
            comm: "a/0".to_owned(),
            waits_on: 0,
            allowed: "0-1".parse().unwrap(),
            idle: "1".parse().unwrap(),
            from: GuestTime::default(),
            lasted: Nanos::from_millis(millis),
        }
    }

    #[test]
    fn a_cpu_that_idles_while_a_task_waits_fails_from_the_limit_on() {
        let limit = Nanos::from_millis(50);
        let verdict = |findings| work_conserving(Some(&monitored(findings)), limit).verdict;
        assert_eq!(verdict(vec![]), Verdict::Pass);
        assert_eq!(verdict(vec![idle(49)]), Verdict::Pass);
        assert_eq!(verdict(vec![idle(50)]), Verdict::Fail);
        let both = work_conserving(Some(&monitored(vec![idle(60), idle(70)])), limit);
        assert!(
            both.reason.contains("a/0 (pid 9)") && both.reason.ends_with("; 1 more"),
            "{}",
            both.reason
        );
        assert_eq!(both.details.len(), 2);
    }

    #[test]
    fn without_a_sample_nothing_is_passed() {
        let mut none = monitored(Vec::new());
        none.samples = 0;
        assert_eq!(cpus_advance(Some(&none)).verdict, Verdict::Skip);
        none.incomplete = 3;
        assert_eq!(cpus_advance(Some(&none)).verdict, Verdict::Inconclusive);
    }
}
