//! `struct rhashtable`: buckets of chains, resized while it is used.
//!
//! ```text
//!  rhashtable.tbl ─► bucket_table ── size, nest ── buckets[size]: pointer to a rhash_head, bit 0 is its lock
//!                        └ future_tbl ─► the table that it is being moved to
//!  rhash_head.next ─► … ─► an odd number ends the chain
//! ```
//! Mirrors `__rhashtable_walk_find_next` of lib/rhashtable.c. A chain of an `rhltable` is a chain of first objects.

use guestmem::GuestVirt;

use super::visited::Visited;
use crate::{Object, ReadError};

/// A table has no more buckets, and no more tables are being moved to.
const MOST_BUCKETS: u64 = 1 << 20;
const MOST_TABLES: usize = 8;

/// The nodes (`struct rhash_head`) of the table, at most `most`.
pub fn rhashtable(table: Object<'_>, most: usize) -> impl Iterator<Item = Result<Object<'_>, ReadError>> {
    let mut visited = Visited::new(most);
    let mut buckets = Buckets {
        table: Some(table.follow_opt("tbl")),
        tables: 0,
        next: 0,
        size: 0,
    };
    // The next node's address, odd at the end of a chain.
    let mut at = 1;
    let mut done = false;
    std::iter::from_fn(move || {
        let mut next = || {
            while at & 1 == 1 {
                match buckets.next(table)? {
                    Some(first) => at = first,
                    None => return Ok(None),
                }
            }
            // Only a bucket can be NULL: a chain has an odd end.
            if at == 0 {
                let what = format!("the end of a chain of {}", table.describe());
                return Err(ReadError::Null { what });
            }
            visited.note(GuestVirt(at), || table.describe())?;
            let node = table.kernel().object(GuestVirt(at), "rhash_head")?;
            at = node.u64("next")?;
            Ok(Some(node))
        };
        if done {
            return None;
        }
        let found = next().transpose();
        done = !matches!(found, Some(Ok(_)));
        found
    })
}

struct Buckets<'k> {
    table: Option<Result<Option<Object<'k>>, ReadError>>,
    tables: usize,
    next: u64,
    size: u64,
}

impl<'k> Buckets<'k> {
    /// The first node of the next bucket, or an odd number; `None` behind the last bucket of the last table.
    fn next(&mut self, whole: Object<'k>) -> Result<Option<u64>, ReadError> {
        let Some(table) = self.table.take().unwrap_or(Ok(None))? else {
            return Ok(None);
        };
        if self.next == 0 {
            self.tables += 1;
            if self.tables > MOST_TABLES {
                return Err(ReadError::TooMany {
                    what: format!("the chain of tables up to {}", table.describe()),
                    most: MOST_TABLES,
                });
            }
            self.size = buckets_of(&table)?;
        }
        if self.next == self.size {
            self.next = 0;
            self.table = Some(table.follow_opt("future_tbl"));
            return Ok(Some(1));
        }
        let bucket = table.field("buckets")?.element(self.next)?.address();
        self.next += 1;
        self.table = Some(Ok(Some(table)));
        let word = whole.kernel().read_u64(bucket)?;
        // The lock may be held on an empty bucket too.
        let first = word & !1;
        Ok(Some(if first == 0 { 1 } else { first }))
    }
}

/// `size` of a `struct bucket_table`, if a kernel can have made it.
fn buckets_of(table: &Object<'_>) -> Result<u64, ReadError> {
    let (size, nest) = (table.u64("size")?, table.u64("nest")?);
    let wrong = |field, value, why: String| {
        let what = format!("{field} of {}", table.describe());
        Err(ReadError::out_of_range(what, value, why))
    };
    if nest != 0 {
        return wrong(
            "nest",
            nest,
            "tables of tables of buckets are not read".to_owned(),
        );
    }
    match size {
        1..=MOST_BUCKETS if size.is_power_of_two() => Ok(size),
        1..=MOST_BUCKETS => wrong("size", size, "it is a power of two in every table".to_owned()),
        _ => wrong("size", size, format!("a table has 1 to {MOST_BUCKETS} buckets")),
    }
}
