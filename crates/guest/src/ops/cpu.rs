//! [`Cpu`]: CPU hotplug (Documentation/core-api/cpu_hotplug.rst).

use spec::OpOutcome;
use spec::op::Cpu;

use super::file;
use crate::context::Context;
use crate::error::{Failure, system};

/// Writes the CPU's `online`; the kernel is done with it when the write returns.
pub(super) fn carry_out(op: &Cpu, context: &Context) -> Result<OpOutcome, Failure> {
    let Cpu { cpu, online } = op;
    let (text, doing) = match online {
        true => ("1", format!("bring CPU {cpu} online")),
        false => ("0", format!("take CPU {cpu} offline")),
    };
    let path = context.places.cpus.join(format!("cpu{cpu}/online"));
    file::write_existing(&path, text).map_err(|error| {
        let next = match error.raw_os_error() {
            Some(libc::ENOENT) => {
                "this kernel cannot take it offline: it is the boot CPU, or CONFIG_HOTPLUG_CPU is not set"
            }
            Some(libc::EBUSY) => "the kernel needs it: deadline tasks, or no other CPU that is online",
            _ => "the kernel's log has more",
        };
        system(doing)(error).advise(next)
    })?;
    Ok(OpOutcome::Done)
}

#[cfg(test)]
mod tests {
    use spec::OpError;

    use super::*;
    use crate::testing::{Stage, does};

    #[test]
    fn a_cpu_goes_offline_and_comes_back() {
        let stage = Stage::new();
        stage.write("cpu/cpu3/online", "1\n");
        let check = |op: Cpu, text: &str| {
            assert_eq!(stage.reply(does(op)), Ok(OpOutcome::Done));
            assert_eq!(
                std::fs::read_to_string(stage.path("cpu/cpu3/online")).unwrap(),
                text
            );
        };
        check(Cpu::offline(3), "0");
        check(Cpu::online(3), "1");
    }

    #[test]
    fn a_cpu_that_cannot_go_offline_says_why() {
        let error = Stage::new().reply(does(Cpu::offline(0))).unwrap_err();
        assert!(
            matches!(
                error,
                OpError::System {
                    errno: libc::ENOENT,
                    ..
                }
            ),
            "{error}"
        );
        let error = error.to_string();
        assert!(
            error.starts_with("take CPU 0 offline:") && error.contains("boot CPU"),
            "{error}"
        );
    }
}
