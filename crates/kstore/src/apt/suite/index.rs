//! The suite's package index: brought up to date by `apt-get update`, queried through `apt-cache` and `dpkg`.

use std::fs;

use super::Suite;
use super::choose::PackageIndex;
use super::status::on_percent;
use crate::apt::AptError;
use crate::apt::packages::{self, Package};
use crate::apt::program::Run;
use crate::progress::Progress;

impl Suite<'_> {
    /// Brings the package index up to date; cheap when nothing has changed.
    pub(super) fn update(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), AptError> {
        let report = |percent| Progress::Indexing {
            suite: self.request.suite.clone(),
            percent,
        };
        progress(report(0.0));
        let run = self.run(
            &self.programs.apt_get,
            ["-qq", "update"].map(Into::into).to_vec(),
            self.state,
        );
        match run.lines(&mut on_percent(|percent| progress(report(percent)))) {
            Err(failed @ AptError::Failed { .. }) => Err(AptError::NoIndex {
                suite: self.request.suite.clone(),
                mirror: self.mirror(),
                source: Box::new(failed),
            }),
            other => other,
        }
    }

    /// Removes apt's parsed index: three quarters of the state directory, and built again in half a second.
    pub(super) fn drop_cache(&self) {
        let _ = fs::remove_file(self.state.join("cache/pkgcache.bin"));
    }

    fn apt_cache(&self, args: &[&str]) -> Result<String, AptError> {
        self.run(
            &self.programs.apt_cache,
            args.iter().map(Into::into).collect(),
            self.state,
        )
        .output()
    }
}

impl PackageIndex for Suite<'_> {
    fn names(&self, prefix: &str) -> Result<String, AptError> {
        self.apt_cache(&["pkgnames", prefix])
    }

    fn show(&self, names: &[&str]) -> Result<Vec<Package>, AptError> {
        let args: Vec<&str> = ["show"].into_iter().chain(names.iter().copied()).collect();
        Ok(packages::parse_show(&self.apt_cache(&args)?))
    }

    fn is_newer(&self, a: &str, b: &str) -> Result<bool, AptError> {
        let run = Run {
            program: &self.programs.dpkg,
            args: ["--compare-versions", a, "gt", b].map(Into::into).to_vec(),
            cwd: self.state,
            lock: Some(self.lock),
            patience: self.programs.patience,
        };
        match run.output() {
            Ok(_) => Ok(true),
            Err(AptError::Failed { status, .. }) if status.code() == Some(1) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
