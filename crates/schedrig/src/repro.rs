//! How a run came to its failure: the same execution again, with hooks at the calls that lead there.

use std::sync::{Arc, Mutex, PoisonError};

use guestmem::GuestVirt;
use observe::trace::{About, Sites, Tracer};
use record::{Dump, Record, Remake, Repro, Trace};
use session::{Act, Actor, HitKind, chain};

use crate::run::Body;
use crate::setup::Setup;
use crate::{Outcome, Progress, Rig};

impl Setup {
    /// Makes the record's run again and sees the last calls before its first failure that is about somebody.
    pub(crate) fn trace(&self, record: &Record, sites: &Sites, progress: &mut dyn FnMut(Progress)) -> Repro {
        let made = self.try_to_trace(record, sites, progress);
        made.unwrap_or_else(|reason| Repro::Not { reason })
    }

    fn try_to_trace(
        &self,
        record: &Record,
        sites: &Sites,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Repro, String> {
        let caught = record.dumps.iter().find(|dump| !dump.tasks.is_empty());
        let caught = caught.ok_or("no task is known that the failure is about")?;
        let remake = record.remake.as_ref();
        let Remake { script, .. } = remake.ok_or("the record does not hold what the test did")?;
        let actor = Actor::prepare(script, true).map_err(|error| chain(&error))?;
        let tracer = Arc::new(Mutex::new(Tracer::new(sites.clone(), about(caught))));
        let body: Body<'_, fn(&mut Rig) -> Outcome> = Body::Script(&actor, &record.plan.expectations);
        let (second, _) = self
            .make(record.plan.seed, progress, body, hooks(sites, &tracer))
            .map_err(|error| chain(&error))?;
        let tracer = tracer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Repro::Traced(Trace {
            hash: second.hash,
            of: caught.trigger.clone(),
            chains: tracer.chains(),
            seen: tracer.seen(),
        }))
    }
}

fn about(caught: &Dump) -> About {
    About {
        tasks: caught.tasks.clone(),
        cpus: caught.cpus.clone(),
        until: caught.snapshot.at,
    }
}

/// Where each call begins, and where it is back.
fn hooks(sites: &Sites, tracer: &Arc<Mutex<Tracer>>) -> Vec<(GuestVirt, Act)> {
    let mut hooks = Vec::new();
    for (nth, site) in sites.all.iter().enumerate() {
        let entered = Arc::clone(tracer);
        let act = Act::call(move |hit, kernel| {
            if let (Some(cpu), HitKind::Entered { registers, .. }) = (hit.cpu, &hit.what) {
                let registers = std::array::from_fn(|n| registers.argument(n).unwrap_or(0));
                let mut tracer = entered.lock().unwrap_or_else(PoisonError::into_inner);
                tracer.entered(nth, hit.at, cpu, registers, kernel);
            }
        });
        hooks.push((site.at(), act));
        let Some(back) = site.back else { continue };
        let left = Arc::clone(tracer);
        let act = Act::call(move |hit, kernel| {
            if let Some(cpu) = hit.cpu {
                let mut tracer = left.lock().unwrap_or_else(PoisonError::into_inner);
                tracer.left(nth, cpu, kernel);
            }
        });
        hooks.push((back, act));
    }
    hooks
}
