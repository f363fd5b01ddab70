//! A scripted host: hands out commands, keeps what the agent reports.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use spec::op::Takes;
use spec::{Nanos, Op};
use tempfile::TempDir;
use wire::{Answer, Command, Notice, Reply, Request};

use crate::agent::Agent;
use crate::context::{Context, Places};
use crate::door::{Door, DoorError};

/// Longer than anything in a test takes on a loaded machine.
pub(crate) const PATIENCE: Nanos = Nanos::from_secs(60);

/// What the agent reported.
#[derive(Default)]
struct Told {
    replies: Vec<Reply>,
    notices: Vec<Notice>,
    hellos: usize,
}

struct Host {
    commands: VecDeque<Command>,
    told: Rc<RefCell<Told>>,
    refuse_notices: bool,
}

impl Door for Host {
    fn call(&mut self, request: &Request) -> Result<Answer, DoorError> {
        let mut told = self.told.borrow_mut();
        match Request::decode(&request.encode().unwrap()).unwrap() {
            Request::Notice(_) if self.refuse_notices => return Err(DoorError::Refused("enough".to_owned())),
            Request::Notice(notice) => {
                told.notices.push(notice);
                return Ok(Answer::Ack);
            }
            Request::Hello(_) => told.hellos += 1,
            Request::Reply { reply, .. } => told.replies.push(reply),
        }
        let next = self.commands.pop_front();
        next.map(Answer::Command).ok_or(DoorError::NobodyListens)
    }
}

/// A directory that stands for the kernel's: a cgroup hierarchy and what sched_ext says.
pub(crate) struct Stage {
    directory: TempDir,
    refuse_notices: bool,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage {
            directory: tempfile::tempdir().unwrap(),
            refuse_notices: false,
        }
    }

    pub(crate) fn refusing_notices() -> Stage {
        Stage {
            refuse_notices: true,
            ..Stage::new()
        }
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.directory.path().join(file).display().to_string()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Carries the commands out, one after the other, and returns their replies and the notices.
    pub(crate) fn play(&self, commands: impl IntoIterator<Item = Command>) -> (Vec<Reply>, Vec<Notice>) {
        let told = Rc::new(RefCell::new(Told::default()));
        let host = Host {
            commands: commands.into_iter().collect(),
            told: Rc::clone(&told),
            refuse_notices: self.refuse_notices,
        };
        let places = Places {
            cgroup: self.directory.path().join("cgroup"),
            cpus: self.directory.path().join("cpu"),
            sched_ext: self.directory.path().join("sched_ext"),
            cgroup_mode: self.directory.path().join("cgroup_mode"),
            schedstat: "/proc/schedstat".into(),
            random: None,
        };
        let context = Context::new(host, places).unwrap();
        let end = Agent::new(context).serve();
        assert!(matches!(end, Err(DoorError::NobodyListens)), "{end:?}");
        let told = told.take();
        assert_eq!(told.hellos, 1);
        (told.replies, told.notices)
    }

    /// The reply to one command.
    pub(crate) fn reply(&self, command: Command) -> Reply {
        self.play([command]).0.remove(0)
    }
}

/// The command that has the op carried out, with patience.
pub(crate) fn does(op: impl Into<Op>) -> Command {
    let op = op.into();
    let within = match op.takes() {
        Takes::Span(span) => span,
        Takes::Nothing | Takes::SchedulerLimit => PATIENCE,
    };
    Command::Do { op, within }
}

/// The same with another limit.
pub(crate) fn does_within(op: impl Into<Op>, within: Nanos) -> Command {
    let op = op.into();
    Command::Do { op, within }
}

/// `sh -c script`.
pub(crate) fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}
