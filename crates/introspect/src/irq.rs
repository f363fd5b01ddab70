//! What each CPU counts of its time and its interrupts: `kernel_cpustat` and `kstat`.

use guestmem::GuestVirt;
use record::Value;

use crate::{GuestKernel, Object, ReadError};

/// What a CPU has counted.
#[derive(Debug, Clone, Copy)]
pub struct CpuCounts<'k> {
    cpu: u32,
    stat: Object<'k>,
    kstat: Object<'k>,
}

/// Times of `enum cpu_usage_stat` that the kernel keeps by its ticks, in `/proc/stat`'s order. `CPUTIME_IDLE` and
/// `CPUTIME_IOWAIT` are only a part of the truth where idle CPUs have no tick.
const TIMES: [(&str, &str); 10] = [
    ("user", "CPUTIME_USER"),
    ("nice", "CPUTIME_NICE"),
    ("system", "CPUTIME_SYSTEM"),
    ("idle", "CPUTIME_IDLE"),
    ("iowait", "CPUTIME_IOWAIT"),
    ("irq", "CPUTIME_IRQ"),
    ("softirq", "CPUTIME_SOFTIRQ"),
    ("steal", "CPUTIME_STEAL"),
    ("guest", "CPUTIME_GUEST"),
    ("guest_nice", "CPUTIME_GUEST_NICE"),
];

impl<'k> CpuCounts<'k> {
    /// Those of a CPU.
    ///
    /// # Errors
    /// [`ReadError::PerCpu`] for a CPU that the kernel does not have.
    pub fn of(kernel: &'k GuestKernel<'k>, cpu: u32) -> Result<CpuCounts<'k>, ReadError> {
        Ok(CpuCounts {
            cpu,
            stat: kernel.per_cpu("kernel_cpustat", cpu)?,
            kstat: kernel.per_cpu("kstat", cpu)?,
        })
    }

    /// Those of all CPUs that can ever be.
    ///
    /// # Errors
    /// [`ReadError`] when the CPUs cannot be told.
    pub fn all(kernel: &'k GuestKernel<'k>) -> Result<Vec<CpuCounts<'k>>, ReadError> {
        let cpus = kernel.possible_cpus()?;
        cpus.iter().map(|cpu| CpuCounts::of(kernel, cpu)).collect()
    }

    /// Its number.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// `cpustat[]`: ns by the names of `/proc/stat`.
    pub fn times(&self) -> Result<Vec<(&'static str, u64)>, ReadError> {
        let times = self.stat.field("cpustat")?;
        let constant = |name| {
            let index = self.stat.btf().enum_value(Some("cpu_usage_stat"), name);
            index.ok_or_else(|| ReadError::no_type("constant", name))
        };
        TIMES
            .iter()
            .map(|(name, index)| Ok((*name, times.element(constant(index)?.cast_unsigned())?.bits()?)))
            .collect()
    }

    /// `softirqs[]`, by the names of `softirq_to_name`.
    pub fn softirqs(&self) -> Result<Vec<(String, u64)>, ReadError> {
        const LONGEST: usize = 32;
        let kernel = self.kstat.kernel();
        let counts = self.kstat.field("softirqs")?;
        let len = self.kstat.btf().array(counts.type_id()).map_or(0, |(_, len)| len);
        let names = kernel.symbol("softirq_to_name")?;
        (0..u64::from(len))
            .map(|index| {
                let name = GuestVirt(kernel.read_u64(names.wrapping_add(8 * index))?);
                let name = kernel.read_cstr(name, LONGEST)?;
                let count = counts.element(index)?.bits()?;
                Ok((String::from_utf8_lossy(&name).into_owned(), count))
            })
            .collect()
    }

    /// `irqs_sum`: interrupts of all devices.
    pub fn irqs_sum(&self) -> Result<u64, ReadError> {
        self.kstat.u64("irqs_sum")
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let times = match self.times() {
            Ok(times) => Value::tree(
                times
                    .into_iter()
                    .map(|(name, ns)| (name, Value::Time(ns.cast_signed()))),
            ),
            Err(error) => Value::missing(&error),
        };
        let softirqs = match self.softirqs() {
            Ok(counts) => Value::tree(counts.into_iter().map(|(name, count)| (name, Value::from(count)))),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("cpu", Value::from(u64::from(self.cpu))),
            ("times", times),
            ("irqs", Value::from(self.irqs_sum())),
            ("softirqs", softirqs),
        ])
    }
}

/// All CPUs.
///
/// # Errors
/// Those of [`CpuCounts::all`].
pub fn list(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    Ok(CpuCounts::all(kernel)?.iter().map(CpuCounts::value).collect())
}
