//! The guest's kernel, found in its memory at the first look.

use std::sync::Arc;

use guestmem::PhysMem;
use introspect::{DebugInfo, GuestKernel, Hints, Placement, PlacementError};

/// What is known of the guest's kernel.
#[derive(Debug, Default, Clone)]
pub(super) struct View {
    info: Option<Arc<DebugInfo>>,
    /// Where the kernel lies, from the first look on.
    place: Option<Placement>,
}

/// The guest's kernel cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The kernel's names and types were not given.
    #[error("the names and types of the guest's kernel are not known; this is a defect of schedrig")]
    Unknown,
    /// The kernel is not found.
    #[error("find the kernel in the guest's memory")]
    Placement(#[from] PlacementError),
}

impl View {
    pub(super) fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        self.info = Some(info);
    }

    /// Spares the first look its search.
    pub(super) fn set_placement(&mut self, place: Placement) {
        self.place = Some(place);
    }

    pub(super) fn info(&self) -> Option<&DebugInfo> {
        self.info.as_deref()
    }

    /// The kernel in this memory, which stands still.
    pub(super) fn kernel<'m>(&'m mut self, memory: &'m dyn PhysMem) -> Result<GuestKernel<'m>, LookError> {
        let info = self.info.as_deref().ok_or(LookError::Unknown)?;
        let place = match self.place {
            Some(place) => place,
            None => *self
                .place
                .insert(Placement::find(info, memory, &Hints::default())?),
        };
        Ok(GuestKernel::frozen(info, memory, place))
    }
}
