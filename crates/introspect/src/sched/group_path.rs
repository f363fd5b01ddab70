//! The path of a task group: where its cgroup is, or which autogroup it is.

use crate::{Object, ReadError};

/// Cgroups within cgroups; the kernel's own default limit is the largest number.
const DEEPEST: usize = 256;

/// The path of a `struct task_group`, as `task_group_path()` of kernel/sched/debug.c has it: `/`, `/a/b`,
/// `/autogroup-12`.
pub(super) fn group_path(group: Object<'_>) -> Result<String, ReadError> {
    match group.follow_opt("autogroup") {
        // The root group has a pointer to an autogroup that is not its own.
        Ok(Some(autogroup)) if autogroup.pointer("tg")? == group.address() => {
            let id = autogroup.u64("id")?;
            if id > 0 {
                return Ok(format!("/autogroup-{id}"));
            }
        }
        Err(error) if !error.is_absent() => return Err(error),
        _ => {}
    }
    kernfs_path(group.follow("css.cgroup->kn")?)
}

/// The path of a `struct kernfs_node` from the root of its hierarchy: `/`, `/a/b`.
pub(crate) fn kernfs_path(node: Object<'_>) -> Result<String, ReadError> {
    let mut names = Vec::new();
    let mut at = node;
    loop {
        let parent = match at.follow_opt("__parent") {
            Err(error) if error.is_absent() => at.follow_opt("parent"),
            found => found,
        };
        let Some(parent) = parent? else {
            break;
        };
        if names.len() == DEEPEST {
            return Err(ReadError::TooMany {
                what: format!("the path of {}", node.describe()),
                most: DEEPEST,
            });
        }
        names.push(at.str("name")?);
        at = parent;
    }
    names.reverse();
    Ok(format!("/{}", names.join("/")))
}
