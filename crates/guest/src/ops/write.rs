//! [`Write`]: a text for a cgroup or sysctl file.

use std::path::Path;

use spec::OpOutcome;
use spec::op::Write;

use super::file::{check_absolute, write_existing};
use crate::error::{Failure, system};

/// Writes the text at once: these files take each write for a whole value.
pub(super) fn carry_out(op: &Write) -> Result<OpOutcome, Failure> {
    let Write { path, text } = op;
    check_absolute(path)?;
    write_existing(Path::new(path), text).map_err(|error| {
        let next = match error.raw_os_error() {
            Some(libc::ENOENT) => {
                "the file must exist: make the cgroup first, enable its controller, or take a kernel that has it"
            }
            Some(libc::EINVAL | libc::ERANGE) => "the kernel does not take this text; read the file to see its form",
            Some(libc::EACCES | libc::EPERM) => "the kernel lets nobody write to it",
            _ => "the kernel's log may have more",
        };
        system(format!("write `{text}` to {path}"))(error).advise(next)
    })?;
    Ok(OpOutcome::Done)
}

#[cfg(test)]
mod tests {
    use spec::OpError;

    use super::*;
    use crate::testing::{Stage, does};

    #[test]
    fn a_file_that_is_there_gets_the_text_as_it_is() {
        let stage = Stage::new();
        stage.write("cpu.max", "max 100000\n");
        let path = stage.path("cpu.max");
        assert_eq!(stage.reply(does(Write::new(&path, "5 10"))), Ok(OpOutcome::Done));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "5 10");
    }

    #[test]
    fn what_cannot_be_written_says_the_errno_and_the_next_step() {
        let stage = Stage::new();
        let check = |path: &str, errno: i32, next: &str| {
            let error = stage.reply(does(Write::new(path, "5"))).unwrap_err();
            assert!(
                matches!(error, OpError::System { errno: found, .. } if found == errno),
                "{error}"
            );
            let error = error.to_string();
            assert!(
                error.starts_with(&format!("write `5` to {path}:")) && error.contains(next),
                "{error}"
            );
        };
        let missing = stage.path("no/such/file");
        check(&missing, libc::ENOENT, "the file must exist");
        assert!(!Path::new(&missing).exists(), "it is not made");
        check("/dev/full", libc::ENOSPC, "log may have more");
        let relative = stage.reply(does(Write::new("cpu.max", 5)));
        assert!(matches!(relative, Err(OpError::State(_))));
    }
}
