//! The one door through which a guest is changed: an op is noted in the script, carried out, and leaves its evidence.
//!
//! Most ops have one way: [`Session::send`] to the agent, and [`EventKind::Applied`] as evidence. The others have a
//! function here, because the host has a part in them or because they leave evidence of their own.

use std::sync::Arc;

use bpfobj::BpfObject;
use record::{EventKind, SchedExt, Window};
use spec::op::{
    Exec, HostProgram, MakeCgroup, Note, PutFile, PutProgram, ReadFile, RunFor, Spawn, StartScheduler,
    StopScheduler, Takes, WriteKernel,
};
use spec::{Nanos, Op, OpError, OpOutcome};
use wire::Command;

use super::describe::machine_died;
use super::{SchedulerLife, Session, SessionError};
use crate::closure::Program;
use crate::replay::read_program;

/// How long the workers of the warm-up work. From some milliseconds a CPU on, more of it translates little more.
const WARM_UP: Nanos = Nanos::from_millis(20);

impl Session {
    /// Applies an op: everything that changes the guest between two of its calls goes through here, so that the script can
    /// do it again.
    ///
    /// # Errors
    /// [`SessionError`]; what the guest did until then is evidence. The outcome of an op that succeeds always is the op's
    /// own.
    pub fn apply(&mut self, op: &Op) -> Result<OpOutcome, SessionError> {
        // Its bytes may have to be read first, and what is noted are the sums of what was read.
        if let Op::PutProgram(op) = op {
            return self.put_program(op);
        }
        self.note_in_script(op.recorded());
        match op {
            Op::PutFile(op) => self.put_file(op),
            Op::ReadFile(op) => self.read_file(op),
            Op::MakeCgroup(op) => self.make_cgroup(op),
            Op::Spawn(op) => self.spawn(op),
            Op::StartScheduler(op) => self.start_scheduler(op),
            Op::StopScheduler(op) => self.stop_scheduler(op),
            Op::RunFor(op) => self.run_for(op),
            Op::WriteKernel(op) => self.write_kernel(op),
            Op::Note(Note { key, value }) => {
                let (key, value) = (key.clone(), value.clone());
                Ok(self.done(EventKind::Note { key, value }))
            }
            Op::BodyFailed(op) => {
                let reason = op.reason.clone();
                let run_over = self.pending.is_none();
                let refused = op.refused;
                Ok(self.done(EventKind::BodyFailed {
                    reason,
                    run_over,
                    refused,
                }))
            }
            Op::Exec(op) => self.exec(op),
            Op::Seed(op) => {
                self.seed(op.seed)?;
                Ok(self.done(EventKind::Applied {
                    op: op.clone().into(),
                }))
            }
            op => {
                let outcome = self.send(op.clone())?;
                self.happened(EventKind::Applied { op: op.clone() });
                Ok(outcome)
            }
        }
    }

    /// Seeds what is random from now on: the machine's own generator, the agent's choices, and the kernel's generator with all
    /// that draws on it.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn seed(&mut self, seed: u64) -> Result<(), SessionError> {
        if self.pending.is_some()
            && let Err(error) = self.machine.seed(seed)
        {
            return Err(self.over(machine_died(&error)));
        }
        let outcome = self.command(Command::Seed { seed }, Nanos::ZERO)?;
        expect_done(&outcome, "seed")
    }

    /// Has the guest do for a moment what comes in every run, and undo it: a machine that was duplicated afterwards has it
    /// translated. Leaves no evidence.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn warm_up(&mut self) -> Result<(), SessionError> {
        let span = WARM_UP;
        let outcome = self.command(Command::WarmUp { span }, span)?;
        expect_done(&outcome, "the warm-up")
    }

    /// Has the contents of a program at hand for the next [`PutProgram`] that names it. Without, they are read from the
    /// host then.
    pub fn supply(&mut self, program: Arc<Program>) {
        self.supplies.push(program);
    }

    /// Puts into the evidence that the scheduler could not be brought up.
    fn scheduler_failed(&mut self, op: &StartScheduler, error: &SessionError) {
        self.happened(EventKind::SchedulerFailed {
            reason: error.to_string(),
            gave_up: matches!(error, SessionError::Op(OpError::TimedOut { .. })),
            refused: matches!(error, SessionError::Op(refusal) if refusal.is_refusal()),
            lacks: self.lacks(op),
        });
    }

    /// The BPF objects of the scheduler's program.
    fn bpf_objects(&self, op: &StartScheduler) -> Vec<BpfObject<'_>> {
        let path = op.argv.first();
        let files = self.put.iter().flat_map(|program| &program.files);
        let program = files.rev().find(|file| Some(&file.path) == path);
        program.map_or_else(Vec::new, |program| bpfobj::embedded(&program.bytes))
    }

    /// What the kernel lacks of what they need.
    fn lacks(&self, op: &StartScheduler) -> Vec<String> {
        let Some(info) = self.observer.info() else {
            return Vec::new();
        };
        let objects = self.bpf_objects(op);
        let lacks = objects.iter().flat_map(|object| bpfobj::lacks(object, &info.btf));
        lacks.map(|lack| lack.to_string()).collect()
    }

    /// Was a scheduler started in this run? Else the one that runs came with the machine.
    pub fn started_scheduler(&self) -> bool {
        self.started_scheduler
    }

    /// Is a scheduler's program attached, as far as its exit notices say?
    pub fn scheduler_runs(&self) -> bool {
        self.scheduler == SchedulerLife::Attached
    }

    fn done(&mut self, what: EventKind) -> OpOutcome {
        self.happened(what);
        OpOutcome::Done
    }

    /// Has the agent carry an op out.
    fn send(&mut self, op: impl Into<Op>) -> Result<OpOutcome, SessionError> {
        let op = op.into();
        let within = match op.takes() {
            Takes::Nothing => Nanos::ZERO,
            Takes::Span(span) => span,
            Takes::SchedulerLimit => self.limits.scheduler,
        };
        self.command(Command::Do { op, within }, within)
    }

    fn put_file(&mut self, op: &PutFile) -> Result<OpOutcome, SessionError> {
        let Some(bytes) = op.content.bytes() else {
            let what = format!("the record does not hold the contents of {}", op.path);
            return Err(OpError::Invalid(what).into());
        };
        self.write_file(&op.path, op.mode, bytes)?;
        Ok(OpOutcome::Done)
    }

    fn put_program(&mut self, op: &PutProgram) -> Result<OpOutcome, SessionError> {
        let program = self.program(&op.program)?;
        let put = PutProgram {
            program: program.sums(),
        };
        self.note_in_script(put.into());
        for file in &program.files {
            self.write_file(&file.path, file.mode, &file.bytes)?;
        }
        self.put.push(program);
        Ok(OpOutcome::Done)
    }

    /// The contents of that program: as supplied, or as they are on the host.
    fn program(&mut self, wanted: &HostProgram) -> Result<Arc<Program>, SessionError> {
        let is_it = |program: &Arc<Program>| program.sums() == *wanted;
        if let Some(index) = self.supplies.iter().position(is_it) {
            return Ok(self.supplies.swap_remove(index));
        }
        Ok(Arc::new(read_program(wanted, None, true).map_err(Box::new)?))
    }

    fn write_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SessionError> {
        let mut offset = 0;
        // An empty file has one piece, too.
        for chunk in bytes
            .chunks(wire::call::MAX_CHUNK)
            .chain(bytes.is_empty().then_some(bytes))
        {
            let command = Command::WriteChunk {
                path: path.to_owned(),
                mode,
                offset,
                bytes: chunk.to_vec(),
            };
            expect_done(&self.command(command, Nanos::ZERO)?, "a file")?;
            offset += chunk.len() as u64;
        }
        Ok(())
    }

    fn read_file(&mut self, op: &ReadFile) -> Result<OpOutcome, SessionError> {
        self.file.clear();
        match self.send(op.clone())? {
            OpOutcome::FileRead { len, bytes: last } => {
                let mut bytes = std::mem::take(&mut self.file);
                bytes.extend(last);
                match bytes.len() as u64 == len {
                    true => Ok(OpOutcome::FileRead { len, bytes }),
                    false => Err(SessionError::mismatch(
                        &op.path,
                        &format!("{} of {len} bytes", bytes.len()),
                    )),
                }
            }
            other => Err(SessionError::mismatch("read_file", &other)),
        }
    }

    /// A second time with the same settings, it is there already.
    fn make_cgroup(&mut self, op: &MakeCgroup) -> Result<OpOutcome, SessionError> {
        let mut groups = self.evidence.groups.iter();
        match groups.find(|group| group.name == op.group.name) {
            None => {}
            Some(there) if *there == op.group => return Ok(OpOutcome::Done),
            Some(there) => {
                let cpus = there
                    .cpus
                    .as_ref()
                    .map_or("all CPUs".to_owned(), |cpus| format!("CPUs {cpus}"));
                return Err(OpError::Invalid(format!(
                    "the cgroup {} is there already, with {cpus} and weight {}; give it the same ones, or another name",
                    there.name,
                    there.weight.get()
                ))
                .into());
            }
        }
        let outcome = self.send(op.clone())?;
        self.evidence.groups.push(op.group.clone());
        Ok(outcome)
    }

    fn spawn(&mut self, op: &Spawn) -> Result<OpOutcome, SessionError> {
        let outcome = self.send(op.clone())?;
        let OpOutcome::Spawned { workers } = &outcome else {
            return Err(SessionError::mismatch("spawn", &outcome));
        };
        for (id, pid) in workers {
            self.happened(EventKind::Spawned {
                id: id.clone(),
                pid: *pid,
                work: op.workers.work.to_string(),
                nice: op.workers.nice,
            });
        }
        Ok(outcome)
    }

    /// Its output is for the test, which notes what it wants to be judged.
    fn exec(&mut self, op: &Exec) -> Result<OpOutcome, SessionError> {
        let outcome = self.send(op.clone())?;
        let OpOutcome::Exited { status, .. } = &outcome else {
            return Err(SessionError::mismatch("exec", &outcome));
        };
        self.happened(EventKind::Executed {
            program: op.argv.first().cloned().unwrap_or_default(),
            status: *status,
        });
        Ok(outcome)
    }

    /// A failure is evidence too.
    fn start_scheduler(&mut self, op: &StartScheduler) -> Result<OpOutcome, SessionError> {
        self.started_scheduler = true;
        self.watch_start_of_scheduler();
        self.bpf_programs = self.bpf_objects(op).iter().map(BpfObject::programs).sum();
        let outcome = self
            .send(op.clone())
            .inspect_err(|error| self.scheduler_failed(op, error))?;
        let OpOutcome::Attached {
            pid,
            ops,
            at,
            enable_seq,
        } = &outcome
        else {
            return Err(SessionError::mismatch("start_scheduler", &outcome));
        };
        self.advance_clock(*at);
        self.scheduler = SchedulerLife::Attached;
        let callbacks = self.kernel().ok();
        let callbacks = callbacks.and_then(|kernel| introspect::operations(&kernel).ok()?);
        self.happened(EventKind::SchedulerAttached {
            ops: ops.clone(),
            pid: *pid,
            enable_seq: *enable_seq,
            callbacks,
        });
        self.watch_scheduler();
        Ok(outcome)
    }

    fn stop_scheduler(&mut self, op: &StopScheduler) -> Result<OpOutcome, SessionError> {
        self.scheduler = SchedulerLife::Gone;
        self.unwatch_scheduler();
        self.send(op.clone())
    }

    fn run_for(&mut self, op: &RunFor) -> Result<OpOutcome, SessionError> {
        let under_scheduler = self.scheduler_runs();
        self.observer.open(self.machine.memory(), self.now, op.span);
        let outcome = self.send(op.clone())?;
        let OpOutcome::Ran {
            from,
            to,
            workers,
            sched_ext,
            cgroup_mode,
            idle,
        } = &outcome
        else {
            return Err(SessionError::mismatch("run_for", &outcome));
        };
        let (from, to) = (*from, *to);
        self.advance_clock(to);
        self.observer
            .close(self.machine.memory(), self.now, to.since(from));
        self.evidence.windows.push(Window {
            from,
            to,
            workers: workers.clone(),
            sched_ext: sched_ext.as_ref().map(|state| SchedExt {
                state: state.state.clone(),
                ops: state.ops.clone(),
                enable_seq: state.enable_seq,
            }),
            under_scheduler,
            cgroup_mode: cgroup_mode.clone(),
            idle: idle.clone(),
        });
        Ok(outcome)
    }

    /// A batch that is refused is an outcome, not an error.
    fn write_kernel(&mut self, op: &WriteKernel) -> Result<OpOutcome, SessionError> {
        Ok(OpOutcome::KernelOp(self.kernel_op(&op.op)?))
    }
}

fn expect_done(outcome: &OpOutcome, what: &str) -> Result<(), SessionError> {
    match outcome {
        OpOutcome::Done => Ok(()),
        other => Err(SessionError::mismatch(what, other)),
    }
}
