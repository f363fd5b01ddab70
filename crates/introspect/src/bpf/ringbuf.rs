//! `struct bpf_ringbuf`: records on their way to user space, or from there.
//!
//! ```text
//!  data (mask + 1 bytes, mapped twice)   …│ read │ records │ free …
//!                                                ▲         ▲
//!                                         consumer_pos  producer_pos      (both only grow)
//!  record = header: length, bits 31 (busy) and 30 (discarded) │ page offset │ data, rounded up to 8
//! ```

use record::Value;

use super::{Contents, Datum, Entry, Held, Key, Map};
use crate::{Object, ReadError};

/// `struct bpf_ringbuf` of a map.
#[derive(Debug, Clone, Copy)]
pub struct RingBuf<'b>(Object<'b>);

/// A record that was not consumed yet.
#[derive(Debug, Clone, Copy)]
pub struct Record<'b> {
    /// Where it begins, as a position.
    pub pos: u64,
    /// Is it still being written?
    pub busy: bool,
    /// Was it given up?
    pub discarded: bool,
    /// What is in it.
    pub data: Datum<'b>,
}

/// `BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT`, `BPF_RINGBUF_HDR_SZ`.
const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: u64 = 8;
/// The kernel makes none that is larger.
const MOST_BYTES: u64 = 1 << 36;
/// Records that are looked at.
const MOST_RECORDS: usize = 1 << 20;

impl<'b> RingBuf<'b> {
    /// That of a map.
    pub fn of(map: &Map<'b>) -> Result<RingBuf<'b>, ReadError> {
        map.within("bpf_ringbuf_map")?.follow("rb").map(RingBuf)
    }

    /// The `struct bpf_ringbuf` itself.
    pub fn object(&self) -> Object<'b> {
        self.0
    }

    /// `mask + 1`: bytes of data.
    pub fn size(&self) -> Result<u64, ReadError> {
        let mask = self.0.u64("mask")?;
        let size = mask.wrapping_add(1);
        if !size.is_power_of_two() || size > MOST_BYTES {
            let what = format!("mask of {}", self.0.describe());
            return Err(ReadError::out_of_range(what, mask, "a power of two, less one"));
        }
        Ok(size)
    }

    /// `consumer_pos`: the byte up to which it was read.
    pub fn consumer_pos(&self) -> Result<u64, ReadError> {
        self.0.u64("consumer_pos")
    }

    /// `producer_pos`: the byte up to which it was written.
    pub fn producer_pos(&self) -> Result<u64, ReadError> {
        self.0.u64("producer_pos")
    }

    /// `pending_pos`: the oldest record that is still being written.
    pub fn pending_pos(&self) -> Result<u64, ReadError> {
        self.0.u64("pending_pos")
    }

    /// Bytes that wait to be read.
    pub fn unread(&self) -> Result<u64, ReadError> {
        let (consumer, producer) = (self.consumer_pos()?, self.producer_pos()?);
        let unread = producer.wrapping_sub(consumer);
        if unread > self.size()? {
            let what = format!("producer_pos of {}", self.0.describe());
            let why = format!(
                "consumer_pos is {consumer:#x}, and it has {:#x} bytes",
                self.size()?
            );
            return Err(ReadError::out_of_range(what, producer, why));
        }
        Ok(unread)
    }

    /// The records between the two positions, `most` of them at the most, and how many there are.
    pub fn records(&self, most: usize) -> Result<(Vec<Record<'b>>, u64), ReadError> {
        let kernel = self.0.kernel();
        let (size, unread) = (self.size()?, self.unread()?);
        let (start, data) = (self.consumer_pos()?, self.0.field("data")?.address());
        let (mut records, mut total, mut done) = (Vec::new(), 0, 0);
        while done < unread {
            let pos = start.wrapping_add(done);
            let at = data.wrapping_add(pos & (size - 1));
            let header = kernel.read_u32(at)?;
            let len = u64::from(header & !(BUSY | DISCARD));
            let whole = (len + HEADER).next_multiple_of(8);
            if whole > unread - done || total as usize == MOST_RECORDS {
                let what = format!("the record at {pos:#x} of {}", self.0.describe());
                let why = format!(
                    "{:#x} bytes are left, and {MOST_RECORDS} records at most",
                    unread - done
                );
                return Err(ReadError::out_of_range(what, len, why));
            }
            if records.len() < most {
                records.push(Record {
                    pos,
                    busy: header & BUSY != 0,
                    discarded: header & DISCARD != 0,
                    data: Datum::new(kernel, at.wrapping_add(HEADER), len, None),
                });
            }
            total += 1;
            done += whole;
        }
        Ok((records, total))
    }

    /// Size and positions.
    pub fn value(&self) -> Value {
        let mut tree = vec![
            ("size", Value::from(self.size())),
            ("consumer_pos", Value::from(self.consumer_pos())),
            ("producer_pos", Value::from(self.producer_pos())),
            ("unread", Value::from(self.unread())),
        ];
        // v6.13
        if self.0.has("pending_pos") {
            tree.insert(3, ("pending_pos", Value::from(self.pending_pos())));
        }
        Value::tree(tree)
    }
}

/// The records that wait, each by its position.
pub(super) fn contents<'b>(map: &Map<'b>, most: usize) -> Result<Contents<'b>, ReadError> {
    let (records, total) = RingBuf::of(map)?.records(most)?;
    let entries = records.into_iter().map(|record| Entry {
        key: Key::Index(record.pos),
        value: Held::One(record.data),
    });
    Ok(Contents {
        entries: entries.collect(),
        total,
        problem: None,
    })
}
