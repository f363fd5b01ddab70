//! What runs begin from: forks of saved machines, cold or warm.
//!
//! ```text
//! place    where saved machines are kept
//! layer    booted ──► scheduler attached: each saved once, found by whoever wants the same
//! zygote   the upmost layer, forked and warmed up, held: duplicated for each run of this process
//! ```
//!
//! Both ways lead to the same place: the upmost layer is forked, the guest does for a moment what comes in every run, and stands
//! in its agent's call. There the run begins, and its seed enters.

mod layer;
mod place;
mod zygote;

use std::sync::Arc;

use guestmem::GuestVirt;
use introspect::DebugInfo;
use record::{Evidence, Manifest};
use session::{GuestClock, HitAction, Limits, Session, Start, Status, chain};
use tempfile::TempDir;

pub(crate) use layer::{Attachment, Host, LAYER_SEED, start_scheduler};
use layer::{Fork, Layer, Refused};
pub(crate) use place::Place;
pub use zygote::SelfTest;
use zygote::Zygote;

use crate::{Progress, RigError};

/// The machines of one setup.
pub(crate) struct Machines {
    clock: Option<GuestClock>,
    info: Option<Arc<DebugInfo>>,
    booted: Arc<Layer>,
    /// With the scheduler attached, unless each run is to attach it.
    attached: Option<Arc<Layer>>,
    /// Removed with this.
    _temporary: Option<TempDir>,
}

/// Set before the first instruction: a run with such hooks is cold.
pub(crate) type Hooks = Vec<(GuestVirt, HitAction)>;

/// How a run is to begin.
pub(crate) struct Begin {
    /// As often as the run reads it.
    pub(crate) clock: Option<GuestClock>,
    pub(crate) limits: Limits,
    pub(crate) status: Arc<Status>,
    /// It may be a duplicate of a warm machine.
    pub(crate) warm: bool,
}

/// A run that begins.
pub(crate) enum Begun {
    Run(Box<Running>),
    /// The machine does not come up by its own fault; this is the run's evidence.
    Dead(Evidence),
}

/// A machine where the run begins.
pub(crate) struct Running {
    pub(crate) session: Session,
    /// The scheduler is attached.
    pub(crate) attached: bool,
    /// It is a duplicate.
    pub(crate) warm: bool,
}

impl Machines {
    /// The machines that `manifest` describes, with that scheduler attached once for all runs.
    pub(crate) fn new(
        host: Host,
        manifest: Manifest,
        attached: Option<Attachment>,
        info: Option<Arc<DebugInfo>>,
        place: Place,
    ) -> Result<Machines, RigError> {
        let Place { store, temporary } = place;
        let clock = host.clock;
        let booted = Layer::booted(host, &store, manifest)?;
        let attached = attached.map(|scheduler| Layer::attached(&booted, scheduler));
        Ok(Machines {
            clock,
            info,
            attached: attached.transpose()?,
            booted,
            _temporary: temporary,
        })
    }

    /// Makes what is missing, which the first run does otherwise.
    pub(crate) fn ready(&self, limits: Limits, progress: &mut dyn FnMut(Progress)) -> Result<(), RigError> {
        self.top(limits, progress)?.ok();
        Ok(())
    }

    /// Brings a machine to where a run begins.
    pub(crate) fn begin(
        &self,
        how: &Begin,
        hooks: Hooks,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Begun, RigError> {
        progress(Progress::Guest(Arc::clone(&how.status)));
        let top = match self.top(how.limits, progress)? {
            Ok(top) => top,
            Err(refused) => return Ok(Begun::Dead(refused.evidence)),
        };
        match self.begin_from(top, how, hooks, progress)? {
            Ok(begun) => Ok(begun),
            // What the scheduler does in the warm-up is no part of the run: it is started in the run instead. Hooks are of a
            // second execution, which knows of the refusal by the first one.
            Err(refused) if top.is_attached() && !refused.by_the_host() => {
                tracing::debug!(why = refused.why, "a scheduler is not attached before its runs");
                top.refuse(&refused);
                let begun = self.begin_from(&self.booted, how, Vec::new(), progress)?;
                Ok(begun.unwrap_or_else(|refused| Begun::Dead(refused.evidence)))
            }
            Err(refused) => Ok(Begun::Dead(refused.evidence)),
        }
    }

    /// The upmost layer. A scheduler that does not attach is no fault of the layer: the run shows it.
    fn top(
        &self,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<&Arc<Layer>, Refused>, RigError> {
        if let Err(refused) = self.booted.make_ready(limits, progress)? {
            return Ok(Err(refused));
        }
        let Some(attached) = &self.attached else {
            return Ok(Ok(&self.booted));
        };
        match attached.make_ready(limits, progress)? {
            Ok(()) => Ok(Ok(attached)),
            // Else what happens to this host would decide which execution a seed gives.
            Err(refused) if refused.by_the_host() => Ok(Err(refused)),
            Err(_) => Ok(Ok(&self.booted)),
        }
    }

    fn begin_from(
        &self,
        top: &Layer,
        how: &Begin,
        hooks: Hooks,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Begun, Refused>, RigError> {
        let can_be_warm = how.warm && hooks.is_empty() && zygote::off().is_none();
        let twin = if can_be_warm {
            self.duplicate(top, how, progress)?
        } else {
            None
        };
        let warm = twin.is_some();
        let session = match twin {
            Some(session) => session,
            None => self.cold(top, how.limits, hooks, &how.status, progress)?,
        };
        let mut session = match session {
            Ok(session) => session,
            Err(refused) => return Ok(Err(refused)),
        };
        session
            .begin(how.clock, how.limits, Arc::clone(&how.status))
            .map_err(RigError::Begin)?;
        Ok(Ok(Begun::Run(Box::new(Running {
            session,
            attached: top.is_attached(),
            warm,
        }))))
    }

    /// A machine that was forked from the layer and has warmed up.
    fn cold(
        &self,
        top: &Layer,
        limits: Limits,
        hooks: Hooks,
        status: &Arc<Status>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Session, Refused>, RigError> {
        let Fork { machine, standing } = match top.fork(limits, progress)? {
            Ok(fork) => fork,
            Err(refused) => return Ok(Err(refused)),
        };
        let start = Start {
            clock: self.clock,
            limits,
            hooks,
            status: Arc::clone(status),
            ..Start::default()
        };
        let refused = |why: String, evidence| Refused { evidence, why };
        let mut session = match Session::go_on(machine, standing, start) {
            Ok(session) => session,
            Err(failed) => return Ok(Err(refused(chain(&failed.error), failed.evidence))),
        };
        if let Err(error) = session.warm_up() {
            return Ok(Err(refused(chain(&error), session.finish())));
        }
        if top.is_attached() && !session.scheduler_runs() {
            let why = "the scheduler ended in the warm-up".to_owned();
            return Ok(Err(refused(why, session.finish())));
        }
        Ok(Ok(session))
    }

    /// A duplicate of the layer's zygote, which is made if there is none. `None`: there can be none.
    fn duplicate(
        &self,
        top: &Layer,
        how: &Begin,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Result<Session, Refused>>, RigError> {
        let slot = zygote::slot(&top.key()?);
        let mut held = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if held.is_none() {
            let mut cold = || self.cold(top, how.limits, Vec::new(), &how.status, progress);
            let session = match cold()? {
                Ok(session) => session,
                Err(refused) => return Ok(Some(Err(refused))),
            };
            let mut zygote = Zygote::hold(session, self.info.as_deref());
            if !zygote::self_test(&mut zygote, top.store().directory(), || Ok(cold()?.ok()))? {
                return Ok(None);
            }
            *held = Some(zygote);
        }
        let Some(zygote) = held.as_mut() else {
            return Ok(None);
        };
        match zygote.twin() {
            Ok(session) => Ok(Some(Ok(session))),
            Err(error) => {
                let why = chain(&error);
                let stands = zygote.stands();
                *held = None;
                // One that was killed from outside says nothing about the next; a second one does.
                if stands || !zygote::first_loss() {
                    zygote::turn_off(why);
                } else {
                    tracing::warn!(why, "a run is cold, since its warm machine is gone");
                }
                Ok(None)
            }
        }
    }
}
