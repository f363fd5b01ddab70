//! `struct list_head`: a ring through its head.

use guestmem::GuestVirt;

use super::visited::Visited;
use crate::{Object, ReadError};

/// The nodes of the list with this head, at most `most`. A ring that does not come back to its head is an error.
pub fn list(head: Object<'_>, most: usize) -> impl Iterator<Item = Result<Object<'_>, ReadError>> {
    let mut visited = Visited::new(most);
    let mut at = Some(head);
    std::iter::from_fn(move || {
        let node = at.take()?;
        let next = (|| {
            let next = next(node)?;
            if next.address() == head.address() {
                return Ok(None);
            }
            visited.note(next.address(), || head.describe())?;
            Ok(Some(next))
        })();
        at = next.as_ref().ok().copied().flatten();
        next.transpose()
    })
}

fn next(node: Object<'_>) -> Result<Object<'_>, ReadError> {
    // `next` is the first member of every list_head, and the type of all nodes is that of the head.
    match node.pointer("next")? {
        GuestVirt(0) => Err(ReadError::Null {
            what: format!("next of {}", node.describe()),
        }),
        at => Ok(node.elsewhere(at)),
    }
}
