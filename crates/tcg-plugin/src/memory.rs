// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading the guest's memory by a vCPU's page tables.

use std::ptr;

use crate::ffi;

/// The number of `width` bytes (at most 8) at `address`; `None` where nothing is mapped.
///
/// # Safety
/// Only in a vCPU's callback: the address is translated by that vCPU.
pub(crate) unsafe fn read(address: u64, width: u16) -> Option<u64> {
    // SAFETY: no preconditions; GLib aborts where there is no memory.
    let buffer = unsafe { ffi::g_byte_array_new() };
    // SAFETY: the caller vouches for the callback; the buffer is live and ours.
    let done = unsafe { ffi::qemu_plugin_read_memory_vaddr(address, buffer, width.into()) };
    // SAFETY: the buffer is live and ours.
    let ffi::ByteArray { data, len } = unsafe { ptr::read(buffer) };
    let mut value = [0; 8];
    let len = (len as usize).min(value.len());
    if !data.is_null() {
        // SAFETY: GLib keeps at least `len` initialised bytes at `data`, and `value` holds that many.
        unsafe { ptr::copy_nonoverlapping(data, value.as_mut_ptr(), len) };
    }
    // SAFETY: the buffer is ours, and no reference into it is left.
    unsafe { ffi::g_byte_array_free(buffer, 1) };
    done.then_some(u64::from_le_bytes(value))
}
