// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's entry points: installation, a vCPU's creation, a block's translation, and the callbacks that are attached to
//! code for calls, hooks and stores.
//!
//! QEMU attaches a callback to code only while it translates that code. So every store of the kernel gets one, for watches
//! that are set later, and so does every function entry, for hooks; together they cost some percent of a short run.
//! (Conditional callbacks would cost less. QEMU 10.0 executes kernels wrongly with them.)

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use tcg_channel::{Cause, Command, FUNCTION_ENTRIES, PER_CPU_BASES, RIP, Report, Values};

use crate::ffi;
use crate::instruments::{Hit, Instruments, Watched};
use crate::memory;
use crate::owner::Owner;
use crate::random;
use crate::registers::Handles;

/// The call instruction: an 8-byte NOP (`nopl disp32(%rax,%rax)`) whose displacement no other program uses.
const CALL: [u8; 8] = *b"\x0f\x1f\x84\x00SRIG";

/// QEMU has one plugin of this kind in a process.
static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// QEMU reads this symbol before it installs the plugin.
#[unsafe(no_mangle)]
pub(crate) static qemu_plugin_version: c_int = ffi::API_VERSION;

/// Kernel addresses have this bit.
const KERNEL: u64 = 1 << 63;

struct Plugin {
    owner: Owner,
    /// Completed when the first block is translated: the owner has set its first hooks.
    ready: Once,
    instruments: Mutex<Instruments>,
    /// Nobody sets hooks or watches later.
    unobserved: AtomicBool,
    /// The function entries that were translated, and those that are hooked, by address. None is ever removed.
    entries: Mutex<HashMap<u64, &'static Entry>>,
    /// First address at which a store may hit a watch.
    watched_from: AtomicU64,
    /// Bytes from there on at which it may; 0 without watches.
    watched_len: AtomicU64,
    /// Register handles, by vCPU index.
    vcpus: Mutex<Vec<Option<Handles>>>,
}

/// A function's entry, whose callback must cost next to nothing: most are never hooked.
struct Entry {
    address: u64,
    /// There is a late hook.
    hooked: AtomicBool,
}

/// QEMU's entry: `channel=FD` and `monitor=FD` are the arguments. A non-zero return makes QEMU exit.
///
/// # Safety
/// Called by QEMU as `qemu_plugin_install` of its plugin interface.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    id: ffi::PluginId,
    info: *const ffi::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU's `info` is live during the call.
    let target = unsafe { (*info).target_name };
    // SAFETY: the name is a C string.
    let target = unsafe { CStr::from_ptr(target) };
    if target != c"x86_64" {
        eprintln!("schedrig plugin: this QEMU emulates {target:?}, and the plugin knows x86_64 only");
        return 1;
    }
    // SAFETY: QEMU passes `argc` C strings.
    let channel = unsafe { argument(argc, argv, "channel=") };
    // SAFETY: as above.
    let monitor = unsafe { argument(argc, argv, "monitor=") };
    let (Some(channel), Some(monitor)) = (channel, monitor) else {
        eprintln!(
            "schedrig plugin: give the descriptors of the owner's channel and of QEMU's monitor as `channel=FD,monitor=FD`"
        );
        return 1;
    };
    // SAFETY: the owner passed this descriptor to QEMU for the plugin alone.
    let owner = match unsafe { Owner::attach(channel, monitor) } {
        Ok(owner) => owner,
        Err(error) => {
            eprintln!("schedrig plugin: take the channel {channel}: {error}");
            return 1;
        }
    };
    let plugin = Plugin {
        owner,
        ready: Once::new(),
        instruments: Mutex::default(),
        unobserved: AtomicBool::new(false),
        entries: Mutex::default(),
        watched_from: AtomicU64::new(0),
        watched_len: AtomicU64::new(0),
        vcpus: Mutex::new(Vec::new()),
    };
    if PLUGIN.set(plugin).is_err() {
        eprintln!("schedrig plugin: loaded twice");
        return 1;
    }
    // SAFETY: the identity is the one that QEMU gave us, and the callback has the right type.
    unsafe { ffi::qemu_plugin_register_vcpu_init_cb(id, on_vcpu) };
    // SAFETY: as above.
    unsafe { ffi::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate) };
    0
}

/// The descriptor in the argument that begins with `name`.
///
/// # Safety
/// `argv` points to `argc` C strings.
unsafe fn argument(argc: c_int, argv: *const *const c_char, name: &str) -> Option<RawFd> {
    (0..usize::try_from(argc).ok()?).find_map(|index| {
        // SAFETY: the index is below `argc`.
        let argument = unsafe { argv.add(index) };
        // SAFETY: the array has an element there.
        let argument = unsafe { *argument };
        // SAFETY: the caller vouches for the string.
        let argument = unsafe { CStr::from_ptr(argument) };
        argument.to_str().ok()?.strip_prefix(name)?.parse().ok()
    })
}

/// A vCPU was created; this is its thread.
extern "C" fn on_vcpu(_: ffi::PluginId, vcpu: c_uint) {
    let Some(plugin) = PLUGIN.get() else { return };
    // SAFETY: this is a vCPU's callback.
    let handles = unsafe { Handles::of_current_vcpu() };
    for name in handles.missing() {
        eprintln!("schedrig plugin: this QEMU does not show register {name}; reports have zero there");
    }
    let mut vcpus = plugin.vcpus.lock().unwrap_or_else(PoisonError::into_inner);
    let index = vcpu as usize;
    if vcpus.len() <= index {
        vcpus.resize_with(index + 1, || None);
    }
    vcpus[index] = Some(handles);
}

/// QEMU is about to translate a block: attaches the callbacks that it needs now or may need later.
extern "C" fn on_translate(_: ffi::PluginId, block: *mut ffi::Block) {
    let Some(plugin) = PLUGIN.get() else { return };
    plugin.ready();
    // SAFETY: QEMU's block is live during the callback.
    let start = unsafe { ffi::qemu_plugin_tb_vaddr(block) };
    let is_kernel = start & KERNEL != 0;
    let instruments = plugin.instruments();
    let unobserved = plugin.unobserved.load(Ordering::Relaxed);
    // SAFETY: as above.
    let count = unsafe { ffi::qemu_plugin_tb_n_insns(block) };
    for index in 0..count {
        // SAFETY: the index is below the count.
        let instruction = unsafe { ffi::qemu_plugin_tb_get_insn(block, index) };
        // SAFETY: the instruction lives as long as its block.
        let address = unsafe { ffi::qemu_plugin_insn_vaddr(instruction) };
        for hook in instruments.early_at(address) {
            attach(instruction, on_hook, u64::from(hook));
        }
        if is_kernel {
            if unobserved {
                continue;
            }
            if index == 0 && is_entry(instruction) {
                let entry = std::ptr::from_ref(plugin.entry(address));
                attach(instruction, on_entry, entry as u64);
            }
            attach_to_stores(instruction, address);
        } else if is_call(instruction) {
            attach(instruction, on_call, address);
        }
    }
}

/// Has [`on_store`] called after each store.
fn attach_to_stores(instruction: *mut ffi::Instruction, address: u64) {
    let (data, flags) = (address as usize as *mut c_void, ffi::CB_NO_REGISTERS);
    // SAFETY: the instruction is live; the data is a number that is never dereferenced.
    unsafe { ffi::qemu_plugin_register_vcpu_mem_cb(instruction, on_store, flags, ffi::MEM_STORES, data) };
}

fn is_call(instruction: *const ffi::Instruction) -> bool {
    is(instruction, &CALL)
}

/// Whether a traceable function of the kernel may begin here.
fn is_entry(instruction: *const ffi::Instruction) -> bool {
    FUNCTION_ENTRIES.iter().any(|entry| is(instruction, entry))
}

fn is(instruction: *const ffi::Instruction, bytes: &[u8]) -> bool {
    // SAFETY: the caller's instruction is live.
    if unsafe { ffi::qemu_plugin_insn_size(instruction) } != bytes.len() {
        return false;
    }
    let mut own = [0; 8];
    // SAFETY: the instruction is live, and the buffer holds its bytes.
    unsafe { ffi::qemu_plugin_insn_data(instruction, own.as_mut_ptr().cast(), bytes.len()) };
    own.starts_with(bytes)
}

/// Has `callback` called with `data` before each execution.
fn attach(instruction: *mut ffi::Instruction, callback: extern "C" fn(c_uint, *mut c_void), data: u64) {
    let (data, flags) = (data as usize as *mut c_void, ffi::CB_READS_REGISTERS);
    // SAFETY: the instruction is live; the data is a number that is never dereferenced.
    unsafe { ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, flags, data) };
}

extern "C" fn on_call(vcpu: c_uint, address: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    // SAFETY: this is an execution callback that reads registers.
    unsafe { plugin.report(Cause::Call, vcpu, address as u64) };
}

extern "C" fn on_hook(vcpu: c_uint, index: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    // SAFETY: this is an execution callback that reads registers.
    unsafe { plugin.hook(vcpu, index as usize as u32) };
}

/// The kernel enters a function.
extern "C" fn on_entry(vcpu: c_uint, entry: *mut c_void) {
    // SAFETY: the callback was attached with an entry, and entries are never removed.
    let entry = unsafe { &*entry.cast::<Entry>() };
    if !entry.hooked.load(Ordering::Relaxed) {
        return;
    }
    let Some(plugin) = PLUGIN.get() else { return };
    let hooks: Vec<u32> = plugin.instruments().late_at(entry.address).collect();
    for index in hooks {
        // SAFETY: this is an execution callback that reads registers.
        unsafe { plugin.hook(vcpu, index) };
    }
}

/// The kernel has stored something.
extern "C" fn on_store(vcpu: c_uint, info: u32, address: u64, instruction: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let from = plugin.watched_from.load(Ordering::Relaxed);
    if address.wrapping_sub(from) >= plugin.watched_len.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: `info` is that of this callback.
    let len = 1 << unsafe { ffi::qemu_plugin_mem_size_shift(info) };
    let concerned = plugin.instruments().stored(address, len);
    for index in concerned {
        // SAFETY: this is a callback of the vCPU that has stored.
        unsafe { plugin.stored(vcpu, index, instruction as u64) };
    }
}

impl Plugin {
    fn instruments(&self) -> MutexGuard<'_, Instruments> {
        self.instruments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry at that address.
    fn entry(&self, address: u64) -> &'static Entry {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(address).or_insert_with(|| {
            Box::leak(Box::new(Entry {
                address,
                hooked: AtomicBool::new(false),
            }))
        })
    }

    /// At the first call, reports that the machine is ready and waits for the owner's hooks.
    fn ready(&self) {
        self.ready.call_once(|| {
            let ready = Report::without_registers(Cause::Ready);
            self.owner.report(ready, &mut |command| match command {
                Command::Hook { address, every } => self.instruments().early(address, every),
                other => self.obey(other),
            });
            self.publish();
        });
    }

    /// Carries out a command while the guest is frozen.
    fn obey(&self, command: Command) {
        let mut instruments = self.instruments();
        match command {
            Command::Hook { address, every } => {
                instruments.late(address, every);
                self.entry(address).hooked.store(true, Ordering::Relaxed);
            }
            Command::Watch {
                address,
                width,
                condition,
                every,
                current,
            } => {
                let watched = Watched {
                    address,
                    width,
                    condition,
                    last: current,
                };
                instruments.watch(watched, every);
            }
            // An entry that was hooked stays marked: its callback then finds no hook.
            Command::Remove { index } => instruments.remove(index),
            Command::Count { index } => {
                let hits = instruments.count(index);
                self.owner
                    .send(Report::without_registers(Cause::Count { index, hits }));
            }
            Command::Seed { seed } => {
                if !random::seed(seed) {
                    eprintln!("schedrig plugin: this QEMU's RDRAND cannot be seeded anew");
                }
            }
            Command::Unobserved => self.unobserved.store(true, Ordering::Relaxed),
            // The owner's end carries these out.
            Command::Duplicate | Command::Resume => {}
        }
    }

    /// Before the guest resumes: publishes what callbacks check without a lock.
    fn publish(&self) {
        let instruments = self.instruments();
        let span = instruments.watched_span();
        self.watched_from.store(span.start, Ordering::Relaxed);
        self.watched_len.store(span.end - span.start, Ordering::Relaxed);
    }

    /// Counts an execution of a hook's instruction, and reports it if it is due.
    ///
    /// # Safety
    /// As for [`Plugin::report`].
    unsafe fn hook(&self, vcpu: c_uint, index: u32) {
        let hit = self.instruments().hit(index);
        if let Some(Hit { address, hits }) = hit {
            // SAFETY: the caller vouches for the callback.
            unsafe { self.report(Cause::Hook { index, hits }, vcpu, address) };
        }
    }

    /// Compares a watched place after a store, and reports the store if it is a hit that is due.
    ///
    /// # Safety
    /// Only in a callback of the vCPU that has stored.
    unsafe fn stored(&self, vcpu: c_uint, index: u32, instruction: u64) {
        let Some(watched) = self.instruments().watched(index) else {
            return;
        };
        // SAFETY: the caller vouches for the callback.
        let Some(new) = (unsafe { memory::read(watched.address, watched.width) }) else {
            return;
        };
        let left = self.instruments().stored_value(index, new);
        if let Some((hits, old)) = left {
            let cause = Cause::Watch {
                index,
                hits,
                old,
                new,
            };
            // SAFETY: the bases are the vCPU's own memory, not kept in the host's registers: reading them needs no more.
            let all = unsafe { self.registers(vcpu) };
            let mut registers = Values::default();
            for base in PER_CPU_BASES {
                registers[base] = all[base];
            }
            registers[RIP] = instruction;
            self.freeze(Report { cause, registers });
        }
    }

    /// Reports with the vCPU's registers and blocks until the owner resumes the guest. `rip` is the
    /// address of the instruction: QEMU does not keep the register itself up to date within a block.
    ///
    /// # Safety
    /// Only in an execution callback that was registered with `CB_READS_REGISTERS`.
    unsafe fn report(&self, cause: Cause, vcpu: c_uint, rip: u64) {
        // SAFETY: the caller vouches for the callback.
        let mut registers = unsafe { self.registers(vcpu) };
        registers[RIP] = rip;
        self.freeze(Report { cause, registers });
    }

    /// The registers of the vCPU that executes. `vcpu` may be another one's number: where all vCPUs share a thread, QEMU 10.0
    /// passes the number of the vCPU that translated the block first. Handles are the same for all vCPUs, and QEMU reads
    /// the registers of the vCPU that executes.
    ///
    /// # Safety
    /// Only in a vCPU's callback. Registers that QEMU keeps in the host's are right only in a callback that was registered
    /// with `CB_READS_REGISTERS`.
    unsafe fn registers(&self, vcpu: c_uint) -> Values {
        let vcpus = self.vcpus.lock().unwrap_or_else(PoisonError::into_inner);
        let handles = vcpus.get(vcpu as usize).and_then(Option::as_ref);
        // SAFETY: the caller vouches for the callback.
        handles.map_or_else(Default::default, |handles| unsafe { handles.read() })
    }

    /// Reports and blocks this vCPU, and so the guest, until the owner resumes it.
    fn freeze(&self, report: Report) {
        let mut obeyed = false;
        self.owner.report(report, &mut |command| {
            obeyed = true;
            self.obey(command);
        });
        if obeyed {
            self.publish();
        }
        // The owner may have written to a watched place.
        let watches = self.instruments().watches();
        for index in watches {
            let watched = self.instruments().watched(index);
            // SAFETY: this is a callback of a vCPU.
            let now = watched.and_then(|watched| unsafe { memory::read(watched.address, watched.width) });
            if let Some(now) = now {
                self.instruments().refresh(index, now);
            }
        }
    }
}
