//! x86-64: the general registers, and those that say where the page tables and the kernel's per-CPU area are.

use guestmem::x86_64::Levels;
use guestmem::{GuestVirt, PageTables};

use super::AddressSpaceId;

/// The registers of one x86-64 vCPU. In user mode the kernel's per-CPU base is in `k_gs_base`.
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

/// Bit 12 of CR4: 57-bit linear addresses, so page tables have five levels.
const CR4_LA57: u64 = 1 << 12;

/// Bits 51:12 of CR3: the physical address of the top table. The others are switches: PCID, LAM, cache attributes.
const CR3_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Registers {
    pub(super) fn page_tables(&self) -> PageTables {
        let levels = if self.cr4 & CR4_LA57 != 0 {
            Levels::Five
        } else {
            Levels::Four
        };
        PageTables::X86_64 {
            cr3: self.cr3,
            levels,
        }
    }

    pub(super) fn address_space_id(&self) -> AddressSpaceId {
        AddressSpaceId(self.cr3 & CR3_ADDRESS)
    }

    /// The kernel keeps the base in `gs`, and swaps it with `k_gs_base` where it enters and leaves user mode.
    pub(super) fn per_cpu_base(&self) -> Option<GuestVirt> {
        let is_kernel_address = |base: &u64| base.cast_signed() < 0;
        [self.gs_base, self.k_gs_base]
            .into_iter()
            .find(is_kernel_address)
            .map(GuestVirt)
    }

    /// System V calling convention.
    pub(super) fn argument(&self, n: usize) -> Option<u64> {
        [self.rdi, self.rsi, self.rdx, self.rcx, self.r8, self.r9]
            .get(n)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_and_fifth_level_are_told_apart_by_cr4() {
        let check = |cr4: u64, levels: Levels| {
            let registers = Registers {
                cr3: 0x1018,
                cr4,
                ..Registers::default()
            };
            let expect = PageTables::X86_64 { cr3: 0x1018, levels };
            assert_eq!(registers.page_tables(), expect);
        };
        check(0, Levels::Four);
        check(!CR4_LA57, Levels::Four);
        check(CR4_LA57, Levels::Five);
    }

    #[test]
    fn an_address_space_is_named_by_its_top_table_alone() {
        let id = |cr3| {
            let registers = Registers {
                cr3,
                ..Registers::default()
            };
            registers.address_space_id()
        };
        assert_eq!(id(0x0123_4567_8000), AddressSpaceId(0x0123_4567_8000));
        assert_eq!(
            id(0x8000_0123_4567_8fff),
            id(0x0123_4567_8000),
            "PCID and no-flush"
        );
        assert_ne!(id(0x1000), id(0x2000));
    }

    #[test]
    fn the_per_cpu_base_is_the_one_of_the_kernels_half() {
        let base = |gs_base, k_gs_base| {
            let registers = Registers {
                gs_base,
                k_gs_base,
                ..Registers::default()
            };
            registers.per_cpu_base().map(|base| base.0)
        };
        let kernel = 0xffff_8880_3ec0_0000;
        assert_eq!(base(kernel, 0x7f00), Some(kernel), "in the kernel");
        assert_eq!(base(0x7f00, kernel), Some(kernel), "in a program");
        assert_eq!(base(0x7f00, 0), None, "between the two");
    }

    #[test]
    fn six_arguments_are_passed_in_registers() {
        let registers = Registers {
            rdi: 1,
            rsi: 2,
            rdx: 3,
            rcx: 4,
            r8: 5,
            r9: 6,
            ..Registers::default()
        };
        let all: Vec<_> = (0..7).map(|n| registers.argument(n)).collect();
        assert_eq!(all, [Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), None]);
        let neutral = super::super::Registers::X86_64(registers);
        assert_eq!(neutral.arguments(), [1, 2, 3, 4, 5, 6]);
    }
}
