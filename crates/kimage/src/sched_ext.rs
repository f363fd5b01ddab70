//! Detecting sched_ext (`CONFIG_SCHED_CLASS_EXT`) in a kernel.

use crate::symbols::Symbols;

/// Whether the kernel with these symbols can run BPF schedulers.
///
/// The sign is `scx_bpf_kick_cpu`: a kfunc, so its name is an interface that every BPF scheduler links against and
/// it cannot be inlined or renamed by the compiler. It exists from the first release with sched_ext (6.12) and only
/// if the option is on. The obvious candidates are worse: `ext_sched_class` is data, so absent without
/// `CONFIG_KALLSYMS_ALL`, and `scx_ops_enable` became `scx_enable` in 6.16.
pub fn has_sched_ext(symbols: &Symbols) -> bool {
    symbols.address_of("scx_bpf_kick_cpu").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_the_kfunc() {
        let with = |name: &str| Symbols::from_iter([(name, 0xffff_ffff_8100_0000, 'T')]);
        assert!(has_sched_ext(&with("scx_bpf_kick_cpu")));
        assert!(!has_sched_ext(&with("scx_bpf_kick_cpus")));
    }
}
