//! The ops, one file each: what the agent does for one of [`spec::op`].
//!
//! A file has `carry_out(op, …)`, which gets what it needs from the [`Context`]. It knows neither the host nor the loop
//! that called it: an outcome is a reply there, an error is one too.

mod cpu;
mod exec;
mod file;
mod make_cgroup;
mod read_file;
mod run_for;
mod scheduler;
mod spawn;
mod write;
mod write_chunk;

use spec::{Nanos, Op, OpError, OpOutcome};

use crate::context::Context;
use crate::error::Failure;

pub(crate) use write_chunk::write_chunk;

/// Carries an op out; `within` is the time after which it gives up on a program that it waits for.
pub(crate) fn carry_out(op: &Op, within: Nanos, context: &mut Context) -> Result<OpOutcome, Failure> {
    match op {
        Op::ReadFile(op) => read_file::carry_out(op, context),
        Op::MakeCgroup(op) => make_cgroup::carry_out(op, context),
        Op::Spawn(op) => spawn::carry_out(op, context),
        Op::StartScheduler(op) => scheduler::start(op, within, context),
        Op::StopScheduler(_) => scheduler::stop(within, context),
        Op::RunFor(op) => run_for::carry_out(op, context),
        Op::Exec(op) => exec::carry_out(op, context),
        Op::Cpu(op) => cpu::carry_out(op, context),
        Op::Write(op) => write::carry_out(op),
        Op::PutFile(_)
        | Op::PutProgram(_)
        | Op::WriteKernel(_)
        | Op::Note(_)
        | Op::BodyFailed(_)
        | Op::Seed(_) => {
            let op = op.name().to_owned();
            Err(OpError::ByHost { op }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use spec::op::Note;

    use super::*;
    use crate::testing::{Stage, does};

    #[test]
    fn an_op_of_the_host_is_refused_by_its_name() {
        let (key, value) = ("a".to_owned(), "b".to_owned());
        let error = Stage::new().reply(does(Note { key, value })).unwrap_err();
        assert_eq!(
            error,
            OpError::ByHost {
                op: "note".to_owned()
            }
        );
    }
}
