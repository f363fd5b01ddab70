//! The registers in a report.

/// The registers of a report, by the names that QEMU's plugin interface gives them.
pub const REGISTERS: [&str; 22] = [
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
    "eflags",
    "cr3",
    "cr4",
    "gs_base",
    "k_gs_base",
];

/// The index of `rip` in [`REGISTERS`].
pub const RIP: usize = 16;

/// The indices of `gs_base` and `k_gs_base`: one of them holds the kernel's per-CPU base.
pub const PER_CPU_BASES: [usize; 2] = [20, 21];

/// A value for each of [`REGISTERS`], in that order.
pub type Values = [u64; REGISTERS.len()];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_lead_to_the_registers_that_they_name() {
        assert_eq!(REGISTERS[RIP], "rip");
        assert_eq!(
            PER_CPU_BASES.map(|index| REGISTERS[index]),
            ["gs_base", "k_gs_base"]
        );
    }
}
