//! The registers of a report, by name.

use machine::Registers;
use machine::registers::x86_64;
use tcg_channel::{REGISTERS, Report};

/// The registers of a report; those that its cause does not have are zero.
pub(super) fn of(report: &Report) -> Registers {
    let mut registers = x86_64::Registers::default();
    for (name, value) in REGISTERS.into_iter().zip(report.registers) {
        if let Some(field) = field(&mut registers, name) {
            *field = value;
        }
    }
    Registers::X86_64(registers)
}

/// The field of the register that QEMU calls `name`.
fn field<'r>(registers: &'r mut x86_64::Registers, name: &str) -> Option<&'r mut u64> {
    Some(match name {
        "rax" => &mut registers.rax,
        "rbx" => &mut registers.rbx,
        "rcx" => &mut registers.rcx,
        "rdx" => &mut registers.rdx,
        "rsi" => &mut registers.rsi,
        "rdi" => &mut registers.rdi,
        "rbp" => &mut registers.rbp,
        "rsp" => &mut registers.rsp,
        "r8" => &mut registers.r8,
        "r9" => &mut registers.r9,
        "r10" => &mut registers.r10,
        "r11" => &mut registers.r11,
        "r12" => &mut registers.r12,
        "r13" => &mut registers.r13,
        "r14" => &mut registers.r14,
        "r15" => &mut registers.r15,
        "rip" => &mut registers.rip,
        "eflags" => &mut registers.rflags,
        "cr3" => &mut registers.cr3,
        "cr4" => &mut registers.cr4,
        "gs_base" => &mut registers.gs_base,
        "k_gs_base" => &mut registers.k_gs_base,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reported_register_has_its_own_field() {
        let mut registers = x86_64::Registers::default();
        for (value, name) in (1..).zip(REGISTERS) {
            let field = field(&mut registers, name).unwrap_or_else(|| panic!("{name} has no field"));
            assert_eq!(*field, 0, "{name} shares a field");
            *field = value;
        }
        assert_eq!(registers.rax, 1);
        assert_eq!(registers.rip, 17);
        assert_eq!(registers.k_gs_base, 22);
    }
}
