//! `struct hlist_head` and `struct hlist_nulls_head`: a chain that ends in NULL, or in an odd number.

use guestmem::GuestVirt;

use super::visited::Visited;
use crate::{Object, ReadError};

/// The nodes of the chain with this head, at most `most`.
pub fn hlist(head: Object<'_>, most: usize) -> impl Iterator<Item = Result<Object<'_>, ReadError>> {
    let mut visited = Visited::new(most);
    let mut link = Some(head.field("first"));
    std::iter::from_fn(move || {
        let node = (|| {
            let pointer = link.take()?;
            let follow = || {
                let pointer = pointer?;
                let at = pointer.bits()?;
                if at == 0 || at & 1 == 1 {
                    return Ok(None);
                }
                visited.note(GuestVirt(at), || head.describe())?;
                pointer.deref().map(Some)
            };
            follow().transpose()
        })()?;
        if let Ok(node) = &node {
            link = Some(node.field("next"));
        }
        Some(node)
    })
}
