//! What programs of the guest report of their scenario: payloads of fixed layout (contracts F4, F5). All words are
//! little-endian.
//!
//! ```text
//! stimulus          elapsed_ms u32 │ step u16 │ ops u16 │ op_kinds u32 │ cgroups u16 │ workers u16 │ iterations u64
//! scenario's end    elapsed_ms u64 │ iterations u64
//! ```

use crate::FrameKind;
use crate::payload::{Fields, PayloadLength, exact};

/// A step of the scenario begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stimulus {
    /// Milliseconds since the scenario began.
    pub elapsed_ms: u32,
    /// 0 for the baseline, then 1 to N.
    pub step_index: u16,
    /// How many operations it has.
    pub op_count: u16,
    /// Of which kinds, a bit each.
    pub op_kinds: u32,
    /// Cgroups by now.
    pub cgroup_count: u16,
    /// Workers by now.
    pub worker_count: u16,
    /// Iterations of all workers by now.
    pub total_iterations: u64,
}

/// The scenario is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScenarioEnd {
    /// Milliseconds since the scenario began.
    pub elapsed_ms: u64,
    /// Iterations of all workers.
    pub total_iterations: u64,
}

impl Stimulus {
    /// Bytes of the payload.
    pub const LEN: usize = 24;

    /// As a payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Stimulus::LEN);
        bytes.extend(self.elapsed_ms.to_le_bytes());
        bytes.extend(self.step_index.to_le_bytes());
        bytes.extend(self.op_count.to_le_bytes());
        bytes.extend(self.op_kinds.to_le_bytes());
        bytes.extend(self.cgroup_count.to_le_bytes());
        bytes.extend(self.worker_count.to_le_bytes());
        bytes.extend(self.total_iterations.to_le_bytes());
        bytes
    }

    /// From a payload.
    ///
    /// # Errors
    /// [`PayloadLength`] unless there are 24 bytes.
    pub fn decode(payload: &[u8]) -> Result<Stimulus, PayloadLength> {
        let mut fields = Fields(exact::<{ Stimulus::LEN }>(FrameKind::Stimulus, payload)?);
        Ok(Stimulus {
            elapsed_ms: fields.u32(),
            step_index: fields.u16(),
            op_count: fields.u16(),
            op_kinds: fields.u32(),
            cgroup_count: fields.u16(),
            worker_count: fields.u16(),
            total_iterations: fields.u64(),
        })
    }
}

impl ScenarioEnd {
    /// Bytes of the payload.
    pub const LEN: usize = 16;

    /// As a payload.
    pub fn encode(&self) -> Vec<u8> {
        [self.elapsed_ms, self.total_iterations]
            .map(u64::to_le_bytes)
            .concat()
    }

    /// From a payload.
    ///
    /// # Errors
    /// [`PayloadLength`] unless there are 16 bytes.
    pub fn decode(payload: &[u8]) -> Result<ScenarioEnd, PayloadLength> {
        let mut fields = Fields(exact::<{ ScenarioEnd::LEN }>(FrameKind::ScenarioEnd, payload)?);
        Ok(ScenarioEnd {
            elapsed_ms: fields.u64(),
            total_iterations: fields.u64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STIMULUS: Stimulus = Stimulus {
        elapsed_ms: 0x0403_0201,
        step_index: 0x0605,
        op_count: 0x0807,
        op_kinds: 0x0c0b_0a09,
        cgroup_count: 0x0e0d,
        worker_count: 0x100f,
        total_iterations: 0x1817_1615_1413_1211,
    };

    fn counting(len: u8) -> Vec<u8> {
        (1..=len).collect()
    }

    /// F4: 24 bytes, in this order, little-endian.
    #[test]
    fn a_stimulus_bytes_are_pinned() {
        assert_eq!(STIMULUS.encode(), counting(24));
        assert_eq!(Stimulus::decode(&counting(24)), Ok(STIMULUS));
    }

    /// F4: any other length is refused.
    #[test]
    fn a_stimulus_of_another_length_is_refused() {
        for len in [0, 23, 25, 48] {
            let kind = FrameKind::Stimulus;
            let need = 24;
            let refused = Stimulus::decode(&vec![0; len]);
            assert_eq!(refused, Err(PayloadLength { kind, len, need }));
        }
    }

    /// F5: an end is 16 bytes.
    #[test]
    fn an_ends_bytes_are_pinned() {
        let end = ScenarioEnd {
            elapsed_ms: 0x0807_0605_0403_0201,
            total_iterations: 0x100f_0e0d_0c0b_0a09,
        };
        assert_eq!(end.encode(), counting(16));
        assert_eq!(ScenarioEnd::decode(&counting(16)), Ok(end));
        assert!(ScenarioEnd::decode(&[]).is_err());
        assert!(ScenarioEnd::decode(&counting(17)).is_err());
    }

    /// F5: start, pause and resume are empty, and each length that never varies is known by its kind.
    #[test]
    fn lengths_are_known_by_their_kinds() {
        let empty = [
            FrameKind::ScenarioStart,
            FrameKind::ScenarioPause,
            FrameKind::ScenarioResume,
        ];
        for kind in empty {
            assert_eq!(kind.payload_len(), Some(0), "{kind:?}");
        }
        let check = |kind: FrameKind, len: usize| assert_eq!(kind.payload_len(), Some(len), "{kind:?}");
        check(FrameKind::Stimulus, Stimulus::LEN);
        check(FrameKind::ScenarioEnd, ScenarioEnd::LEN);
        assert_eq!(FrameKind::Stdout.payload_len(), None);
    }

    proptest! {
        /// F4, F5: whatever the bytes are, they say the same after another trip.
        #[test]
        fn payloads_survive_the_trip(bytes: [u8; 24]) {
            prop_assert_eq!(Stimulus::decode(&bytes).map(|found| found.encode()), Ok(bytes.to_vec()));
            prop_assert_eq!(ScenarioEnd::decode(&bytes[..16]).map(|found| found.encode()), Ok(bytes[..16].to_vec()));
        }
    }
}
