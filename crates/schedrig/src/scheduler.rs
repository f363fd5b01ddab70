//! The program of a scheduler: where it is, and what of it the guest gets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use record::SchedulerPlan;
use session::Program;
use spec::SchedulerSpec;

use crate::RigError;
use crate::kernel::PreparedKernel;

/// A scheduler's program, read, and its description for the record.
#[derive(Clone)]
pub(crate) struct PreparedScheduler {
    pub(crate) program: Arc<Program>,
    pub(crate) plan: SchedulerPlan,
}

/// The same with the program's absolute path, as far as it is found.
pub(crate) fn absolute(spec: &SchedulerSpec) -> SchedulerSpec {
    match spec {
        SchedulerSpec::Eevdf => SchedulerSpec::Eevdf,
        SchedulerSpec::Program { program, args } => SchedulerSpec::Program {
            program: find(program)
                .ok()
                .and_then(|path| std::path::absolute(path).ok())
                .map_or_else(|| program.clone(), |path| path.display().to_string()),
            args: args.clone(),
        },
    }
}

/// Reads the program; `None` for the kernel's own scheduler.
pub(crate) fn read(spec: &SchedulerSpec) -> Result<Option<Program>, RigError> {
    let SchedulerSpec::Program { program, .. } = spec else {
        return Ok(None);
    };
    let read = Program::read(&find(program)?);
    read.map(Some).map_err(|error| RigError::Scheduler {
        program: program.clone(),
        source: error.into(),
    })
}

impl PreparedScheduler {
    /// The scheduler with its program, for a kernel that must have sched_ext.
    pub(crate) fn prepare(
        spec: &SchedulerSpec,
        program: Option<Program>,
        kernel: &PreparedKernel,
    ) -> Result<Option<PreparedScheduler>, RigError> {
        let (SchedulerSpec::Program { args, .. }, Some(program)) = (spec, program) else {
            return Ok(None);
        };
        let files = &kernel.files;
        files.require_sched_ext().map_err(|error| RigError::Kernel {
            request: files.release.clone(),
            source: error.into(),
        })?;
        let name = program.guest_path.rsplit('/').next().unwrap_or_default();
        let plan = SchedulerPlan {
            program: name.to_owned(),
            args: args.clone(),
            sha256: program
                .files
                .first()
                .map(|file| file.sha256.clone())
                .unwrap_or_default(),
        };
        Ok(Some(PreparedScheduler {
            program: Arc::new(program),
            plan,
        }))
    }
}

/// The program's file: as given where it has a `/`, else searched in `SCHEDRIG_SCHEDULERS`, beside the running
/// program (where cargo puts the workspace's programs), and on the search path.
pub(crate) fn find(program: &str) -> Result<PathBuf, RigError> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    let directories = directories();
    directories
        .iter()
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let looked: Vec<String> = directories
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            RigError::NoScheduler {
                program: program.to_owned(),
                looked: looked.join(", "),
            }
        })
}

fn directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Some(own) = std::env::var_os("SCHEDRIG_SCHEDULERS") {
        directories.extend(std::env::split_paths(&own));
    }
    let here = std::env::current_exe().ok();
    // target/debug/deps/test-… → target/debug; target/debug/cargo-schedrig → target/debug
    directories.extend(
        here.iter()
            .flat_map(|exe| exe.ancestors().skip(1).take(2))
            .map(Path::to_owned),
    );
    directories.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_nowhere_is_an_error_that_says_where_it_was_looked_for() {
        let error = find("scx_no_such").unwrap_err().to_string();
        assert!(error.contains("scx_no_such") && error.contains("/bin"), "{error}");
        assert_eq!(
            find("/no/such").unwrap(),
            PathBuf::from("/no/such"),
            "paths are taken as they are"
        );
    }
}
