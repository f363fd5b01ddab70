//! A vCPU's registers, as far as the rig has use for them.

use guestmem::GuestVirt;

/// The x86-64 registers of one vCPU. In user mode the kernel's per-CPU base is in `k_gs_base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are the architecture's own")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub gs_base: u64,
    pub k_gs_base: u64,
}

/// CR4 bit 12: 57-bit linear addresses, so page tables have five levels.
const CR4_LA57: u64 = 1 << 12;

impl Registers {
    /// How many levels the page tables have that `cr3` points to.
    pub fn paging_levels(&self) -> guestmem::x86_64::Levels {
        if self.cr4 & CR4_LA57 != 0 {
            guestmem::x86_64::Levels::Five
        } else {
            guestmem::x86_64::Levels::Four
        }
    }

    /// Where the kernel's per-CPU area of this vCPU is, which tells which of the kernel's CPUs it is
    /// (`__per_cpu_offset`); `None` in the few instructions in which neither base is the kernel's.
    pub fn per_cpu_base(&self) -> Option<GuestVirt> {
        let kernels = |base: &u64| base.cast_signed() < 0;
        [self.gs_base, self.k_gs_base]
            .into_iter()
            .find(kernels)
            .map(GuestVirt)
    }

    /// The n-th integer argument of the System V calling convention, from 0; `None` past the sixth.
    pub fn argument(&self, n: usize) -> Option<u64> {
        [self.rdi, self.rsi, self.rdx, self.rcx, self.r8, self.r9]
            .get(n)
            .copied()
    }
}
