//! The kinds of frames, in one enum (contracts F5, F6).
//!
//! | sender | kinds |
//! |---|---|
//! | the agent | the session's: who it is, news, the outcome of a command |
//! | the host | answers |
//! | any program of the guest | everything else: phases of a scenario, evidence, requests |
//!
//! Of what a program sends, requests are between the two sides only ([`FrameKind::is_internal`]); the rest is evidence
//! and kept in the record.

/// Who sends a kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The guest's PID 1, in its talk with the session.
    Agent,
    /// Any program of the guest, the agent included.
    Program,
    /// The host, as an answer.
    Host,
}

/// The enum, and the functions that follow from its list.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $letters:literal from $sender:ident,)+) => {
        /// What a frame carries. The discriminant is the kind word as it travels: four ASCII letters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum FrameKind {
            $($(#[$doc])* $name = u32::from_le_bytes(*$letters),)+
        }

        impl FrameKind {
            /// Every kind there is.
            pub const ALL: &'static [FrameKind] = &[$(FrameKind::$name),+];

            /// Who sends it.
            pub const fn sender(self) -> Sender {
                match self {
                    $(FrameKind::$name => Sender::$sender,)+
                }
            }

            /// The kind that a word stands for.
            #[expect(non_upper_case_globals, reason = "patterns must be constants, and these are named as the kinds")]
            pub fn from_word(word: u32) -> Option<FrameKind> {
                $(const $name: u32 = FrameKind::$name.word();)+
                match word {
                    $($name => Some(FrameKind::$name),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// The agent is up.
    Hello = b"HELO" from Agent,
    /// Something happened; answered by `Ack`.
    Notice = b"NOTE" from Agent,
    /// The outcome of the last command.
    Reply = b"RPLY" from Agent,

    /// The frame was taken.
    Ack = b"ACKN" from Host,
    /// The next command.
    Command = b"CMND" from Host,
    /// The frame was refused, with the reason.
    Refused = b"DENY" from Host,

    /// A step of the scenario begins: [`crate::scenario::Stimulus`].
    Stimulus = b"STIM" from Program,
    /// The scenario begins. Empty.
    ScenarioStart = b"SCST" from Program,
    /// The scenario pauses. Empty.
    ScenarioPause = b"SCPA" from Program,
    /// The scenario goes on. Empty.
    ScenarioResume = b"SCRE" from Program,
    /// The scenario is over: [`crate::scenario::ScenarioEnd`].
    ScenarioEnd = b"SCEN" from Program,

    /// The exit status of the program that the guest runs.
    Exit = b"EXIT" from Program,
    /// A test's result.
    TestResult = b"TEST" from Program,
    /// The scheduler's program has ended.
    SchedulerExit = b"SCHX" from Program,
    /// A program crashed.
    Crash = b"CRSH" from Program,
    /// What a payload measured.
    PayloadMetrics = b"PMET" from Program,
    /// What a payload wrote, uninterpreted.
    RawPayloadOutput = b"PRAW" from Program,
    /// A coverage profile.
    CoverageProfile = b"COVP" from Program,
    /// Standard output.
    Stdout = b"SOUT" from Program,
    /// Standard error.
    Stderr = b"SERR" from Program,
    /// The scheduler's log.
    SchedulerLog = b"SLOG" from Program,
    /// The scheduler's log begins.
    SchedulerLogBegin = b"SLGB" from Program,
    /// The scheduler's log is complete.
    SchedulerLogEnd = b"SLGE" from Program,
    /// How far a program is, in its own words.
    Lifecycle = b"LIFE" from Program,
    /// The exit status of a program that was executed on request.
    ExecExit = b"EXEX" from Program,
    /// The kernel's log.
    Dmesg = b"DMSG" from Program,
    /// What a probe wrote.
    ProbeOutput = b"PROB" from Program,

    /// The kernel's GNU build id, its bytes.
    KernelBuildId = b"KBID" from Program,
    /// Another scheduler took over. Empty.
    SchedulerSwapped = b"SWAP" from Program,

    /// A request for a snapshot or a watch: [`crate::snapshot::SnapshotRequest`].
    SnapshotRequest = b"SNRQ" from Program,
    /// The outcome: [`crate::snapshot::SnapshotReply`].
    SnapshotReply = b"SNRP" from Host,
    /// A request to read or write the kernel: [`crate::kernel_op::KernelOpRequest`].
    KernelOpRequest = b"KORQ" from Program,
    /// The outcome: [`crate::kernel_op::KernelOpReply`].
    KernelOpReply = b"KORP" from Host,
}

impl FrameKind {
    /// The word as it travels.
    pub const fn word(self) -> u32 {
        self as u32
    }

    /// Does the guest send it?
    pub const fn from_guest(self) -> bool {
        matches!(self.sender(), Sender::Agent | Sender::Program)
    }

    /// Is it a request or its answer, between the two sides only, and never kept as evidence? This is the one place that
    /// says so.
    ///
    /// The frames of the session's own talk are not asked about: they never come to where evidence is kept.
    pub const fn is_internal(self) -> bool {
        matches!(
            self,
            FrameKind::SnapshotRequest
                | FrameKind::SnapshotReply
                | FrameKind::KernelOpRequest
                | FrameKind::KernelOpReply
                | FrameKind::SchedulerSwapped
                // Compared with the host's files at once (D12).
                | FrameKind::KernelBuildId
        )
    }

    /// Is it kept in the record?
    pub const fn is_evidence(self) -> bool {
        matches!(self.sender(), Sender::Program) && !self.is_internal()
    }

    /// How many bytes its payload has, where that never varies.
    pub const fn payload_len(self) -> Option<usize> {
        match self {
            FrameKind::ScenarioStart
            | FrameKind::ScenarioPause
            | FrameKind::ScenarioResume
            | FrameKind::SchedulerSwapped => Some(0),
            FrameKind::ScenarioEnd => Some(16),
            FrameKind::Stimulus => Some(24),
            FrameKind::SnapshotRequest => Some(72),
            FrameKind::SnapshotReply => Some(520),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn letters(kind: FrameKind) -> String {
        String::from_utf8(kind.word().to_le_bytes().to_vec()).unwrap()
    }

    fn those(is: impl Fn(FrameKind) -> bool) -> String {
        let words: Vec<String> = FrameKind::ALL
            .iter()
            .filter(|kind| is(**kind))
            .map(|kind| letters(*kind))
            .collect();
        words.join(" ")
    }

    /// F5: every kind is four ASCII letters of its own, and comes back from them.
    #[test]
    fn every_kind_has_its_own_four_letters() {
        for kind in FrameKind::ALL {
            assert_eq!(FrameKind::from_word(kind.word()), Some(*kind));
            assert!(
                letters(*kind).bytes().all(|byte| byte.is_ascii_uppercase()),
                "{kind:?}"
            );
        }
        let different: BTreeSet<u32> = FrameKind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(different.len(), FrameKind::ALL.len());
        assert_eq!(FrameKind::from_word(u32::from_le_bytes(*b"NONE")), None);
        assert_eq!(FrameKind::from_word(0), None);
    }

    /// F5: the letters are what travels; saved guests have them in their programs.
    #[test]
    fn the_letters_are_pinned() {
        assert_eq!(those(|kind| kind.sender() == Sender::Agent), "HELO NOTE RPLY");
        assert_eq!(
            those(|kind| kind.sender() == Sender::Host),
            "ACKN CMND DENY SNRP KORP"
        );
        assert_eq!(
            those(FrameKind::is_evidence),
            "STIM SCST SCPA SCRE SCEN EXIT TEST SCHX CRSH PMET PRAW COVP SOUT SERR SLOG SLGB SLGE LIFE EXEX DMSG PROB"
        );
        assert_eq!(
            those(|kind| kind.sender() == Sender::Program && kind.is_internal()),
            "KBID SWAP SNRQ KORQ"
        );
    }

    /// F6: these are between the two sides only, and no evidence.
    #[test]
    fn what_is_internal_is_no_evidence() {
        let internal = [
            FrameKind::SnapshotRequest,
            FrameKind::SnapshotReply,
            FrameKind::KernelOpRequest,
            FrameKind::KernelOpReply,
            FrameKind::SchedulerSwapped,
            FrameKind::KernelBuildId,
        ];
        for kind in FrameKind::ALL {
            assert_eq!(kind.is_internal(), internal.contains(kind), "{kind:?}");
            assert!(!(kind.is_internal() && kind.is_evidence()), "{kind:?}");
        }
    }

    /// F6: what the host answers is never evidence, should a guest send it.
    #[test]
    fn what_the_host_sends_is_not_from_the_guest() {
        for kind in FrameKind::ALL {
            assert_ne!(kind.from_guest(), kind.sender() == Sender::Host, "{kind:?}");
            assert!(!kind.is_evidence() || kind.from_guest(), "{kind:?}");
        }
        assert!(!FrameKind::SnapshotReply.from_guest());
        assert!(FrameKind::SnapshotRequest.from_guest());
    }
}
