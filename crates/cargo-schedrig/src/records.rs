//! The records on disk, as a subcommand is given one: `RECORD` and `--records`.

use std::path::PathBuf;

use clap::Args;
use record::Record;

/// Where records are.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The directory of records [default: schedrig/records in the user's state directory].
    #[arg(
        id = "records",
        long = "records",
        value_name = "DIR",
        env = "SCHEDRIG_RECORDS"
    )]
    pub(crate) directory: Option<PathBuf>,
}

impl Records {
    /// Where they are.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        Ok(match &self.directory {
            Some(directory) => directory.clone(),
            None => schedrig::default_records_dir()?,
        })
    }

    /// The directory of a record, by its directory, its name, or the beginning of its hash.
    pub(crate) fn find(&self, which: &str) -> anyhow::Result<PathBuf> {
        Ok(record::find(which, &self.directory()?)?)
    }

    /// A record, with its directory.
    pub(crate) fn load(&self, which: &str) -> anyhow::Result<(PathBuf, Record)> {
        let place = self.find(which)?;
        let record = record::load(&place)?;
        Ok((place, record))
    }
}
