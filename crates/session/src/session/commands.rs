//! What can be asked of the guest: a command each, and its reply.

use record::{Content, EventKind, SchedExt, Step, Window};
use spec::{CgroupSpec, ExitStatus, GroupName, Nanos, Work, WorkerId};
use wire::{Command, Reply};

use super::describe::mismatch;
use super::{SchedulerLife, Session, SessionError};
use crate::closure::Program;

impl Session {
    /// Seeds what is random from now on: the agent's choices, and the kernel's generator with all that draws on it.
    pub fn seed(&mut self, seed: u64) -> Result<(), SessionError> {
        self.done(Command::Seed { seed })
    }

    /// Puts a file into the guest.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SessionError> {
        self.step(|| Step::PutFile {
            path: path.to_owned(),
            mode,
            content: Content::of(bytes),
        });
        self.write_file(path, mode, bytes)
    }

    fn write_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SessionError> {
        let mut offset = 0;
        let empty: &[u8] = &[];
        for chunk in if bytes.is_empty() {
            vec![empty]
        } else {
            bytes.chunks(wire::call::MAX_CHUNK).collect()
        } {
            self.done(Command::WriteFile {
                path: path.to_owned(),
                mode,
                offset,
                bytes: chunk.to_vec(),
            })?;
            offset += chunk.len() as u64;
        }
        Ok(())
    }

    /// Puts a program and its shared libraries into the guest.
    pub fn put_program(&mut self, program: &Program) -> Result<(), SessionError> {
        self.step(|| Step::PutProgram {
            program: program.sums(),
        });
        program
            .files
            .iter()
            .try_for_each(|file| self.write_file(&file.path, file.mode, &file.bytes))
    }

    /// Reads a file of the guest, whole.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, SessionError> {
        self.step(|| Step::ReadFile {
            path: path.to_owned(),
        });
        self.file.clear();
        let command = Command::ReadFile {
            path: path.to_owned(),
        };
        match self.command(command, Nanos::ZERO)? {
            Reply::FileRead { len } if len == self.file.len() as u64 => Ok(std::mem::take(&mut self.file)),
            reply => Err(mismatch("ReadFile", &reply)),
        }
    }

    /// Makes a cgroup.
    pub fn make_cgroup(&mut self, group: CgroupSpec) -> Result<(), SessionError> {
        self.step(|| Step::MakeCgroup { group: group.clone() });
        self.done(Command::MakeCgroup(group.clone()))?;
        self.evidence.groups.push(group);
        Ok(())
    }

    /// Makes workers that run from the next window on.
    pub fn spawn(
        &mut self,
        group: &GroupName,
        work: &Work,
        count: u32,
        nice: i8,
    ) -> Result<Vec<WorkerId>, SessionError> {
        self.step(|| Step::Spawn {
            group: group.clone(),
            work: work.clone(),
            count,
            nice,
        });
        let command = Command::Spawn {
            group: group.clone(),
            work: work.clone(),
            count,
            nice,
        };
        match self.command(command, Nanos::ZERO)? {
            Reply::Spawned { workers } => {
                for (id, pid) in &workers {
                    let work = work.to_string();
                    self.happened(EventKind::Spawned {
                        id: id.clone(),
                        pid: *pid,
                        work,
                        nice,
                    });
                }
                Ok(workers.into_iter().map(|(id, _)| id).collect())
            }
            reply => Err(mismatch("Spawn", &reply)),
        }
    }

    /// Starts a scheduler's program that is in the guest, and waits until the kernel says that it is attached.
    /// A failure is evidence too.
    pub fn start_scheduler(&mut self, argv: Vec<String>) -> Result<(), SessionError> {
        self.step(|| Step::StartScheduler { argv: argv.clone() });
        let attach_within = self.limits.scheduler;
        let reply = self.command(Command::StartScheduler { argv, attach_within }, attach_within);
        match reply {
            Ok(Reply::SchedulerAttached { pid, ops, at }) => {
                self.advance_clock(at);
                self.scheduler = SchedulerLife::Attached;
                self.happened(EventKind::SchedulerAttached { ops, pid });
                self.watch_scheduler();
                Ok(())
            }
            Ok(reply) => Err(mismatch("StartScheduler", &reply)),
            Err(error) => {
                self.scheduler_failed(error.to_string());
                Err(error)
            }
        }
    }

    /// Notes that the scheduler could not be brought up.
    pub fn scheduler_failed(&mut self, reason: String) {
        self.happened(EventKind::SchedulerFailed { reason });
    }

    /// Asks the scheduler's program to end and waits for it.
    pub fn stop_scheduler(&mut self) -> Result<ExitStatus, SessionError> {
        self.step(|| Step::StopScheduler);
        let within = self.limits.scheduler;
        self.scheduler = SchedulerLife::Gone;
        self.unwatch_scheduler();
        match self.command(Command::StopScheduler { within }, within)? {
            Reply::SchedulerStopped { status } => Ok(status),
            reply => Err(mismatch("StopScheduler", &reply)),
        }
    }

    /// Is a scheduler's program attached, as far as its exit notices tell?
    pub fn scheduler_runs(&self) -> bool {
        self.scheduler == SchedulerLife::Attached
    }

    /// Lets the guest run for `span` of its time, or until the scheduler's program ends.
    pub fn run_for(&mut self, span: Nanos) -> Result<&Window, SessionError> {
        self.step(|| Step::RunFor { span });
        let under_scheduler = self.scheduler_runs();
        self.observer.open(self.machine.memory(), self.now, span);
        let reply = self.command(Command::RunFor { span }, span);
        match reply? {
            Reply::Ran {
                from,
                to,
                workers,
                sched_ext,
            } => {
                self.advance_clock(to);
                self.observer
                    .close(self.machine.memory(), self.now, to.since(from));
                let sched_ext = sched_ext.map(|state| SchedExt {
                    state: state.state,
                    ops: state.ops,
                });
                let windows = &mut self.evidence.windows;
                windows.push(Window {
                    from,
                    to,
                    workers,
                    sched_ext,
                    under_scheduler,
                });
                Ok(&windows[windows.len() - 1])
            }
            reply => Err(mismatch("RunFor", &reply)),
        }
    }

    /// Runs a program that is in the guest to its end: its status, standard output and standard error.
    pub fn exec(
        &mut self,
        argv: Vec<String>,
        within: Nanos,
    ) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), SessionError> {
        self.step(|| Step::Exec {
            argv: argv.clone(),
            within,
        });
        match self.command(Command::Exec { argv, within }, within)? {
            Reply::Exited {
                status,
                stdout,
                stderr,
            } => Ok((status, stdout, stderr)),
            reply => Err(mismatch("Exec", &reply)),
        }
    }

    /// Puts a value into the record.
    pub fn note(&mut self, key: String, value: String) {
        self.step(|| Step::Note {
            key: key.clone(),
            value: value.clone(),
        });
        self.happened(EventKind::Note { key, value });
    }

    /// Records that the test's body returned an error, and whether the run was over by then.
    pub fn gave_up(&mut self, reason: String) {
        self.step(|| Step::GaveUp {
            reason: reason.clone(),
        });
        let run_over = self.pending.is_none();
        self.happened(EventKind::BodyFailed { reason, run_over });
    }
}
