//! What programs of the guest tell of their run: payloads of fixed layout, all words little-endian (contracts D3, D12,
//! F4, F5).
//!
//! ```text
//! stimulus          elapsed_ms u32 │ step u16 │ ops u16 │ op_kinds u32 │ cgroups u16 │ workers u16 │ iterations u64
//! scenario's end    elapsed_ms u64 │ iterations u64
//! kernel addresses  physical + 1 u64 │ &page_offset_base u64 │ _text + 1 u64
//! progress          ms u64
//! lifecycle         stage u8 │ words, UTF-8
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
    /// What all workers have done by now.
    pub total_iterations: u64,
}

/// The scenario is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScenarioEnd {
    /// Milliseconds since the scenario began.
    pub elapsed_ms: u64,
    /// What all workers have done.
    pub total_iterations: u64,
}

/// Where the kernel lies, as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelAddresses {
    /// The physical address that the kernel's image was moved to, if the guest knows it. Zero is an address.
    pub physical: Option<u64>,
    /// The address of the variable `page_offset_base`; 0 where there is none.
    pub page_offset_base: u64,
    /// The address of `_text`, if the guest knows it.
    pub text: Option<u64>,
}

/// The workload lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Milliseconds that it has run.
    pub ms: u64,
}

/// How far a run is. It goes forward only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Stage {
    /// The kernel boots.
    #[default]
    Boot = 1,
    /// The system is up; schedulers attach.
    Attach = 2,
    /// What the test runs is being started.
    Dispatch = 3,
    /// It runs.
    Body = 4,
    /// All is taken down.
    Teardown = 5,
}

/// A stage was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Which.
    pub stage: Stage,
    /// What there is to say of it.
    pub words: String,
}

/// A payload that names no stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload of a Lifecycle frame begins with a stage from 1 to 5, not with {found:?}")]
pub struct NoStage {
    /// What it begins with.
    pub found: Option<u8>,
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

impl KernelAddresses {
    /// Bytes of the payload.
    pub const LEN: usize = 24;

    /// As a payload. The last address of all, which cannot be told from none, is none.
    pub fn encode(&self) -> Vec<u8> {
        let biased = |address: Option<u64>| address.map_or(0, |address| address.wrapping_add(1));
        [biased(self.physical), self.page_offset_base, biased(self.text)]
            .map(u64::to_le_bytes)
            .concat()
    }

    /// From a payload.
    ///
    /// # Errors
    /// [`PayloadLength`] unless there are 24 bytes.
    pub fn decode(payload: &[u8]) -> Result<KernelAddresses, PayloadLength> {
        let mut fields = Fields(exact::<{ KernelAddresses::LEN }>(
            FrameKind::KernelAddresses,
            payload,
        )?);
        Ok(KernelAddresses {
            physical: fields.u64().checked_sub(1),
            page_offset_base: fields.u64(),
            text: fields.u64().checked_sub(1),
        })
    }
}

impl Progress {
    /// Bytes of the payload.
    pub const LEN: usize = 8;

    /// As a payload.
    pub fn encode(&self) -> Vec<u8> {
        self.ms.to_le_bytes().to_vec()
    }

    /// From a payload.
    ///
    /// # Errors
    /// [`PayloadLength`] unless there are 8 bytes.
    pub fn decode(payload: &[u8]) -> Result<Progress, PayloadLength> {
        let ms = u64::from_le_bytes(*exact::<{ Progress::LEN }>(FrameKind::Progress, payload)?);
        Ok(Progress { ms })
    }
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Stage; 5] = [
        Stage::Boot,
        Stage::Attach,
        Stage::Dispatch,
        Stage::Body,
        Stage::Teardown,
    ];

    /// The stage with this number.
    pub fn from_number(number: u8) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| *stage as u8 == number)
    }
}

impl Lifecycle {
    /// As a payload.
    pub fn encode(&self) -> Vec<u8> {
        [&[self.stage as u8], self.words.as_bytes()].concat()
    }

    /// From a payload. Words that are not UTF-8 are replaced where they are not.
    ///
    /// # Errors
    /// [`NoStage`] where the first byte names none.
    pub fn decode(payload: &[u8]) -> Result<Lifecycle, NoStage> {
        let found = payload.first().copied();
        let stage = found.and_then(Stage::from_number).ok_or(NoStage { found })?;
        let words = String::from_utf8_lossy(payload.get(1..).unwrap_or_default()).into_owned();
        Ok(Lifecycle { stage, words })
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

    /// F4: any other length is none.
    #[test]
    fn a_stimulus_of_another_length_is_none() {
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
        check(FrameKind::KernelAddresses, KernelAddresses::LEN);
        check(FrameKind::Progress, Progress::LEN);
        assert_eq!(FrameKind::Stdout.payload_len(), None);
    }

    /// D3: 24 bytes; the first and the last are one more than the address, and zero is none.
    #[test]
    fn kernel_addresses_bytes_are_pinned() {
        let check = |found: KernelAddresses, words: [u64; 3]| {
            let bytes = words.map(u64::to_le_bytes).concat();
            assert_eq!(found.encode(), bytes);
            assert_eq!(KernelAddresses::decode(&bytes), Ok(found));
        };
        check(
            KernelAddresses {
                physical: Some(0x100_0000),
                page_offset_base: 0xffff_ffff_8262_6b78,
                text: Some(0xffff_ffff_8100_0000),
            },
            [0x100_0001, 0xffff_ffff_8262_6b78, 0xffff_ffff_8100_0001],
        );
        check(
            KernelAddresses {
                physical: Some(0),
                page_offset_base: 0,
                text: None,
            },
            [1, 0, 0],
        );
        check(
            KernelAddresses {
                physical: None,
                page_offset_base: 0,
                text: Some(0),
            },
            [0, 0, 1],
        );
        for len in [0, 8, 23, 25] {
            assert!(KernelAddresses::decode(&vec![0; len]).is_err(), "{len}");
        }
    }

    /// D12: progress is 8 bytes of milliseconds.
    #[test]
    fn a_progress_bytes_are_pinned() {
        let progress = Progress {
            ms: 0x0807_0605_0403_0201,
        };
        assert_eq!(progress.encode(), counting(8));
        assert_eq!(Progress::decode(&counting(8)), Ok(progress));
        assert!(Progress::decode(&counting(7)).is_err());
    }

    /// D12: a stage is a byte, and what there is to say of it.
    #[test]
    fn a_lifecycles_bytes_are_pinned() {
        let body = Lifecycle {
            stage: Stage::Body,
            words: "go".into(),
        };
        assert_eq!(body.encode(), [4, b'g', b'o']);
        assert_eq!(Lifecycle::decode(&[4, b'g', b'o']), Ok(body));
        for (number, stage) in (1..).zip(Stage::ALL) {
            assert_eq!(Stage::from_number(number), Some(stage));
        }
        for found in [Some(0), Some(6), Some(255), None] {
            let payload: Vec<u8> = found.into_iter().collect();
            assert_eq!(Lifecycle::decode(&payload), Err(NoStage { found }));
        }
        assert_eq!(
            Lifecycle::decode(&[1, 0xff]).map(|life| life.words),
            Ok("\u{fffd}".into())
        );
    }

    proptest! {
        /// F4, F5: whatever the bytes are, they say the same after another trip.
        #[test]
        fn payloads_survive_the_trip(bytes: [u8; 24]) {
            prop_assert_eq!(Stimulus::decode(&bytes).map(|found| found.encode()), Ok(bytes.to_vec()));
            prop_assert_eq!(KernelAddresses::decode(&bytes).map(|found| found.encode()), Ok(bytes.to_vec()));
            prop_assert_eq!(ScenarioEnd::decode(&bytes[..16]).map(|found| found.encode()), Ok(bytes[..16].to_vec()));
        }
    }
}
