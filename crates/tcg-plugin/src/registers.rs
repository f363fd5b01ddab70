// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading a vCPU's registers.

use std::ffi::CStr;
use std::{ptr, slice};

use tcg_channel::{REGISTERS, Values};

use crate::ffi;

/// QEMU's handles of the registers that a report has, for one vCPU.
pub(crate) struct Handles([Handle; REGISTERS.len()]);

/// A register's handle; null where this QEMU does not know the register.
#[derive(Clone, Copy)]
struct Handle(*mut ffi::RegisterHandle);

// SAFETY: a handle is a name that QEMU gave out; it is never dereferenced here, and QEMU itself looks it up from any
// thread that executes the vCPU.
unsafe impl Send for Handle {}

impl Handles {
    /// The handles of the vCPU whose thread this is.
    ///
    /// # Safety
    /// Only in a vCPU's callback: QEMU answers for the current vCPU.
    pub(crate) unsafe fn of_current_vcpu() -> Handles {
        let mut handles = Handles([Handle(ptr::null_mut()); REGISTERS.len()]);
        // SAFETY: the caller is in a vCPU's callback.
        let array = unsafe { ffi::qemu_plugin_get_registers() };
        if array.is_null() {
            return handles;
        }
        // SAFETY: QEMU returned a live `GArray` of descriptors that is now ours.
        let Array { data, len } = unsafe { array_of(array) };
        if !data.is_null() {
            // SAFETY: the array has `len` elements of this type, and nobody else has it.
            for descriptor in unsafe { slice::from_raw_parts(data, len) } {
                // SAFETY: names are C strings that live as long as QEMU does.
                let name = unsafe { CStr::from_ptr(descriptor.name) };
                let index = REGISTERS
                    .iter()
                    .position(|known| known.as_bytes() == name.to_bytes());
                if let Some(index) = index {
                    handles.0[index] = Handle(descriptor.handle);
                }
            }
        }
        // SAFETY: the array is ours to free, and no reference into it is left.
        unsafe { ffi::g_array_free(array, 1) };
        handles
    }

    /// The names of the registers that this QEMU does not know.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static str> {
        let named = self.0.iter().zip(REGISTERS);
        named
            .filter(|(handle, _)| handle.0.is_null())
            .map(|(_, name)| name)
    }

    /// The values; zero for a register that cannot be read.
    ///
    /// # Safety
    /// Only in an execution callback that was registered with `CB_READS_REGISTERS`, for the vCPU that the
    /// handles are of.
    pub(crate) unsafe fn read(&self) -> Values {
        // SAFETY: no preconditions; GLib aborts where there is no memory.
        let buffer = unsafe { ffi::g_byte_array_new() };
        let values = self.0.map(|handle| {
            if handle.0.is_null() {
                return 0;
            }
            // SAFETY: the buffer is live and ours.
            unsafe { ffi::g_byte_array_set_size(buffer, 0) };
            // SAFETY: the caller vouches for the callback; handle and buffer are valid.
            unsafe { ffi::qemu_plugin_read_register(handle.0, buffer) };
            // SAFETY: the buffer is live and ours.
            let ffi::ByteArray { data, len } = unsafe { ptr::read(buffer) };
            let mut value = [0; 8];
            let len = (len as usize).min(value.len());
            if !data.is_null() {
                // SAFETY: GLib keeps at least `len` initialised bytes at `data`, and `value` holds that many.
                unsafe { ptr::copy_nonoverlapping(data, value.as_mut_ptr(), len) };
            }
            u64::from_le_bytes(value)
        });
        // SAFETY: the buffer is ours, and no reference into it is left.
        unsafe { ffi::g_byte_array_free(buffer, 1) };
        values
    }
}

/// A `GArray` of register descriptors, taken apart.
struct Array {
    data: *const ffi::RegisterDescriptor,
    len: usize,
}

/// # Safety
/// `array` points to a live `GArray` of register descriptors.
unsafe fn array_of(array: *const ffi::Array) -> Array {
    // SAFETY: the caller vouches for the pointer.
    let ffi::Array { data, len } = unsafe { ptr::read(array) };
    Array {
        data: data.cast(),
        len: len as usize,
    }
}
