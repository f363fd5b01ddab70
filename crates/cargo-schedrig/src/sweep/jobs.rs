//! The threads that run the seeds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use report::Metric;
use schedrig::{Outcome, Rig, RigError, Setup, Verdict};

use crate::seeds::Seeds;
use crate::shell;

/// One seed's run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) seed: u64,
    pub(crate) verdict: Verdict,
    /// The reasons of the checks that did not pass; empty where all did.
    pub(crate) reason: String,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) record_hash: String,
    pub(crate) record: Option<PathBuf>,
    /// The command that makes it again without its record.
    pub(crate) replay: String,
    /// The shortest command that does, where the record is kept.
    pub(crate) replay_record: Option<String>,
}

/// Runs in progress. When this is dropped, no more seeds begin.
pub(crate) struct Jobs {
    /// Each run with its place among the seeds, or why a run could not be made: then none can.
    pub(crate) ran: Receiver<Result<(u64, Ran), RigError>>,
    stop: Arc<AtomicBool>,
}

type Scenario = dyn Fn(&mut Rig) -> Outcome + Send + Sync;

impl Jobs {
    /// Starts `count` threads.
    pub(crate) fn start(
        setup: &Arc<Setup>,
        seeds: &Seeds,
        count: usize,
        scenario: &Arc<Scenario>,
    ) -> std::io::Result<Jobs> {
        let (sender, ran) = channel();
        let stop = Arc::<AtomicBool>::default();
        let seeds = Arc::new(Mutex::new((0..).zip(seeds.iter())));
        for job in 0..count {
            let (setup, scenario, stop) = (Arc::clone(setup), Arc::clone(scenario), Arc::clone(&stop));
            let (seeds, sender) = (Arc::clone(&seeds), sender.clone());
            let next = move || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
            thread::Builder::new().name(format!("job-{job}")).spawn(move || {
                while let Some((place, seed)) = next() {
                    let ran = run(&setup, seed, &*scenario).map(|ran| (place, ran));
                    if sender.send(ran).is_err() || stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            })?;
        }
        Ok(Jobs { ran, stop })
    }

    /// Begins no more seeds. Those that were taken are run, so no seed is left out before one that was run.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(setup: &Setup, seed: u64, scenario: &Scenario) -> Result<Ran, RigError> {
    let finished = setup.run(seed, &mut |_| {}, |rig| scenario(rig))?;
    let record = finished.record;
    let findings = record.findings();
    let reasons = findings.map(|finding| format!("{}: {}", finding.check, finding.reason));
    let place = finished.place.as_deref();
    Ok(Ran {
        seed,
        verdict: record.verdict(),
        reason: reasons.collect::<Vec<_>>().join("; "),
        metrics: report::metrics(&record),
        record_hash: record.hash.to_string(),
        replay_record: place.map(|place| shell::replay(place, &record)),
        record: finished.place,
        replay: record.host.replay,
    })
}
