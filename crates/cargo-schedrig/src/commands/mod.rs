//! The subcommands.

pub(crate) mod doctor;
mod flags;
pub(crate) mod inspect;
pub(crate) mod judge;
pub(crate) mod kernel;
pub(crate) mod records;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod saves;
pub(crate) mod scenario;
pub(crate) mod sweep;
