//! Did the run test anything?

use record::{EventKind, Evidence};
use spec::{Nanos, WorkerReport};

use crate::{Outcome, machine};

/// Who ran or waited for less than this did no more than begin.
const SOME_TIME: Nanos = Nanos::from_millis(1);

/// Some worker wanted to run while the run was on, or some program was executed. A run in which nothing was to be scheduled
/// says nothing about a scheduler.
pub(crate) fn something(evidence: &Evidence) -> Outcome {
    let workers = || evidence.windows.iter().flat_map(|window| &window.workers);
    let executed = |event: &&record::Event| matches!(event.what, EventKind::Executed { .. });
    let programs = evidence.events.iter().filter(executed).count();
    let long_enough = machine::longest_window(evidence) >= SOME_TIME;
    if (long_enough && workers().any(wanted_to_run)) || programs > 0 {
        return Outcome::pass("something ran");
    }
    if evidence.windows.is_empty() {
        let reason = evidence.events.iter().find_map(|event| match event.what {
            EventKind::SchedulerFailed { .. } => Some("the scheduler did not load (see `scheduler`)"),
            EventKind::BodyFailed { .. } => Some("the test ended before the workers ran (see `body`)"),
            _ => None,
        });
        if let Some(reason) = reason {
            return Outcome::skip(reason);
        }
    }
    Outcome::inconclusive(if evidence.windows.is_empty() {
        "the workers never ran: the test let no guest time pass, and executed no program"
    } else if !long_enough {
        "the workers never ran: the test let less than 1ms of guest time pass"
    } else if workers().next().is_none() {
        "the workers never ran: there are none, and no program was executed"
    } else {
        "the workers never ran: none wanted to while the run was on"
    })
}

fn wanted_to_run(worker: &WorkerReport) -> bool {
    worker.work_units > 0 || worker.on_cpu >= SOME_TIME || worker.run_delay >= SOME_TIME
}

#[cfg(test)]
mod tests {
    use record::{Event, Verdict};
    use spec::{ExitStatus, GuestTime};

    use super::*;
    use crate::fixtures::{run, worker};

    #[test]
    fn without_its_scheduler_nothing_was_to_run() {
        let mut evidence = Evidence::default();
        evidence.events.push(Event {
            at: GuestTime::default(),
            what: EventKind::SchedulerFailed {
                reason: "no such file".into(),
                gave_up: false,
                refused: false,
                lacks: Vec::new(),
            },
        });
        assert_eq!(something(&evidence).verdict, Verdict::Skip);
    }

    #[test]
    fn a_run_in_which_nothing_wanted_to_run_is_inconclusive() {
        let check = |evidence: &Evidence, part: &str| {
            let outcome = something(evidence);
            assert_eq!(outcome.verdict, Verdict::Inconclusive, "{}", outcome.reason);
            assert!(outcome.reason.contains(part), "{}", outcome.reason);
        };
        check(&Evidence::default(), "no guest time");
        check(&run(Vec::new()), "there are none");
        let mut instant = run(vec![worker("a", 0)]);
        instant.windows[0].to = GuestTime(Nanos(instant.windows[0].from.0.0 + 28_000));
        check(&instant, "less than 1ms");
        let mut asleep = worker("a", 0);
        asleep.work_units = 0;
        (asleep.on_cpu, asleep.run_delay) = (Nanos::from_micros(90), Nanos::ZERO);
        check(&run(vec![asleep]), "none wanted to");
    }

    #[test]
    fn who_waited_wanted_to_run_and_a_program_counts_too() {
        let mut starved = worker("a", 0);
        (starved.work_units, starved.on_cpu) = (0, Nanos::ZERO);
        assert_eq!(something(&run(vec![starved])).verdict, Verdict::Pass);
        let mut evidence = Evidence::default();
        evidence.events.push(Event {
            at: GuestTime::default(),
            what: EventKind::Executed {
                program: "/bin/true".into(),
                status: ExitStatus::Code(0),
            },
        });
        assert_eq!(something(&evidence).verdict, Verdict::Pass);
    }
}
