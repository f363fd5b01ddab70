//! How far a run is, and whether it runs the right kernel (contract D12).

use kimage::BuildId;
use wire::FrameKind;
use wire::phase::Stage;

/// How far a run is. It goes forward only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle(Stage);

/// The guest runs another kernel than the host's files are of: what is read of it by them would be wrong. The run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest runs the kernel with build id {guest}, and the host's files are of {host}")]
pub struct WrongKernel {
    /// The guest's.
    pub guest: BuildId,
    /// That of the host's files.
    pub host: BuildId,
}

impl Lifecycle {
    /// How far it is.
    pub fn stage(self) -> Stage {
        self.0
    }

    /// It is there now; `None` if it was, or was further, before.
    pub fn advance(&mut self, to: Stage) -> Option<Stage> {
        let forward = to > self.0;
        self.0 = self.0.max(to);
        forward.then_some(to)
    }

    /// A whole frame of this kind came.
    pub(super) fn saw(&mut self, kind: FrameKind) {
        let reached = match kind {
            FrameKind::SystemReady | FrameKind::AttachAttempt => Stage::Attach,
            FrameKind::ScenarioStart => Stage::Body,
            FrameKind::TeardownBarrier => Stage::Teardown,
            _ => return,
        };
        let _ = self.advance(reached);
    }
}

/// Is the guest's kernel that of the host's files? Where the host does not know, it is.
pub(super) fn same_kernel(guest: BuildId, host: Option<BuildId>) -> Result<(), WrongKernel> {
    match host {
        Some(host) if host != guest => Err(WrongKernel { guest, host }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D12: forward only.
    #[test]
    fn a_run_never_goes_back() {
        let mut life = Lifecycle::default();
        assert_eq!(life.stage(), Stage::Boot);
        assert_eq!(life.advance(Stage::Body), Some(Stage::Body));
        assert_eq!(life.advance(Stage::Body), None);
        assert_eq!(life.advance(Stage::Attach), None);
        assert_eq!(life.stage(), Stage::Body);
        assert_eq!(life.advance(Stage::Teardown), Some(Stage::Teardown));
    }

    /// D12: a mismatch tells both ids.
    #[test]
    fn another_kernel_is_told_with_both_ids() {
        let id = |text: &str| -> BuildId { text.parse().unwrap() };
        assert_eq!(same_kernel(id("aa"), Some(id("aa"))), Ok(()));
        assert_eq!(same_kernel(id("aa"), None), Ok(()));
        let wrong = same_kernel(id("aa01"), Some(id("bb02"))).unwrap_err();
        let text = wrong.to_string();
        assert!(text.contains("aa01") && text.contains("bb02"), "{text}");
    }
}
