//! Why a scheduler's BPF programs did not load, from what its loader printed.
//!
//! libbpf prints the deciding line long before its last one (`tools/lib/bpf/libbpf.c`): a verifier's log stands between two
//! marks, with the verifier's reason as its last line before the statistics, and dozens of lines follow that only pass the
//! error on.

/// The first reason for which nothing was loaded, in a sentence; `None` where the log holds none that is known.
pub(crate) fn find(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().filter_map(after_prefix).collect();
    missing(&lines)
        .or_else(|| rejected(&lines))
        .or_else(|| last_words(&lines))
}

/// What libbpf says in a line, whatever the loader's own logger put before it.
fn after_prefix(line: &str) -> Option<&str> {
    match line.split_once("libbpf: ") {
        Some((_, said)) => Some(said.trim_end()),
        // The verifier's own lines come without.
        None => Some(line.trim_end()).filter(|line| !line.is_empty()),
    }
}

/// What the kernel lacks: libbpf finds that out before it loads a program.
fn missing(lines: &[&str]) -> Option<String> {
    lines.iter().find_map(|line| {
        let name = || quoted(line);
        if line.contains("not found in kernel or module BTFs") {
            Some(format!("this kernel has no kfunc or variable `{}`", name()?))
        } else if line.starts_with("extern (kcfg)") && line.contains("not found") {
            Some(format!("this kernel's configuration has no `{}`", name()?))
        } else if line.contains("struct_ops") && line.contains("not found in kernel BTF") {
            Some(format!("this kernel lacks what the struct_ops needs: {line}"))
        } else if line.contains("Cannot find member") || line.contains("is not found in kernel BTF") {
            Some(format!("this kernel lacks a member of the struct_ops: {line}"))
        } else if line.contains("failed to find valid kernel BTF")
            || line.contains("Error loading vmlinux BTF")
        {
            Some("this kernel has no BTF".to_owned())
        } else {
            None
        }
    })
}

/// The first program that the verifier rejected, with its reason.
fn rejected(lines: &[&str]) -> Option<String> {
    let begin = lines
        .iter()
        .position(|line| line.contains("-- BEGIN PROG LOAD LOG --"))?;
    let program = quoted(lines.get(begin)?)?;
    let log = lines.get(begin + 1..)?;
    let end = log
        .iter()
        .position(|line| line.contains("-- END PROG LOAD LOG --"));
    let log = &log[..end.unwrap_or(log.len())];
    let reason = log.iter().rev().find(|line| !is_statistics(line))?;
    Some(format!(
        "the verifier rejected program `{program}`: {}",
        reason.trim()
    ))
}

/// A program that failed without a log of the verifier.
fn last_words(lines: &[&str]) -> Option<String> {
    let line = lines
        .iter()
        .find(|line| line.contains("BPF program load failed"))?;
    let (_, why) = line.split_once("BPF program load failed: ")?;
    Some(format!("program `{}` did not load: {why}", quoted(line)?))
}

/// `processed 12 insns …`, and what the verifier prints after it (`print_verification_stats`).
fn is_statistics(line: &str) -> bool {
    [
        "processed ",
        "verification time ",
        "stack depth ",
        "max_states_per_insn ",
    ]
    .iter()
    .any(|begin| line.trim_start().starts_with(begin))
}

/// The first text in single quotes.
fn quoted(line: &str) -> Option<&str> {
    Some(line.split_once('\'')?.1.split_once('\'')?.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_verifiers_reason_for_the_first_program_is_found() {
        let log = "\
            02:11:09 [WARN] libbpf: prog 'p2dq_update_idle': BPF program load failed: -EINVAL\n\
            02:11:09 [WARN] libbpf: prog 'p2dq_update_idle': -- BEGIN PROG LOAD LOG --\n\
            0: R1=ctx() R10=fp0\n\
            ; u64 x = addr_space_cast(p); @ main.bpf.c:7\n\
            addr_space_cast insn can only convert between address space 1 and 0\n\
            processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 0\n\
            -- END PROG LOAD LOG --\n\
            02:11:09 [WARN] libbpf: prog 'p2dq_update_idle': failed to load: -EINVAL\n\
            02:11:09 [WARN] libbpf: failed to load object 'bpf_bpf'\n\
            Error: Failed to load BPF program\n";
        assert_eq!(
            find(log).unwrap(),
            "the verifier rejected program `p2dq_update_idle`: addr_space_cast insn can only convert between address \
             space 1 and 0"
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        let check = |log: &str, part: &str| {
            let found = find(log).unwrap();
            assert!(found.contains(part), "{found}");
        };
        check(
            "libbpf: extern (func ksym) 'scx_bpf_new': not found in kernel or module BTFs\n",
            "no kfunc or variable `scx_bpf_new`",
        );
        check("libbpf: extern (kcfg) 'CONFIG_NEW': not found\n", "`CONFIG_NEW`");
        check("libbpf: failed to find valid kernel BTF\n", "no BTF");
        check(
            "libbpf: prog 'a': BPF program load failed: -E2BIG\n",
            "program `a` did not load: -E2BIG",
        );
    }

    #[test]
    fn a_log_without_a_known_reason_gives_none() {
        assert_eq!(find("Error: Invalid argument (os error 22)\n"), None);
        assert_eq!(find(""), None);
    }

    proptest! {
        #[test]
        fn no_log_panics(log in "[libpf:' \n-]{0,200}", whole in any::<String>()) {
            let _ = (find(&log), find(&whole));
            let _ = find(&format!("libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n{whole}"));
        }
    }
}
