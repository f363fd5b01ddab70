// SPDX-License-Identifier: GPL-2.0-or-later
//! What QEMU calls: installation, a vCPU's birth, a block's translation, and the two instructions that report.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::os::fd::RawFd;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::channel::{RIP, Report, What};
use crate::ffi;
use crate::hooks::{Hit, Hooks};
use crate::owner::{self, Owner};
use crate::registers::Handles;

/// The call instruction: an 8-byte NOP (`nopl disp32(%rax,%rax)`) whose displacement nobody else uses.
const CALL: [u8; 8] = *b"\x0f\x1f\x84\x00SRIG";

/// QEMU has one plugin of this kind in a process.
static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// QEMU reads this symbol before it installs the plugin.
#[unsafe(no_mangle)]
pub(crate) static qemu_plugin_version: c_int = ffi::API_VERSION;

struct Plugin {
    owner: Owner,
    /// Set when the first block is translated.
    hooks: OnceLock<Hooks>,
    /// By vCPU index.
    vcpus: Mutex<Vec<Option<Handles>>>,
}

/// QEMU's entry: `channel=FD` is the one argument. A non-zero return makes QEMU exit.
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
    let Some(channel) = (unsafe { channel_argument(argc, argv) }) else {
        eprintln!("schedrig plugin: give the descriptor of the owner's channel as `channel=FD`");
        return 1;
    };
    // SAFETY: the owner passed this descriptor to QEMU for the plugin alone.
    let owner = match unsafe { Owner::attach(channel) } {
        Ok(owner) => owner,
        Err(error) => {
            eprintln!("schedrig plugin: take the channel {channel}: {error}");
            return 1;
        }
    };
    let plugin = Plugin {
        owner,
        hooks: OnceLock::new(),
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

/// The descriptor in `channel=FD`.
///
/// # Safety
/// `argv` points to `argc` C strings.
unsafe fn channel_argument(argc: c_int, argv: *const *const c_char) -> Option<RawFd> {
    (0..usize::try_from(argc).ok()?).find_map(|index| {
        // SAFETY: the index is below `argc`.
        let argument = unsafe { argv.add(index) };
        // SAFETY: the array has an element there.
        let argument = unsafe { *argument };
        // SAFETY: the caller vouches for the string.
        let argument = unsafe { CStr::from_ptr(argument) };
        argument.to_str().ok()?.strip_prefix("channel=")?.parse().ok()
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

/// A block is about to be translated: attach to what concerns us.
extern "C" fn on_translate(_: ffi::PluginId, block: *mut ffi::Block) {
    let Some(plugin) = PLUGIN.get() else { return };
    let hooks = plugin.hooks();
    // SAFETY: QEMU's block is live during the callback.
    let count = unsafe { ffi::qemu_plugin_tb_n_insns(block) };
    for index in 0..count {
        // SAFETY: the index is below the count.
        let instruction = unsafe { ffi::qemu_plugin_tb_get_insn(block, index) };
        // SAFETY: the instruction lives as long as its block.
        let address = unsafe { ffi::qemu_plugin_insn_vaddr(instruction) };
        for hook in hooks.at(address) {
            attach(instruction, on_hook, u64::from(hook));
        }
        if is_call(instruction) {
            attach(instruction, on_call, address);
        }
    }
}

fn is_call(instruction: *const ffi::Instruction) -> bool {
    let mut bytes = CALL;
    // SAFETY: the caller's instruction is live.
    if unsafe { ffi::qemu_plugin_insn_size(instruction) } != bytes.len() {
        return false;
    }
    bytes.fill(0);
    // SAFETY: the instruction is live, and the buffer has the given length.
    unsafe { ffi::qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes == CALL
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
    unsafe { plugin.report(What::Call, vcpu, address as u64) };
}

extern "C" fn on_hook(vcpu: c_uint, index: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let index = index as usize as u32;
    if let Some(Hit { address, hits }) = plugin.hooks().hit(index) {
        // SAFETY: this is an execution callback that reads registers.
        unsafe { plugin.report(What::Hook { index, hits }, vcpu, address) };
    }
}

impl Plugin {
    /// The hooks; the first call tells the owner that the machine is ready and waits for them.
    fn hooks(&self) -> &Hooks {
        self.hooks.get_or_init(|| {
            let ready = Report {
                what: What::Ready,
                vcpu: 0,
                registers: Default::default(),
            };
            Hooks::new(&self.owner.report(ready))
        })
    }

    /// Reports with the vCPU's registers and blocks until the owner lets the guest run on. `rip` is the
    /// address of the instruction: QEMU does not keep the register itself up to date within a block.
    ///
    /// # Safety
    /// Only in an execution callback that was registered with `CB_READS_REGISTERS`.
    unsafe fn report(&self, what: What, vcpu: c_uint, rip: u64) {
        let mut registers = {
            let vcpus = self.vcpus.lock().unwrap_or_else(PoisonError::into_inner);
            let handles = vcpus.get(vcpu as usize).and_then(Option::as_ref);
            // SAFETY: the caller vouches for the callback, and the handles are the executing vCPU's.
            handles.map_or_else(Default::default, |handles| unsafe { handles.read() })
        };
        registers[RIP] = rip;
        let report = Report {
            what,
            vcpu,
            registers,
        };
        // Code that is already translated would not have a late hook: the owner knows that.
        if !self.owner.report(report).is_empty() {
            owner::leave();
        }
    }
}
