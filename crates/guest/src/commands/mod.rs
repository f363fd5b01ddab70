//! The commands, one file each subject.

pub(crate) mod cgroup;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod run;
pub(crate) mod scheduler;
pub(crate) mod spawn;
