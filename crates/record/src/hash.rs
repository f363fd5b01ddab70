//! The record hash: two runs are the same execution if and only if it is equal.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{CheckResult, Evidence, Judgement, Source};

/// SHA-256 over the canonical form of what the guest did and what was judged from that, in hex.
///
/// The canonical form is the compact JSON of the evidence, and that of the list of the checks that were judged from
/// evidence, each after its length in bytes as a little-endian `u64`. It holds no host time, no path and no map of
/// unspecified order. Checks of samples and traces are left out, as samples and traces are: observing a run changes no
/// execution, so it changes no hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordHash(String);

impl RecordHash {
    /// The hash of a run.
    pub fn of(evidence: &Evidence, judgement: &Judgement) -> RecordHash {
        let checks: Vec<&CheckResult> = judgement.from_source(Source::Evidence).collect();
        let mut hasher = Sha256::new();
        for part in [serde_json::to_vec(evidence), serde_json::to_vec(&checks)] {
            // Plain data with string keys: serialisation to memory cannot fail.
            let part = part.unwrap_or_default();
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
        RecordHash(hex(&hasher.finalize()))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits: enough for a name.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes in hex, two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    fn judgement(source: Source, verdict: Verdict) -> Judgement {
        Judgement::of(vec![CheckResult {
            check: "x".into(),
            source,
            verdict,
            reason: "r".into(),
            details: Vec::new(),
        }])
    }

    #[test]
    fn checks_of_observers_change_no_hash_and_those_of_evidence_do() {
        let of = |judgement: &Judgement| RecordHash::of(&Evidence::default(), judgement);
        let none = of(&Judgement::default());
        for source in [Source::Samples, Source::Trace] {
            assert_eq!(of(&judgement(source, Verdict::Fail)), none, "{source}");
        }
        let passed = of(&judgement(Source::Evidence, Verdict::Pass));
        assert_ne!(passed, none);
        assert_ne!(passed, of(&judgement(Source::Evidence, Verdict::Fail)));
    }

    /// Pinned: a change here makes every record another one, and needs another major format.
    #[test]
    fn the_canonical_form_is_pinned() {
        let hash = RecordHash::of(&Evidence::default(), &judgement(Source::Evidence, Verdict::Pass));
        assert_eq!(hash.short(), "87fa9d77ea7a");
    }
}
