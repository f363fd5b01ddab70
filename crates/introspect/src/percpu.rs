//! Variables that each CPU has its own of.
//!
//! ```text
//!  symbol (link address, or offset on older kernels) ─ slid ─► template + __per_cpu_offset[cpu] ─► the CPU's own
//! ```
//! Mirrors `per_cpu_ptr` of include/linux/percpu-defs.h.

use guestmem::GuestVirt;
use spec::CpuSet;

use crate::btf::{KindSet, TypeId};
use crate::{GuestKernel, Object, ReadError};

/// Why a CPU's own variable was not found. In the order in which it is looked for (contract A15).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PerCpuError {
    /// The symbol is not one of those that can be named.
    #[error("no per-CPU variable {symbol} that has a type; available: {}", known())]
    UnknownSymbol {
        /// The symbol asked for.
        symbol: String,
    },
    /// The kernel has no such variable.
    #[error("this kernel has no per-CPU symbol {symbol}")]
    NoTemplate {
        /// The symbol.
        symbol: String,
    },
    /// The kernel keeps no offsets: it was built for one CPU.
    #[error("this kernel has no symbol __per_cpu_offset: was it built for one CPU?")]
    NoOffsets,
    /// The CPU has no area of its own.
    #[error(
        "CPU {cpu} has no per-CPU area: __per_cpu_offset[{cpu}] is {offset:#x}; the kernel knows {cpus} CPUs"
    )]
    NoArea {
        /// The CPU.
        cpu: u32,
        /// What the array has for it.
        offset: u64,
        /// `nr_cpu_ids`.
        cpus: u32,
    },
    /// What comes out is no kernel address.
    #[error(
        "{symbol} of CPU {cpu} would be at {at}, below the direct map: template {template:#x} + slide {slide:#x} + offset {offset:#x}"
    )]
    BelowKernel {
        /// The symbol.
        symbol: String,
        /// The CPU.
        cpu: u32,
        /// The result.
        at: GuestVirt,
        /// The template's link address.
        template: u64,
        /// What KASLR added to it.
        slide: u64,
        /// The CPU's offset.
        offset: u64,
    },
}

impl PerCpuError {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, PerCpuError::NoTemplate { .. } | PerCpuError::NoOffsets)
    }
}

/// The variables that a kernel op can name, and their types (contract A14).
pub const NAMED: [(&str, &str); 4] = [
    ("runqueues", "rq"),
    ("kernel_cpustat", "kernel_cpustat"),
    ("kstat", "kernel_stat"),
    ("tick_cpu_sched", "tick_sched"),
];

fn known() -> String {
    NAMED.map(|(symbol, _)| symbol).join(", ")
}

impl<'m> GuestKernel<'m> {
    /// How many CPU numbers the kernel uses (`nr_cpu_ids`).
    pub fn nr_cpu_ids(&self) -> Result<u32, ReadError> {
        const MOST: u32 = 8192;
        // A kernel built for a fixed number has it as a constant.
        if self.info().symbols.get("nr_cpu_ids").is_none() {
            return self
                .possible_cpus()
                .map(|cpus| cpus.iter().last().map_or(0, |last| last + 1));
        }
        match self.read_symbol_u32("nr_cpu_ids")? {
            count @ 1..=MOST => Ok(count),
            count => Err(ReadError::out_of_range(
                "nr_cpu_ids",
                count.into(),
                format!("no kernel has more than {MOST} CPUs"),
            )),
        }
    }

    /// The CPUs that can ever be (`cpu_possible_mask`).
    pub fn possible_cpus(&self) -> Result<CpuSet, ReadError> {
        self.cpumask(self.variable("__cpu_possible_mask", "cpumask")?)
    }

    /// The CPUs that run (`cpu_online_mask`).
    pub fn online_cpus(&self) -> Result<CpuSet, ReadError> {
        self.cpumask(self.variable("__cpu_online_mask", "cpumask")?)
    }

    /// The CPUs in a `struct cpumask`.
    pub fn cpumask(&self, mask: Object<'_>) -> Result<CpuSet, ReadError> {
        const MOST_BYTES: u64 = 1024;
        let at = mask.address();
        // A mask that is allocated has no more bytes than this kernel's CPUs need.
        let len = match self.info().symbols.get("nr_cpu_ids") {
            Some(_) => u64::from(self.nr_cpu_ids()?).div_ceil(64) * 8,
            None => mask.size(),
        };
        let bytes = self.read_chunked(at, len.min(MOST_BYTES) as usize)?;
        let bits = bytes.iter().zip(0u32..).flat_map(|(byte, index)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 != 0)
                .map(move |bit| index * 8 + bit)
        });
        Ok(bits.collect())
    }

    /// Where a CPU's own copy of a per-CPU variable is.
    ///
    /// # Errors
    /// [`ReadError::PerCpu`].
    pub fn per_cpu_address(&self, symbol: &str, cpu: u32) -> Result<GuestVirt, ReadError> {
        let symbols = &self.info().symbols;
        let template = symbols.address_of(symbol).ok_or_else(|| PerCpuError::NoTemplate {
            symbol: symbol.to_owned(),
        });
        let template = template.map_err(Box::new)?;
        self.per_cpu_at(symbol, self.placement().slid(template), cpu)
    }

    /// The CPU's own copy of what a per-CPU pointer (`alloc_percpu`), or the slid template of a variable, leads to.
    pub fn per_cpu_at(&self, what: &str, template: GuestVirt, cpu: u32) -> Result<GuestVirt, ReadError> {
        let offsets = self.symbol("__per_cpu_offset");
        let offsets = offsets.map_err(|_| Box::new(PerCpuError::NoOffsets))?;
        let cpus = self.nr_cpu_ids()?;
        let offset = if cpu < cpus {
            self.read_u64(offsets.wrapping_add(u64::from(cpu) * 8))?
        } else {
            0
        };
        if offset == 0 && cpu > 0 {
            return Err(Box::new(PerCpuError::NoArea { cpu, offset, cpus }).into());
        }
        let at = template.wrapping_add(offset);
        if at < self.page_offset() {
            let link = self.info().symbols.address_of(what).unwrap_or(template.0);
            return Err(Box::new(PerCpuError::BelowKernel {
                symbol: what.to_owned(),
                cpu,
                at,
                template: link,
                slide: template.0.wrapping_sub(link),
                offset,
            })
            .into());
        }
        Ok(at)
    }

    /// The CPU whose per-CPU memory has this base (`__per_cpu_offset`): the one that a vCPU is. `None` where none has it.
    pub fn cpu_of_base(&self, base: GuestVirt) -> Option<u32> {
        let offsets = self.symbol("__per_cpu_offset").ok()?;
        let is_of = |cpu: &u32| {
            let offset = self.read_u64(offsets.wrapping_add(u64::from(*cpu) * 8));
            offset.is_ok_and(|offset| offset == base.0)
        };
        (0..self.nr_cpu_ids().ok()?).find(is_of)
    }

    /// A CPU's own copy of a per-CPU variable, with the type that BTF has for it.
    ///
    /// # Errors
    /// [`ReadError::PerCpu`], [`ReadError::NoType`].
    pub fn per_cpu<'k>(&'k self, symbol: &str, cpu: u32) -> Result<Object<'k>, ReadError>
    where
        'm: 'k,
    {
        let at = self.per_cpu_address(symbol, cpu)?;
        match NAMED.iter().find(|(named, _)| *named == symbol) {
            Some((_, structure)) => self.object(at, structure),
            None => {
                let btf = self.btf();
                let variable = btf.find(symbol, KindSet::VAR);
                let type_id = variable.and_then(|id| btf.target(id)).unwrap_or(TypeId::VOID);
                Ok(Object::new(self, btf, at, type_id))
            }
        }
    }

    /// A CPU's own copy of one of the four variables that a kernel op can name (contracts A14, A15).
    ///
    /// # Errors
    /// [`ReadError::PerCpu`] with the first step that fails.
    pub fn named_per_cpu<'k>(&'k self, symbol: &str, cpu: u32) -> Result<Object<'k>, ReadError>
    where
        'm: 'k,
    {
        if !NAMED.iter().any(|(named, _)| *named == symbol) {
            let symbol = symbol.to_owned();
            return Err(Box::new(PerCpuError::UnknownSymbol { symbol }).into());
        }
        self.per_cpu(symbol, cpu)
    }
}

#[cfg(test)]
mod tests;
