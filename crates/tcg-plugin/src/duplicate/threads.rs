// SPDX-License-Identifier: GPL-2.0-or-later
//! The other threads: made to stand still, and begun anew in the duplicate where they stood.
//!
//! A signal's handler is where a thread stands. What it interrupted lies in the signal's frame, on that thread's own stack:
//! registers, floating point and vector state, the mask of blocked signals. A new thread in the duplicate that returns from
//! that frame (rt_sigreturn(2)) goes on as the old one would have.

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::fs;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tcg_channel::Refusal;

use super::{STOPS, raw};

/// More threads than QEMU has with this rig's command line: its main thread, RCU's, the monitor's, the vCPUs', the guardian.
const MOST: usize = 16;

/// How long all of them may take to stand still.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that was told to stand still; its index in the table is that in [`Threads`].
struct Standing {
    tid: AtomicI32,
    /// The frame of the signal: a `ucontext_t`.
    frame: AtomicUsize,
    /// The base of its thread-local storage.
    tls: AtomicUsize,
}

static STANDING: [Standing; MOST] = [const {
    Standing {
        tid: AtomicI32::new(0),
        frame: AtomicUsize::new(0),
        tls: AtomicUsize::new(0),
    }
}; MOST];

/// Whether the signal means to stand still.
static STAND_STILL: AtomicBool = AtomicBool::new(false);
/// Set for good when threads did not stand still in time: one of them may still come.
static RESTLESS: AtomicBool = AtomicBool::new(false);
/// How many threads do.
static ARRIVED: AtomicU32 = AtomicU32::new(0);
/// Changes when they may go on.
static GO_ON: AtomicU32 = AtomicU32::new(0);
/// In a duplicate: how many threads were begun anew.
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// In a duplicate: changes when they may go on.
static GO_ON_ANEW: AtomicU32 = AtomicU32::new(0);

/// The other threads of this process, while they stand still.
pub(super) struct Threads {
    /// What the kernel knows of this one.
    me: Anew,
    others: Vec<Thread>,
    /// Where the C library keeps a thread's id, from the base of its thread-local storage.
    tid_at: usize,
}

/// A thread as it was before it stood still, and what a new one in its place is told.
struct Thread {
    tid: i32,
    tls: usize,
    anew: Anew,
}

/// The area of restartable sequences (rseq(2)) of each thread.
#[derive(Clone, Copy)]
struct Rseq {
    /// From the base of the thread-local storage.
    offset: isize,
    len: usize,
}

/// What the kernel knows of a thread, and where that thread stood.
#[derive(Clone, Copy)]
struct Anew {
    /// The signal's frame.
    frame: usize,
    name: [u8; 16],
    robust_list: usize,
    robust_list_len: usize,
    rseq: usize,
    rseq_len: usize,
}

impl Threads {
    /// Stops all threads but this one, or none.
    pub(super) fn stop() -> Result<Threads, (Refusal, u64)> {
        if RESTLESS.load(Ordering::SeqCst) {
            return Err((Refusal::Restless, 0));
        }
        let me = raw::thread_id();
        let tls = raw::thread_pointer();
        let tid_at = tid_offset(tls, me).ok_or((Refusal::ThreadBlock, me as u64))?;
        let others = others(me)?;
        let rseq = rseq();
        handle_signal().map_err(|error| (Refusal::Kernel, error.raw_os_error() as u64))?;
        for (standing, thread) in STANDING.iter().zip(&others) {
            standing.tid.store(thread.tid, Ordering::SeqCst);
            standing.frame.store(0, Ordering::SeqCst);
        }
        ARRIVED.store(0, Ordering::SeqCst);
        STAND_STILL.store(true, Ordering::SeqCst);
        let mut threads = Threads {
            me: Anew::of(0),
            others,
            tid_at,
        };
        match threads.await_all().and_then(|()| threads.note(rseq)) {
            Ok(()) => Ok(threads),
            Err(refusal) => {
                threads.go_on();
                Err(refusal)
            }
        }
    }

    fn await_all(&self) -> Result<(), (Refusal, u64)> {
        let process = std::process::id() as usize;
        for thread in &self.others {
            let arguments = [process, thread.tid as usize, STOPS as usize, 0, 0, 0];
            // SAFETY: the signal has a handler.
            let sent = unsafe { raw::syscall(libc::SYS_tgkill, arguments) };
            if sent != 0 {
                return Err((Refusal::Threads, self.others.len() as u64));
            }
        }
        let all = self.others.len() as u32;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let arrived = ARRIVED.load(Ordering::SeqCst);
            if arrived >= all {
                break;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                RESTLESS.store(true, Ordering::SeqCst);
                return Err((Refusal::Restless, u64::from(all - arrived)));
            }
            raw::wait(&ARRIVED, arrived, Some(rest));
        }
        // A thread that was started meanwhile would be missing in the duplicate.
        match thread_count() {
            Some(count) if count == self.others.len() + 1 => Ok(()),
            count => Err((Refusal::Threads, count.unwrap_or_default() as u64)),
        }
    }

    /// Notes where each stands.
    fn note(&mut self, rseq: Option<Rseq>) -> Result<(), (Refusal, u64)> {
        for (thread, standing) in self.others.iter_mut().zip(&STANDING) {
            let tls = standing.tls.load(Ordering::SeqCst);
            thread.tls = tls;
            thread.anew.frame = standing.frame.load(Ordering::SeqCst);
            if let Some(rseq) = rseq {
                thread.anew.rseq = tls.wrapping_add_signed(rseq.offset);
                thread.anew.rseq_len = rseq.len;
            }
            let at = (tls + self.tid_at) as *const i32;
            // SAFETY: the thread stands still, so its block lives; this place in it was found in this thread's.
            if unsafe { at.read_volatile() } != thread.tid {
                return Err((Refusal::ThreadBlock, thread.tid as u64));
            }
        }
        Ok(())
    }

    /// Lets them go on.
    pub(super) fn go_on(&self) {
        STAND_STILL.store(false, Ordering::SeqCst);
        raw::advance(&GO_ON);
    }

    /// Duplicates this process with this thread alone. Returns the duplicate's process here, 0 there.
    ///
    /// Not fork(2) of the C library, which would take the other threads' stacks for its own. The duplicate's parent is this
    /// process's parent, who reaps it.
    pub(super) fn duplicate_process(&self) -> Result<u32, Errno> {
        let flags =
            libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
        let tid = raw::thread_pointer() + self.tid_at;
        // SAFETY: without CLONE_VM nothing is shared, so the duplicate may go on on its copy of this stack; the thread's id
        // is where the C library keeps it.
        let result = unsafe { raw::syscall(libc::SYS_clone, [flags as usize, 0, 0, tid, 0, 0]) };
        raw::checked(result).map(|pid| pid as u32)
    }

    /// In the duplicate: begins all other threads anew, and lets them go on once `when_all` has returned.
    pub(super) fn begin_anew(&self) -> Result<(), Errno> {
        STAND_STILL.store(false, Ordering::SeqCst);
        BEGUN.store(0, Ordering::SeqCst);
        // A new thread begins with every signal blocked; what it returns to has its own mask.
        let mask = raw::block_signals(u64::MAX);
        self.me.tell_robust_list();
        let begun = self.begin_all();
        raw::block_signals(mask);
        begun
    }

    fn begin_all(&self) -> Result<(), Errno> {
        for thread in &self.others {
            // SAFETY: the frame and the block are those of a thread that does not exist in this process any more, and
            // the table lives until all threads have read theirs.
            raw::checked(unsafe { begin_thread(&thread.anew, thread.tls, self.tid_at) })?;
        }
        let all = self.others.len() as u32;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let begun = BEGUN.load(Ordering::SeqCst);
            if begun >= all {
                break;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(Errno::TIMEDOUT);
            }
            raw::wait(&BEGUN, begun, Some(rest));
        }
        raw::advance(&GO_ON_ANEW);
        Ok(())
    }
}

/// Where a thread's id lies in its block, which begins at `tls`.
fn tid_offset(tls: usize, tid: i32) -> Option<usize> {
    /// `struct pthread` of the GNU C library has more bytes than that.
    const SEARCHED: usize = 2304;
    (0..SEARCHED).step_by(size_of::<i32>()).find(|offset| {
        // SAFETY: the block is live and has that many bytes.
        unsafe { ((tls + offset) as *const i32).read_volatile() == tid }
    })
}

/// The threads of this process but `me`.
fn others(me: i32) -> Result<Vec<Thread>, (Refusal, u64)> {
    let directory = fs::read_dir("/proc/self/task").map_err(|error| (Refusal::Kernel, errno_of(&error)))?;
    let tids: Vec<i32> = directory
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|tid| *tid != me)
        .collect();
    if tids.len() > MOST {
        return Err((Refusal::Threads, tids.len() as u64));
    }
    Ok(tids.into_iter().map(Thread::of).collect())
}

fn errno_of(error: &std::io::Error) -> u64 {
    error.raw_os_error().unwrap_or_default() as u64
}

/// How many threads this process has: its task directory has a link for each, and two of its own.
fn thread_count() -> Option<usize> {
    // SAFETY: zeros are a valid `stat` to be overwritten.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the path is a C string, and `stat` is live.
    let result = unsafe { libc::stat(c"/proc/self/task".as_ptr(), &raw mut stat) };
    (result == 0).then(|| stat.st_nlink as usize - 2)
}

impl Thread {
    fn of(tid: i32) -> Thread {
        Thread {
            tid,
            tls: 0,
            anew: Anew::of(tid),
        }
    }
}

impl Anew {
    /// What the kernel knows of a thread; 0 is this one, whose name a fork keeps.
    fn of(tid: i32) -> Anew {
        let mut name = [0; 16];
        let comm = fs::read(format!("/proc/self/task/{tid}/comm")).unwrap_or_default();
        let comm = comm.trim_ascii_end();
        let len = comm.len().min(name.len() - 1);
        name[..len].copy_from_slice(&comm[..len]);
        let (mut robust_list, mut robust_list_len) = (0usize, 0usize);
        let arguments = [
            tid as usize,
            (&raw mut robust_list) as usize,
            (&raw mut robust_list_len) as usize,
            0,
            0,
            0,
        ];
        // SAFETY: the kernel writes to two live words.
        unsafe { raw::syscall(libc::SYS_get_robust_list, arguments) };
        Anew {
            frame: 0,
            name,
            robust_list,
            robust_list_len,
            rseq: 0,
            rseq_len: 0,
        }
    }

    fn tell_robust_list(&self) {
        let arguments = [self.robust_list, self.robust_list_len, 0, 0, 0, 0];
        // SAFETY: the list is in this thread's own block.
        unsafe { raw::syscall(libc::SYS_set_robust_list, arguments) };
    }
}

/// Where the C library keeps its areas of restartable sequences; `None` where it has none (before glibc 2.35).
fn rseq() -> Option<Rseq> {
    /// The length that every version of the kernel's interface takes (`ORIG_RSEQ_SIZE`).
    const LEAST: usize = 32;
    // SAFETY: the name is a C string.
    let offset = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()) };
    // SAFETY: as above.
    let size = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr()) };
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: the C library declares this symbol as a `const unsigned int`.
    let size = unsafe { *size.cast::<u32>() } as usize;
    // SAFETY: and this one as a `const ptrdiff_t`.
    let offset = unsafe { *offset.cast::<isize>() };
    (size != 0).then_some(Rseq {
        offset,
        len: size.next_multiple_of(LEAST),
    })
}

fn handle_signal() -> Result<(), Errno> {
    // SAFETY: zeros are a valid `sigaction` to be filled in.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = stand as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the mask is a live set.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    // SAFETY: the action is live, and its handler makes system calls only.
    match unsafe { libc::sigaction(STOPS, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// The signal's handler: notes where this thread stands, and waits until it may go on.
extern "C" fn stand(signal: c_int, info: *mut libc::siginfo_t, frame: *mut c_void) {
    let waiting_for = GO_ON.load(Ordering::SeqCst);
    // SAFETY: the kernel gave a live `siginfo_t`.
    let code = unsafe { (*info).si_code };
    if code != SI_TKILL {
        // A true arithmetic fault: it comes again, and ends the process.
        // SAFETY: the default action has no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    if !STAND_STILL.load(Ordering::SeqCst) {
        // Too late: the others go on already.
        return;
    }
    let tid = raw::thread_id();
    let mine = STANDING
        .iter()
        .find(|standing| standing.tid.load(Ordering::SeqCst) == tid);
    let Some(standing) = mine else { return };
    standing.tls.store(raw::thread_pointer(), Ordering::SeqCst);
    standing.frame.store(frame as usize, Ordering::SeqCst);
    raw::advance(&ARRIVED);
    while GO_ON.load(Ordering::SeqCst) == waiting_for {
        raw::wait(&GO_ON, waiting_for, None);
    }
}

/// `SI_TKILL` in include/uapi/asm-generic/siginfo.h: sent by tgkill(2).
const SI_TKILL: c_int = -6;

/// Begins a thread on the stack of one that stood in a signal's handler, below the signal's frame.
///
/// # Safety
/// The frame, and the block at `tls`, are those of a thread that is not in this process. `anew` must live until the thread
/// has counted itself in [`BEGUN`].
unsafe fn begin_thread(anew: &Anew, tls: usize, tid_at: usize) -> isize {
    /// Room for what the handler had on the stack is not needed: nothing returns there.
    const BELOW: usize = 1024;
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID;
    let stack = (anew.frame - BELOW) & !63;
    let tid = tls + tid_at;
    let result: isize;
    // SAFETY: the new thread comes out of the call with the same registers on a stack of its own, and never returns from
    // `resurrected`; for this thread it is a system call like any other.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags as usize,
            in("rsi") stack,
            in("rdx") tid,
            in("r10") tid,
            in("r8") tls,
            in("r12") std::ptr::from_ref(anew),
            in("r13") resurrected as extern "C" fn(*const Anew) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// What a new thread executes: it tells the kernel what the old one had told it, and returns from the signal.
extern "C" fn resurrected(anew: *const Anew) -> ! {
    /// The signature that the C library registers on x86-64 (`RSEQ_SIG`).
    const RSEQ_SIGNATURE: usize = 0x5305_3053;
    let waiting_for = GO_ON_ANEW.load(Ordering::SeqCst);
    // SAFETY: whoever began this thread keeps it alive until this thread has counted itself.
    let anew = unsafe { std::ptr::read(anew) };
    anew.tell_robust_list();
    if anew.rseq != 0 {
        let arguments = [anew.rseq, anew.rseq_len, 0, RSEQ_SIGNATURE, 0, 0];
        // SAFETY: the area is in this thread's own block.
        unsafe { raw::syscall(libc::SYS_rseq, arguments) };
    }
    let set_name = [
        libc::PR_SET_NAME as usize,
        anew.name.as_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the name is a live C string.
    unsafe { raw::syscall(libc::SYS_prctl, set_name) };
    raw::advance(&BEGUN);
    while GO_ON_ANEW.load(Ordering::SeqCst) == waiting_for {
        raw::wait(&GO_ON_ANEW, waiting_for, None);
    }
    // SAFETY: the frame is one that the kernel has written, for this stack and this block.
    unsafe {
        asm!(
            "mov rsp, {frame}",
            "syscall",
            "ud2",
            frame = in(reg) anew.frame,
            in("rax") libc::SYS_rt_sigreturn,
            options(noreturn),
        )
    }
}
