//! The observer's decisions on a kernel made by hand and a machine that only notes what is asked of it.

mod detector;
mod instruments;
mod limits;
mod schedule;

use introspect::bpf::Bpf;
use introspect::path::{Place, resolve};
use introspect::testing::Whole;
use machine::registers::x86_64;
use machine::{HookHit, Registers, WatchHit, WatchSpec};

use super::*;

/// What a failure of a check triggers.
fn a_check() -> DumpTrigger {
    DumpTrigger::CheckFailed {
        check: "share".to_owned(),
    }
}

/// The kernel's tick in ms.
const TICK_MS: u64 = 4;

/// A machine that runs nothing: its hooks and watches are hit by the test.
struct FakeMachine {
    whole: Whole,
    now: GuestTime,
    console: usize,
    hooks: Vec<(HookId, GuestVirt, HookSpec)>,
    watches: Vec<(WatchId, GuestVirt, WatchSpec)>,
    /// Names given so far.
    named: u32,
    /// Does it refuse hooks and watches?
    refuses: bool,
}

impl MachinePort for FakeMachine {
    fn memory(&self) -> &dyn PhysMem {
        self.whole.memory()
    }

    fn now(&self, _: &GuestKernel<'_>) -> GuestTime {
        self.now
    }

    fn console_len(&self) -> usize {
        self.console
    }

    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        if self.refuses {
            let reason = "no hooks after the first instruction".to_owned();
            return Err(MachineError::Hook { at, reason });
        }
        self.named += 1;
        let hook = HookId(self.named);
        self.hooks.push((hook, at, spec));
        Ok(hook)
    }

    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError> {
        if self.refuses {
            let reason = "no watches".to_owned();
            return Err(MachineError::Watch { at, reason });
        }
        self.named += 1;
        let watch = WatchId(self.named);
        self.watches.push((watch, at, spec));
        Ok(watch)
    }

    fn remove(&mut self, which: Instrument) -> Result<(), MachineError> {
        self.hooks.retain(|(id, ..)| Instrument::Hook(*id) != which);
        self.watches.retain(|(id, ..)| Instrument::Watch(*id) != which);
        Ok(())
    }
}

/// A run: the observer and its machine.
struct World {
    observer: Observer,
    machine: FakeMachine,
}

impl World {
    /// A kernel of which nothing is known yet.
    fn unknown() -> World {
        World {
            observer: Observer::default(),
            machine: FakeMachine {
                whole: Whole::new(),
                now: GuestTime::default(),
                console: 0,
                hooks: Vec::new(),
                watches: Vec::new(),
                named: 0,
                refuses: false,
            },
        }
    }

    fn new() -> World {
        World::unknown().known()
    }

    fn known(mut self) -> World {
        self.observer.view.set_placement(self.machine.whole.placement());
        let info = self.machine.whole.info();
        self.observer.set_debug_info(info, &mut self.machine);
        self
    }

    /// With the scheduler `by_hand` attached.
    fn attached() -> World {
        let mut world = World::new();
        world.attach();
        world
    }

    fn attach(&mut self) {
        self.observer.scheduler_attached(&mut self.machine);
    }

    fn kernel(&self) -> GuestKernel<'_> {
        self.machine.whole.kernel(self.machine.whole.memory())
    }

    /// Where a path leads, and the number there.
    fn number(&self, path: &str) -> (GuestVirt, u64) {
        let kernel = self.kernel();
        let var = KernelVar::find(&kernel, path).unwrap();
        (var.at, var.read(&kernel).unwrap())
    }

    /// Writes a number of the kernel, unseen.
    fn set(&self, path: &str, value: u64) {
        let kernel = self.kernel();
        let bpf = Bpf::of(&kernel);
        match resolve(&bpf, &path.parse().unwrap()).unwrap() {
            Place::Typed(object) => object.write(value).unwrap(),
            Place::Bytes { at, bytes } => {
                kernel.write(at, &value.to_le_bytes()[..bytes as usize]).unwrap();
            }
        }
    }

    /// The kernel stores a number: watches whose condition holds are hit. What the last hit led to.
    fn store(&mut self, path: &str, new: u64) -> AfterHit {
        let (at, old) = self.number(path);
        self.set(path, new);
        let ip = self
            .kernel()
            .symbol("enqueue_task_scx")
            .unwrap()
            .wrapping_add(0x10);
        let per_cpu_base = self.per_cpu_base(1);
        let mut after = AfterHit::RunOn;
        for (watch, watched, spec) in self.machine.watches.clone() {
            if watched == at && spec.every > 0 && holds(spec.when, old, new) {
                let hit = WatchHit {
                    vcpu: None,
                    watch,
                    hits: 1,
                    ip,
                    per_cpu_base,
                    old,
                    new,
                };
                after = self.observer.hit(&self.machine, RawHit::Watch(hit));
            }
        }
        after
    }

    /// A CPU enters a function with these arguments: its hooks are hit. What the last hit led to.
    fn enter(&mut self, function: &str, cpu: u32, arguments: [u64; 4]) -> AfterHit {
        let at = self.kernel().symbol(function).unwrap();
        let gs_base = self.per_cpu_base(cpu).unwrap().0;
        let [rdi, rsi, rdx, rcx] = arguments;
        let registers = x86_64::Registers {
            rdi,
            rsi,
            rdx,
            rcx,
            gs_base,
            ..x86_64::Registers::default()
        };
        self.enter_at(at, registers)
    }

    fn enter_at(&mut self, at: GuestVirt, registers: x86_64::Registers) -> AfterHit {
        let mut after = AfterHit::RunOn;
        for (hook, hooked, spec) in self.machine.hooks.clone() {
            if hooked == at && spec.every > 0 {
                let hit = HookHit {
                    vcpu: None,
                    hook,
                    hits: 1,
                    registers: Registers::X86_64(registers),
                };
                after = self.observer.hit(&self.machine, RawHit::Hook(hit));
            }
        }
        after
    }

    /// The kernel writes a message with this format to its log.
    fn prints(&mut self, cpu: u32, format: &str) {
        let at = self.machine.whole.scratch();
        self.kernel().write(at, format.as_bytes()).unwrap();
        self.kernel()
            .write(at.wrapping_add(format.len() as u64), &[0; 8])
            .unwrap();
        self.enter("vprintk_emit", cpu, [0, 0, 0, at.0]);
    }

    fn per_cpu_base(&self, cpu: u32) -> Option<GuestVirt> {
        let kernel = self.kernel();
        let offsets = kernel.symbol("__per_cpu_offset").unwrap();
        let base = kernel.read_u64(offsets.wrapping_add(8 * u64::from(cpu)));
        base.ok().map(GuestVirt)
    }

    /// A tick so many ms after boot. The tasks of the kernel have been runnable since boot.
    fn tick(&mut self, ms: u64) {
        self.set("jiffies", ms / TICK_MS);
        self.machine.now = at(ms);
        self.observer.tick(&self.machine, at(ms), true);
    }

    fn open(&mut self, span_ms: u64) {
        let (memory, now) = (self.machine.whole.memory(), self.machine.now);
        self.observer.open(memory, now, Nanos::from_millis(span_ms));
    }

    fn close(&mut self, span_ms: u64) {
        let (memory, now) = (self.machine.whole.memory(), self.machine.now);
        self.observer.close(memory, now, Nanos::from_millis(span_ms));
    }

    fn observed(&mut self) -> Observed {
        self.observed_with("")
    }

    fn observed_with(&mut self, console: &str) -> Observed {
        let now = self.machine.now;
        self.observer.take(now, console)
    }

    /// Tags and triggers of the dumps.
    fn dumps(&mut self) -> Vec<(String, String)> {
        let dumps = self.observed().dumps.into_iter();
        dumps
            .map(|dump| (dump.snapshot.tag.as_str().to_owned(), dump.trigger.to_string()))
            .collect()
    }

    /// The symbols that are hooked.
    fn hooked(&self) -> Vec<String> {
        let kernel = self.kernel();
        let hooks = self.machine.hooks.iter();
        hooks
            .map(|(_, at, _)| kernel.symbolize(*at).unwrap().0.to_owned())
            .collect()
    }
}

fn at(ms: u64) -> GuestTime {
    GuestTime(Nanos::from_millis(ms))
}

/// Does a store meet a watch's condition? As a machine decides it.
fn holds(when: When, old: u64, new: u64) -> bool {
    match when {
        When::Stored => true,
        When::Changed => old != new,
        When::Equal(value) => new == value,
        When::AtLeast(value) => new >= value,
        When::AtMost(value) => new <= value,
        When::BitsSet(bits) => new & bits != 0 && old & bits == 0,
    }
}

fn tags(dumps: &[(String, String)]) -> Vec<&str> {
    dumps.iter().map(|(tag, _)| tag.as_str()).collect()
}
