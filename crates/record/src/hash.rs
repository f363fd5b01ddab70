//! The record hash: two runs are the same execution if and only if it is equal.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Evidence, Judgement};

/// SHA-256 over the canonical form of what the guest did and what was judged, in hex.
///
/// The canonical form is the compact JSON of evidence and judgement, each after its length in bytes as a
/// little-endian `u64`. It holds no host time, no path and no map of unspecified order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordHash(String);

impl RecordHash {
    /// The hash of a run.
    pub fn of(evidence: &Evidence, judgement: &Judgement) -> RecordHash {
        let mut hasher = Sha256::new();
        for part in [serde_json::to_vec(evidence), serde_json::to_vec(judgement)] {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
