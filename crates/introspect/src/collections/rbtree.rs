//! `struct rb_root`: a binary tree, in order.

use super::visited::Visited;
use crate::{Object, ReadError};

/// No red-black tree of that many nodes is deeper: 2 log2(n + 1).
const DEEPEST: usize = 64;

/// The nodes of the tree with this root (`struct rb_root`, or `rb_root_cached`), the leftmost first; at most `most`.
pub fn rbtree(root: Object<'_>, most: usize) -> impl Iterator<Item = Result<Object<'_>, ReadError>> {
    let mut visited = Visited::new(most);
    // Nodes whose left is done and whose selves are not.
    let mut pending = Vec::new();
    let mut down = Some(root.follow_opt("rb_node").or_else(|error| match error {
        error if error.is_absent() => root.follow_opt("rb_root.rb_node"),
        error => Err(error),
    }));
    std::iter::from_fn(move || {
        let mut next = || {
            let mut to = down.take().unwrap_or(Ok(None))?;
            while let Some(node) = to {
                visited.note(node.address(), || root.describe())?;
                if pending.len() == DEEPEST {
                    return Err(ReadError::TooMany {
                        what: format!("a branch of {}", root.describe()),
                        most: DEEPEST,
                    });
                }
                pending.push(node);
                to = node.follow_opt("rb_left")?;
            }
            Ok(pending.pop())
        };
        let node = next().transpose()?;
        match &node {
            Ok(node) => down = Some(node.follow_opt("rb_right")),
            Err(_) => pending.clear(),
        }
        Some(node)
    })
}
