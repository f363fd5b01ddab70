//! The kernel's collections, walked in a guest's memory: bounded, and a circle is found and told.
//!
//! | here | kernel | yields |
//! |---|---|---|
//! | [`list`] | `struct list_head`: `list_for_each` | nodes |
//! | [`hlist`] | `struct hlist_head`, `hlist_nulls_head`: `hlist_for_each` | nodes |
//! | [`rbtree`] | `struct rb_root`: `rb_first`, `rb_next` | nodes, in order |
//! | [`xarray`] | `struct xarray`, `idr`, `radix_tree_root`: `xa_for_each` | index and entry |
//! | [`rhashtable`] | `struct rhashtable`: `rhashtable_walk_next` | nodes |
//!
//! A walk ends at its first error. Nodes become what they are a part of by [`Object::container_of`], which
//! [`containers`] does for all.

mod hlist;
mod list;
mod rbtree;
mod rhashtable;
mod visited;
mod xarray;

#[cfg(test)]
mod tests;

pub use hlist::hlist;
pub use list::list;
pub use rbtree::rbtree;
pub use rhashtable::rhashtable;
pub(crate) use visited::Visited;
pub use xarray::xarray;

use crate::object::Container;
use crate::{Object, ReadError};

/// Nodes of one collection at the most, unless a walk says otherwise.
pub const MOST: usize = 1 << 16;

/// The structs that these nodes are the `member` of.
pub fn containers<'k>(
    nodes: impl Iterator<Item = Result<Object<'k>, ReadError>>,
    structure: &str,
    member: &str,
) -> impl Iterator<Item = Result<Object<'k>, ReadError>> {
    let mut known = None;
    nodes.map(move |node| {
        let node = node?;
        let container = match known {
            Some(container) => container,
            None => *known.insert(Container::of(node.btf(), structure, member)?),
        };
        Ok(container.around(&node))
    })
}
