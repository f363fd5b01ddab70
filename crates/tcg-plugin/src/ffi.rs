// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's plugin interface, version 4 (QEMU 9.2 and later), as far as it is used here. See QEMU's
//! `include/qemu/qemu-plugin.h`; the names and layouts are its own. The symbols are those of the process that loads the plugin.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version of the interface that this file declares.
pub(crate) const API_VERSION: c_int = 4;

/// `qemu_plugin_id_t`
pub(crate) type PluginId = u64;

/// `struct qemu_plugin_tb`: a block of guest code that is being translated.
#[repr(C)]
pub(crate) struct Block {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`: one instruction of it.
#[repr(C)]
pub(crate) struct Instruction {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_register`: the handle of a register.
#[repr(C)]
pub(crate) struct RegisterHandle {
    _opaque: [u8; 0],
}

/// `qemu_plugin_reg_descriptor`
#[repr(C)]
pub(crate) struct RegisterDescriptor {
    pub(crate) handle: *mut RegisterHandle,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
}

/// `qemu_info_t`
#[repr(C)]
pub(crate) struct Info {
    pub(crate) target_name: *const c_char,
    pub(crate) version_min: c_int,
    pub(crate) version_cur: c_int,
    pub(crate) system_emulation: bool,
    pub(crate) smp_vcpus: c_int,
    pub(crate) max_vcpus: c_int,
}

/// GLib's `GByteArray`
#[repr(C)]
pub(crate) struct ByteArray {
    pub(crate) data: *mut u8,
    pub(crate) len: c_uint,
}

/// GLib's `GArray`
#[repr(C)]
pub(crate) struct Array {
    pub(crate) data: *mut c_char,
    pub(crate) len: c_uint,
}

/// `QEMU_PLUGIN_CB_NO_REGS`: the callback reads no registers.
pub(crate) const CB_NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_CB_R_REGS`: the callback reads registers.
pub(crate) const CB_READS_REGISTERS: c_int = 1;
/// `QEMU_PLUGIN_MEM_W`: stores.
pub(crate) const MEM_STORES: c_int = 2;

unsafe extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_init_cb(id: PluginId, callback: extern "C" fn(PluginId, c_uint));
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: PluginId,
        callback: extern "C" fn(PluginId, *mut Block),
    );
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );

    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, u32, u64, *mut c_void),
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_mem_size_shift(info: u32) -> c_uint;
    pub(crate) fn qemu_plugin_read_memory_vaddr(address: u64, into: *mut ByteArray, len: usize) -> bool;
    pub(crate) fn qemu_plugin_tb_vaddr(block: *const Block) -> u64;
    pub(crate) fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub(crate) fn qemu_plugin_insn_data(
        instruction: *const Instruction,
        into: *mut c_void,
        len: usize,
    ) -> usize;

    pub(crate) fn qemu_plugin_get_registers() -> *mut Array;
    pub(crate) fn qemu_plugin_read_register(handle: *mut RegisterHandle, into: *mut ByteArray) -> c_int;

    pub(crate) fn g_byte_array_new() -> *mut ByteArray;
    pub(crate) fn g_byte_array_set_size(array: *mut ByteArray, len: c_uint) -> *mut ByteArray;
    pub(crate) fn g_byte_array_free(array: *mut ByteArray, free_data: c_int) -> *mut u8;
    pub(crate) fn g_array_free(array: *mut Array, free_data: c_int) -> *mut c_char;
}
