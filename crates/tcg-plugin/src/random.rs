// SPDX-License-Identifier: GPL-2.0-or-later
//! The generator behind the guest's RDRAND, seeded anew.
//!
//! QEMU seeds a thread's generator once, from `-seed`, and asserts that (`util/guest-random.c`). Its function that does so is
//! among the symbols that a QEMU with modules exports; the pointer that it sets is thread-local and is not. Where that pointer
//! lies is found out with a thread that has none yet: it is the one word of the program's thread-local storage that the
//! function changes.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::thread;

/// `qemu_guest_random_seed_thread_part2`
type SeedThread = unsafe extern "C" fn(u64);

/// QEMU's function, and where each thread's pointer is.
#[derive(Clone, Copy)]
struct Generator {
    seed: SeedThread,
    /// Bytes of the program's thread-local storage, which ends at the thread pointer.
    tls_len: usize,
    /// The pointer's place in it.
    at: usize,
}

/// Seeds the generator of this thread, which executes the vCPUs. False: this QEMU does not let anybody do that.
pub(crate) fn seed(seed: u64) -> bool {
    static GENERATOR: OnceLock<Option<Generator>> = OnceLock::new();
    let Some(generator) = GENERATOR.get_or_init(Generator::find) else {
        return false;
    };
    // SAFETY: the place is that of QEMU's own pointer in this thread.
    let pointer = unsafe { thread_pointer().sub(generator.tls_len - generator.at) };
    // QEMU asserts that there is none. The old generator is lost, some 2.5 KiB.
    // SAFETY: the pointer is this thread's alone, and nobody uses it while this thread is here.
    unsafe { pointer.cast::<*mut c_void>().write(std::ptr::null_mut()) };
    // SAFETY: QEMU's function, in a thread that has no generator.
    unsafe { (generator.seed)(seed) };
    true
}

impl Generator {
    fn find() -> Option<Generator> {
        let name = c"qemu_guest_random_seed_thread_part2";
        // SAFETY: the name is a C string.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        if symbol.is_null() || thread_pointer().is_null() {
            return None;
        }
        // SAFETY: QEMU declares the symbol as `void f(uint64_t)`.
        let seed = unsafe { std::mem::transmute::<*mut c_void, SeedThread>(symbol) };
        let mut tls_len = 0usize;
        // SAFETY: the callback gets a live word.
        unsafe { libc::dl_iterate_phdr(Some(tls_len_of_program), (&raw mut tls_len).cast()) };
        if tls_len == 0 {
            return None;
        }
        let changed = thread::Builder::new().spawn(move || {
            let before = own_storage(tls_len);
            // SAFETY: QEMU's function, in a thread that has no generator.
            unsafe { seed(1) };
            let after = own_storage(tls_len);
            let words = before.iter().zip(&after).enumerate();
            let changed: Vec<usize> = words
                .filter(|(_, (before, after))| before != after)
                .map(|(index, _)| index)
                .collect();
            match changed[..] {
                [index] if before[index] == 0 => Some(index * size_of::<usize>()),
                _ => None,
            }
        });
        let at = changed.ok()?.join().ok()??;
        Some(Generator { seed, tls_len, at })
    }
}

/// The words of the program's thread-local storage in this thread.
fn own_storage(len: usize) -> Vec<usize> {
    // SAFETY: the program's storage ends at the thread pointer (variant II of the ELF handling of thread-local storage).
    let start = unsafe { thread_pointer().sub(len) }.cast::<usize>();
    (0..len / size_of::<usize>())
        .map(|index| {
            // SAFETY: the index is below the length.
            let word = unsafe { start.add(index) };
            // SAFETY: as above, and every word of it is initialised.
            unsafe { word.read_volatile() }
        })
        .collect()
}

/// The thread pointer; null on an architecture that is not known.
#[cfg(not(target_arch = "x86_64"))]
fn thread_pointer() -> *mut u8 {
    std::ptr::null_mut()
}

/// The thread pointer: its first word is its own address (x86-64 psABI).
#[cfg(target_arch = "x86_64")]
fn thread_pointer() -> *mut u8 {
    let pointer: *mut u8;
    // SAFETY: reads a word that every thread has.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    }
    pointer
}

/// The aligned length of the program's thread-local storage, into the word behind `len`. The program comes first.
extern "C" fn tls_len_of_program(info: *mut libc::dl_phdr_info, _: usize, len: *mut c_void) -> c_int {
    // SAFETY: the C library passes a live value.
    let info = unsafe { &*info };
    // SAFETY: there are that many headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        if header.p_type == libc::PT_TLS {
            let aligned = header.p_memsz.next_multiple_of(header.p_align.max(1)) as usize;
            // SAFETY: the caller passed a live word.
            unsafe { len.cast::<usize>().write(aligned) };
        }
    }
    1
}
