//! A vCPU's registers, and what they say of the program and the kernel that it executes.
//!
//! Which registers there are is the architecture's affair: a file of this folder each. The questions that a guest's
//! observer has (which address space, which arguments, which CPU) are methods of [`Registers`].

pub mod x86_64;

use std::fmt;

use guestmem::{AddressSpace, GuestVirt, PageTables, PhysMem};

/// The registers of one vCPU, of the guest's architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registers {
    /// Of an x86-64 vCPU.
    X86_64(x86_64::Registers),
}

/// Names an address space: that of the process whose page tables a vCPU uses. Two processes that live at the same time have
/// different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSpaceId(pub u64);

/// How many arguments of a function [`Registers::arguments`] returns.
pub const MAX_ARGUMENTS: usize = 6;

impl Registers {
    /// The page tables that the vCPU uses.
    pub fn page_tables(&self) -> PageTables {
        match self {
            Registers::X86_64(registers) => registers.page_tables(),
        }
    }

    /// The address space that the vCPU uses, in this memory.
    pub fn address_space<'m>(&self, memory: &'m dyn PhysMem) -> AddressSpace<'m> {
        AddressSpace::with_tables(memory, self.page_tables())
    }

    /// The name of that address space.
    pub fn address_space_id(&self) -> AddressSpaceId {
        match self {
            Registers::X86_64(registers) => registers.address_space_id(),
        }
    }

    /// The instruction that the vCPU executes.
    pub fn instruction(&self) -> GuestVirt {
        match self {
            Registers::X86_64(registers) => GuestVirt(registers.rip),
        }
    }

    /// The n-th integer argument of the function that begins at [`Registers::instruction`], from 0; `None` for those that
    /// the calling convention does not pass in registers.
    pub fn argument(&self, n: usize) -> Option<u64> {
        match self {
            Registers::X86_64(registers) => registers.argument(n),
        }
    }

    /// The first arguments, zero where one is not passed in a register.
    pub fn arguments(&self) -> [u64; MAX_ARGUMENTS] {
        std::array::from_fn(|n| self.argument(n).unwrap_or(0))
    }

    /// The base of the kernel's per-CPU area, which `__per_cpu_offset` maps to the number of a CPU; `None` in the few
    /// instructions at the kernel's entries and exits at which no register holds it.
    pub fn per_cpu_base(&self) -> Option<GuestVirt> {
        match self {
            Registers::X86_64(registers) => registers.per_cpu_base(),
        }
    }

    /// Whether the vCPU has page tables: a report of a backend may be without them.
    pub fn has_page_tables(&self) -> bool {
        match self {
            Registers::X86_64(registers) => registers.cr3 != 0,
        }
    }
}

impl fmt::Display for AddressSpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
