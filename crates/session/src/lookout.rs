//! Questions that are asked of the guest's kernel while its workers run, at points of guest time.
//!
//! The guest stands still in a hook on its tick while a question is answered, and does not notice: looking changes no
//! execution. What was seen is an observation, beside the evidence and not part of the record's hash.

use std::sync::Arc;

use guestmem::PhysMem;
use introspect::{DebugInfo, GuestKernel, Hints, Placement, PlacementError, Question};
use record::{Observation, Value};
use spec::{GuestTime, Nanos};

/// Looks at a guest's kernel.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    info: Option<Arc<DebugInfo>>,
    /// Where the kernel lies, once somebody has looked.
    place: Option<Placement>,
    /// What is to be asked that long after the workers were told to run, the next last.
    pending: Vec<(Nanos, Question)>,
    /// How long the workers had run before the window that is open.
    ran: Nanos,
    window: Window,
    seen: Vec<Observation>,
}

#[derive(Debug, Default)]
enum Window {
    #[default]
    Closed,
    /// Opened, and no tick was seen yet.
    Open,
    Since(GuestTime),
}

/// The guest's kernel cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Nobody has told its names and types.
    #[error("the names and types of the guest's kernel are not known; this is a defect of schedrig")]
    Unknown,
    /// It is not found.
    #[error("find the kernel in the guest's memory")]
    Placement(#[from] PlacementError),
}

impl Lookout {
    pub(crate) fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        self.info = Some(info);
    }

    /// Can the kernel be looked at?
    pub(crate) fn has_debug_info(&self) -> bool {
        self.info.is_some()
    }

    /// The kernel in this memory, which stands still.
    pub(crate) fn kernel<'m>(&'m mut self, memory: &'m dyn PhysMem) -> Result<GuestKernel<'m>, LookError> {
        let info = self.info.as_deref().ok_or(LookError::Unknown)?;
        let place = match self.place {
            Some(place) => place,
            None => *self
                .place
                .insert(Placement::find(info, memory, &Hints::default())?),
        };
        Ok(GuestKernel::frozen(info, memory, place))
    }

    pub(crate) fn look_at(&mut self, when: Nanos, question: Question) {
        // Those of one time in the order in which they came.
        let after = self.pending.partition_point(|(other, _)| *other > when);
        self.pending.insert(after, (when, question));
    }

    pub(crate) fn open(&mut self) {
        self.window = Window::Open;
    }

    /// The window is over, after that much time.
    pub(crate) fn close(&mut self, span: Nanos) {
        self.window = Window::Closed;
        self.ran.0 = self.ran.0.saturating_add(span.0);
    }

    /// Asks what is due at this tick.
    pub(crate) fn tick(&mut self, memory: &dyn PhysMem, now: GuestTime) {
        let since = match self.window {
            Window::Closed => return,
            Window::Open => now,
            Window::Since(since) => since,
        };
        self.window = Window::Since(since);
        let ran = self.ran.0.saturating_add(now.0.0.saturating_sub(since.0.0));
        while let Some((_, question)) = self.pending.pop_if(|(when, _)| when.0 <= ran) {
            self.observe(memory, now, &question);
        }
    }

    /// Asks now.
    pub(crate) fn observe(&mut self, memory: &dyn PhysMem, now: GuestTime, question: &Question) {
        let seen = match self.kernel(memory) {
            Ok(kernel) => question.answer(&kernel),
            Err(error) => Value::missing(&error),
        };
        self.seen.push(Observation {
            at: now,
            asked: question.to_string(),
            seen,
        });
    }

    /// What was seen; a question whose time did not come is told so.
    pub(crate) fn take(&mut self, now: GuestTime) -> Vec<Observation> {
        while let Some((when, question)) = self.pending.pop() {
            self.seen.push(Observation {
                at: now,
                asked: question.to_string(),
                seen: Value::Missing(format!("the workers ran for {} in all, not for {when}", self.ran)),
            });
        }
        std::mem::take(&mut self.seen)
    }
}
