//! `struct xarray`: a radix tree of pointers by index; an `idr` has one, and a `radix_tree_root` is one.
//!
//! ```text
//!  xa_head ─┬─ …00 pointer to an entry     (index 0 only)
//!           ├─ …10 > 4096: pointer to an xa_node, plus 2 ──► slots[64], each again one of these
//!           ├─ …10 ≤ 4096: sibling, retry or zero entry: not an entry of the user's
//!           └─ …1  a value (a number, shifted left by one)
//! ```
//! Mirrors `xas_load` and `xas_next_entry` of lib/xarray.c.

use guestmem::GuestVirt;

use super::visited::Visited;
use crate::{Object, ReadError};

/// What `xa_is_node` takes for a node is above this.
const LAST_INTERNAL: u64 = 4096;
/// Indices have 64 bits, and a node decides at least one of them.
const DEEPEST: usize = 64;

/// The entries of the array, the lowest index first: pointers to the user's objects, whose type the array does not
/// know, and numbers with their lowest bit set. At most `most` nodes are visited.
pub fn xarray(array: Object<'_>, most: usize) -> impl Iterator<Item = Result<(u64, GuestVirt), ReadError>> {
    let mut visited = Visited::new(most);
    let mut pending: Vec<Branch<'_>> = Vec::new();
    let mut start = Some(());
    std::iter::from_fn(move || {
        let mut next = || -> Result<Option<(u64, GuestVirt)>, ReadError> {
            if start.take().is_some() {
                let head = head(array)?.bits()?;
                match entry(head) {
                    Entry::None => return Ok(None),
                    Entry::User => return Ok(Some((0, GuestVirt(head)))),
                    Entry::Node(at) => pending.push(Branch::enter(array, at, 0, None, &mut visited)?),
                }
            }
            while let Some(branch) = pending.last_mut() {
                let Some((index, slot)) = branch.next_slot()? else {
                    pending.pop();
                    continue;
                };
                let shift = branch.shift;
                match entry(slot) {
                    Entry::None => {}
                    Entry::User => return Ok(Some((index, GuestVirt(slot)))),
                    Entry::Node(at) if pending.len() < DEEPEST => {
                        pending.push(Branch::enter(array, at, index, Some(shift), &mut visited)?);
                    }
                    Entry::Node(_) => {
                        return Err(ReadError::TooMany {
                            what: format!("a branch of {}", array.describe()),
                            most: DEEPEST,
                        });
                    }
                }
            }
            Ok(None)
        };
        let found = next().transpose();
        if matches!(found, Some(Err(_))) {
            pending.clear();
        }
        found
    })
}

/// The first pointer: of an xarray, or of the one in an idr.
fn head(array: Object<'_>) -> Result<Object<'_>, ReadError> {
    array.field("xa_head").or_else(|error| match error {
        error if error.is_absent() => array.field("idr_rt.xa_head"),
        error => Err(error),
    })
}

enum Entry {
    None,
    User,
    Node(GuestVirt),
}

fn entry(word: u64) -> Entry {
    match word & 3 {
        _ if word == 0 => Entry::None,
        2 if word > LAST_INTERNAL => Entry::Node(GuestVirt(word - 2)),
        2 => Entry::None,
        _ => Entry::User,
    }
}

/// A node that is being walked.
struct Branch<'k> {
    slots: Object<'k>,
    len: u64,
    next: u64,
    /// The index that its first slot stands for, and how far the slots' indices are apart (log2).
    index: u64,
    shift: u8,
}

impl<'k> Branch<'k> {
    fn enter(
        array: Object<'k>,
        at: GuestVirt,
        index: u64,
        above: Option<u8>,
        visited: &mut Visited,
    ) -> Result<Branch<'k>, ReadError> {
        visited.note(at, || array.describe())?;
        let node = array.kernel().object(at, "xa_node")?;
        let shift = node.u64("shift")?;
        if shift > 63 || above.is_some_and(|above| shift >= u64::from(above)) {
            let what = format!("shift of {}", node.describe());
            return Err(ReadError::out_of_range(
                what,
                shift,
                "a node below another has a smaller shift",
            ));
        }
        let slots = node.field("slots")?;
        let len = node.btf().array(slots.type_id()).map_or(0, |(_, len)| len);
        Ok(Branch {
            slots,
            len: len.into(),
            next: 0,
            index,
            shift: shift as u8,
        })
    }

    /// The next slot with something in it, and its index.
    fn next_slot(&mut self) -> Result<Option<(u64, u64)>, ReadError> {
        while self.next < self.len {
            let slot = self.next;
            self.next += 1;
            let word = self.slots.element(slot)?.bits()?;
            if word == 0 {
                continue;
            }
            // The uppermost node has more slots than there are indices of 64 bits.
            let from = slot << self.shift;
            let index = self
                .index
                .checked_add(from)
                .filter(|_| from >> self.shift == slot);
            return match index {
                Some(index) => Ok(Some((index, word))),
                None => {
                    let what = format!("slot {slot} of {}", self.slots.describe());
                    Err(ReadError::out_of_range(
                        what,
                        word,
                        "its index has more than 64 bits",
                    ))
                }
            };
        }
        Ok(None)
    }
}
