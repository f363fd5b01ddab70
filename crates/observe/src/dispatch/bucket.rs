//! Evidence that the guest's programs sent, as it came (contracts D11, F6).

use spec::Nanos;
use wire::FrameKind;

use crate::bounded::BoundedVec;

/// The most frames that are kept.
pub const MOST_EVIDENCE: usize = 1 << 16;

/// The most bytes that all kept payloads have together.
pub const MOST_EVIDENCE_BYTES: usize = 256 << 20;

/// A frame that is kept for the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it is.
    pub kind: FrameKind,
    /// When it came, in the guest's time.
    pub at: Nanos,
    /// Its payload, verbatim.
    pub payload: Vec<u8>,
    /// Is the payload what was sent?
    pub intact: bool,
}

/// Evidence had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for {len} bytes of {kind:?}: {frames} frames with {bytes} bytes are kept already")]
pub struct NoRoom {
    /// What it is.
    pub kind: FrameKind,
    /// Bytes of its payload.
    pub len: usize,
    /// Frames that are kept.
    pub frames: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// All evidence, in the order in which it came. What came first is kept.
#[derive(Debug, Clone)]
pub struct Bucket {
    frames: BoundedVec<Evidence>,
    bytes: usize,
    most_bytes: usize,
    /// What had no room for its bytes.
    too_long: u64,
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket::new(MOST_EVIDENCE, MOST_EVIDENCE_BYTES)
    }
}

impl Bucket {
    /// An empty one, for so many frames and bytes.
    pub fn new(most: usize, most_bytes: usize) -> Bucket {
        Bucket {
            frames: BoundedVec::new(most),
            bytes: 0,
            most_bytes,
            too_long: 0,
        }
    }

    /// Keeps a payload, if its kind is evidence at all.
    ///
    /// # Errors
    /// [`NoRoom`], which is counted.
    pub fn put(&mut self, kind: FrameKind, at: Nanos, payload: &[u8], intact: bool) -> Result<(), NoRoom> {
        if !kind.is_evidence() {
            return Ok(());
        }
        let no_room = NoRoom {
            kind,
            len: payload.len(),
            frames: self.frames.len(),
            bytes: self.bytes,
        };
        let bytes = self.bytes.saturating_add(payload.len());
        if bytes > self.most_bytes {
            self.too_long = self.too_long.saturating_add(1);
            return Err(no_room);
        }
        // Where there is no room for it, it is not copied.
        if self.frames.is_full() {
            self.frames.refuse();
            return Err(no_room);
        }
        let payload = payload.to_vec();
        let evidence = Evidence {
            kind,
            at,
            payload,
            intact,
        };
        self.frames.push(evidence).map_err(|_| no_room)?;
        self.bytes = bytes;
        Ok(())
    }

    /// What is kept, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Evidence> {
        self.frames.iter()
    }

    /// How many frames had no room so far.
    pub fn refused(&self) -> u64 {
        self.frames.refused().saturating_add(self.too_long)
    }

    /// Takes all out, the oldest first. How many had no room stays known.
    pub fn drain(&mut self) -> Vec<Evidence> {
        self.bytes = 0;
        self.frames.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bucket: &mut Bucket, kind: FrameKind, len: usize) -> bool {
        bucket.put(kind, Nanos(1), &vec![7; len], true).is_ok()
    }

    /// F6: the bucket itself takes no frame that is internal, whoever puts it there.
    #[test]
    fn no_internal_frame_gets_into_the_bucket() {
        for kind in FrameKind::ALL {
            let mut bucket = Bucket::default();
            assert!(put(&mut bucket, *kind, 1));
            assert_eq!(bucket.iter().count(), usize::from(kind.is_evidence()), "{kind:?}");
            assert!(!(kind.is_internal() && bucket.iter().count() > 0));
        }
    }

    /// D11: what has no room is counted, by frames and by bytes; what came first stays.
    #[test]
    fn what_has_no_room_is_counted() {
        let mut bucket = Bucket::new(2, 10);
        assert!(put(&mut bucket, FrameKind::Stdout, 8));
        let no_room = bucket
            .put(FrameKind::Stderr, Nanos(2), &[0; 3], true)
            .unwrap_err();
        assert_eq!((no_room.len, no_room.frames, no_room.bytes), (3, 1, 8));
        assert!(put(&mut bucket, FrameKind::Exit, 2));
        assert!(!put(&mut bucket, FrameKind::Exit, 0));
        assert_eq!(bucket.refused(), 2);
        let kept: Vec<FrameKind> = bucket.drain().iter().map(|evidence| evidence.kind).collect();
        assert_eq!(kept, [FrameKind::Stdout, FrameKind::Exit]);
        assert!(put(&mut bucket, FrameKind::Stdout, 10), "there is room again");
        assert_eq!(bucket.refused(), 2);
    }
}
