//! Where calls are traced.

use guestmem::GuestVirt;
use introspect::bpf::Bpf;
use introspect::sched::{Scx, ScxSched};
use introspect::{Callback, Function, GuestKernel, callbacks};

use crate::{EXIT_ERROR, KernelVar};

/// All places where calls are traced, and what is compared before and after each call.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// Where calls begin and end.
    pub all: Vec<Site>,
    /// Numeric variables of the scheduler's programs.
    pub(super) variables: Vec<KernelVar>,
    /// The exit kind of each scheduler that is loaded.
    exit_kinds: Vec<KernelVar>,
    /// The root scheduler's address. While another one is loaded, these addresses belong to something else.
    root: Option<u64>,
}

/// The root scheduler.
const ROOT: &str = "scx_root";

/// One function.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) function: Function,
    pub(super) program: Option<String>,
    pub(super) line: Option<String>,
    /// The instruction that follows its call, where that is known.
    pub back: Option<GuestVirt>,
    /// The bytes that the code begins with: in memory that is the kernel's to reuse.
    code: [u8; CODE],
}

const CODE: usize = 32;
/// Variables that are compared.
const MOST_VARIABLES: usize = 64;
/// Functions of the kernel that show what an operation of a scheduler would; a scheduler need not have the operation.
const INSTEAD: [(&str, &str); 4] = [
    ("runnable", "enqueue_task_scx"),
    ("running", "set_next_task_scx"),
    ("stopping", "put_prev_task_scx"),
    ("quiescent", "dequeue_task_scx"),
];
/// The functions at the end of every backtrace, which explain nothing.
const TELL_NOTHING: [&str; 3] = ["ret_from_fork", "ret_from_fork_asm", "kthread"];

impl Sites {
    /// The functions that decide which task runs, of a kernel that stands still.
    pub fn of(kernel: &GuestKernel<'_>) -> Sites {
        let found = callbacks(kernel).unwrap_or_default();
        let is_scx = found.iter().any(|callback| callback.back.is_some());
        let has = |op: &str| found.iter().any(|callback| callback.function.name == op);
        let instead = INSTEAD.into_iter().filter(|(op, _)| is_scx && !has(op));
        let functions = instead.filter_map(|(_, name)| Function::find(kernel, name).ok());
        let functions = functions.map(|function| Site::of_function(kernel, function));
        let mut all: Vec<Site> = functions.collect();
        all.splice(
            0..0,
            found
                .into_iter()
                .map(|callback| Site::of_callback(kernel, callback)),
        );
        Sites {
            all,
            variables: if is_scx { variables(kernel) } else { Vec::new() },
            exit_kinds: exit_kinds(kernel),
            root: kernel.read_symbol_u64(ROOT).ok().filter(|root| *root != 0),
        }
    }

    /// Has a scheduler's exit kind become an error?
    pub(super) fn is_over(&self, kernel: &GuestKernel<'_>) -> bool {
        if self.root.is_none() || kernel.read_symbol_u64(ROOT).ok() != self.root {
            return false;
        }
        let mut kinds = self.exit_kinds.iter();
        kinds.any(|kind| kind.read(kernel).is_ok_and(|kind| kind >= EXIT_ERROR))
    }

    /// Adds the functions of a backtrace (`function+0x10`, the innermost first).
    pub fn add(&mut self, kernel: &GuestKernel<'_>, backtrace: &[String]) {
        for frame in backtrace {
            let name = frame.split('+').next().unwrap_or_default();
            let known =
                TELL_NOTHING.contains(&name) || self.all.iter().any(|site| site.function.name == name);
            if known || kernel.btf().function(name).is_none() {
                continue;
            }
            if let Ok(function) = Function::find(kernel, name) {
                self.all.push(Site::of_function(kernel, function));
            }
        }
    }
}

impl Site {
    fn of_callback(kernel: &GuestKernel<'_>, callback: Callback) -> Site {
        let Callback {
            function,
            back,
            program,
            line,
        } = callback;
        Site {
            code: code(kernel, function.at),
            program: (program != function.name).then_some(program),
            line: line.map(|line| line.to_string()),
            function,
            back,
        }
    }

    fn of_function(kernel: &GuestKernel<'_>, function: Function) -> Site {
        Site {
            code: code(kernel, function.at),
            function,
            program: None,
            line: None,
            back: None,
        }
    }

    /// Is the function there? Before a scheduler is loaded, others use the memory.
    pub(super) fn is_live(&self, kernel: &GuestKernel<'_>) -> bool {
        self.back.is_none() || code(kernel, self.function.at) == self.code
    }
}

fn code(kernel: &GuestKernel<'_>, at: GuestVirt) -> [u8; CODE] {
    let mut code = [0; CODE];
    match kernel.read(at, &mut code) {
        Ok(()) => code,
        Err(_) => [0; CODE],
    }
}

fn exit_kinds(kernel: &GuestKernel<'_>) -> Vec<KernelVar> {
    let scheds = Scx::of(kernel).scheds().unwrap_or_default();
    let kind = |sched: &ScxSched<'_>| {
        KernelVar::of(&sched.object().field("exit_kind.counter").ok()?, "exit_kind").ok()
    };
    scheds.iter().filter_map(kind).collect()
}

/// The numbers among the variables of all programs.
fn variables(kernel: &GuestKernel<'_>) -> Vec<KernelVar> {
    let bpf = Bpf::of(kernel);
    let maps = bpf.maps().unwrap_or_default();
    let globals = maps.iter().flat_map(|map| map.globals().unwrap_or_default());
    let places = globals.filter_map(|(name, object)| KernelVar::of(&object, name).ok());
    places.take(MOST_VARIABLES).collect()
}
