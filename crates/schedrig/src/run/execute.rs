//! One execution: the guest is prepared, the body runs, the evidence is taken.

use std::panic::{AssertUnwindSafe, catch_unwind};

use record::{DumpTrigger, Evidence, Expectation, Verdict};
use session::{Observed, ScriptPlayer, Session, SessionError, chain};
use spec::op::{BodyFailed, StopScheduler};
use spec::{Op, OpError};

use super::{RunSpec, TimedLook};
use crate::error::BodyError;
use crate::machines::start_scheduler;
use crate::rig::{CheckOverrides, Origin};
use crate::scheduler::PreparedScheduler;
use crate::setup::Setup;
use crate::{Outcome, Rig, RigError};

/// What decides the steps of a run.
pub(crate) enum RunBody<'r, F> {
    /// A test's code.
    Test(F),
    /// A record's script; the run is judged by the record's expectations.
    Script(&'r ScriptPlayer, &'r [Expectation]),
}

/// What an execution left for the record.
pub(crate) struct Executed {
    pub(crate) evidence: Evidence,
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) script: Vec<Op>,
    pub(crate) observed: Observed,
}

impl Executed {
    /// Of a machine that did not boot: its evidence, judged by the default expectations.
    pub(crate) fn without_a_body(evidence: Evidence) -> Executed {
        Executed {
            evidence,
            expectations: check::defaults(),
            script: Vec::new(),
            observed: Observed::default(),
        }
    }
}

/// Prepares the guest, executes the body, and takes the evidence. `scheduler` is started, unless it is attached already.
pub(crate) fn execute<F>(
    mut session: Session,
    origin: &Origin,
    scheduler: Option<&PreparedScheduler>,
    body: RunBody<'_, F>,
) -> Executed
where
    F: FnOnce(&mut Rig) -> Outcome,
{
    let spec = &origin.setup.spec;
    observe(&mut session, origin);
    let seed = spec.begin_seed.unwrap_or(origin.seed);
    let ready = prepare_guest(&mut session, seed, scheduler);
    for TimedLook { at, look } in &spec.looks {
        if let Some(at) = at {
            session.look_at(*at, look.clone());
        }
    }
    if let Err(error) = session.snapshots(spec.snapshots) {
        tracing::warn!(%error, "no snapshots at times");
    }
    session.begin_script();
    let (session, expectations) = match body {
        RunBody::Test(body) => execute_test(Rig::new(session, origin.clone()), ready, body),
        RunBody::Script(player, expectations) => {
            // What went wrong before the body began made it give up, and that is the script's only step.
            player.play(&mut session);
            (session, expectations.to_vec())
        }
    };
    conclude(session, spec, expectations)
}

/// Executes the body of a run that goes on where another one stands, and takes the evidence.
pub(crate) fn go_on(
    mut session: Session,
    origin: &Origin,
    overrides: CheckOverrides,
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> Executed {
    observe(&mut session, origin);
    let rig = Rig::new(session, origin.clone()).judged_as(overrides);
    let (session, expectations) = execute_test(rig, Ok(()), body);
    conclude(session, &origin.setup.spec, expectations)
}

/// Has the guest's kernel looked at from now on.
fn observe(session: &mut Session, origin: &Origin) {
    let Setup { kernel, spec, .. } = &origin.setup;
    match kernel.debug_info() {
        Ok(info) => {
            session.set_debug_info(info);
            if spec.monitor {
                session.monitor();
            }
        }
        // Every query will be answered with this error.
        Err(error) => tracing::debug!(%error, "no debug info"),
    }
}

fn conclude(mut session: Session, spec: &RunSpec, expectations: Vec<Expectation>) -> Executed {
    let script = session.take_script();
    for TimedLook { look, .. } in spec.looks.iter().filter(|look| look.at.is_none()) {
        session.look(look);
    }
    dump_failure(&mut session, &expectations);
    // One that came with the machine is no more ended by the run than it was started by it.
    if session.scheduler_runs() && session.started_scheduler() {
        // Its exit status is evidence; that it could not be stopped shows in the machine's end.
        let _ = session.apply(&StopScheduler.into());
    }
    let (evidence, observed) = session.finish_observed();
    Executed {
        evidence,
        expectations,
        script,
        observed,
    }
}

/// Dumps the kernel as the run ends, where a check fails that nothing in the kernel reported at its instant. So the run is
/// judged by the evidence so far, while its machine still stands; what only comes when the scheduler ends is judged then.
fn dump_failure(session: &mut Session, expectations: &[Expectation]) {
    if session.caught() > 0 {
        return;
    }
    let evidence = session.evidence_so_far();
    let run = check::Run {
        evidence: &evidence,
        series: session.series(),
    };
    let judgement = check::judge(run, expectations);
    let failed = judgement.findings().find(|check| check.verdict == Verdict::Fail);
    if let Some(failed) = failed {
        let trigger = DumpTrigger::CheckFailed {
            check: failed.check.clone(),
        };
        session.found("end", trigger);
    }
}

fn execute_test(
    mut rig: Rig,
    ready: Result<(), SessionError>,
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> (Session, Vec<Expectation>) {
    let outcome = match ready {
        Err(error) => Err(error.into()),
        Ok(()) => catch_unwind(AssertUnwindSafe(|| body(&mut rig)))
            .unwrap_or_else(|panic| Err(panic_text(panic.as_ref()).into())),
    };
    let (mut session, overrides) = rig.into_parts();
    if let Err(error) = outcome {
        let failed = BodyFailed {
            reason: chain(error.as_ref()),
            refused: was_refused(&error),
        };
        if let Err(error) = session.apply(&failed.into()) {
            tracing::debug!(%error, "the body's error");
        }
    }
    (session, overrides.expectations())
}

/// Is it the error of an op that was refused?
fn was_refused(error: &BodyError) -> bool {
    if let Some(RigError::Session(SessionError::Program(_))) = error.downcast_ref() {
        // A program that is not on this host.
        return true;
    }
    let refusal = match error.downcast_ref::<RigError>() {
        Some(RigError::Op(refusal) | RigError::Session(SessionError::Op(refusal))) => Some(refusal),
        Some(_) => None,
        None => match error.downcast_ref::<SessionError>() {
            Some(SessionError::Op(refusal)) => Some(refusal),
            _ => error.downcast_ref::<OpError>(),
        },
    };
    refusal.is_some_and(OpError::is_refusal)
}

fn prepare_guest(
    session: &mut Session,
    seed: u64,
    scheduler: Option<&PreparedScheduler>,
) -> Result<(), SessionError> {
    session.seed(seed)?;
    let Some(PreparedScheduler { program, plan }) = scheduler else {
        return Ok(());
    };
    start_scheduler(session, program, &plan.args)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message"))
}
