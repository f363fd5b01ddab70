//! Parsers of `/proc/PID/*` texts. A text that is not as expected is an error that shows it.

use spec::SchedClass;

/// A text of the kernel that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's {file} has no {what}: `{text}`")]
pub(crate) struct TextError {
    file: &'static str,
    what: &'static str,
    text: String,
}

/// `/proc/PID/schedstat` (Documentation/scheduler/sched-stats.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SchedStat {
    /// Nanoseconds on a CPU.
    pub(crate) on_cpu_ns: u64,
    /// Nanoseconds runnable but waiting.
    pub(crate) run_delay_ns: u64,
    /// Times put on a CPU.
    pub(crate) timeslices: u64,
}

/// The parts of `/proc/PID/sched` that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sched {
    /// `se.nr_migrations`: times it changed CPU.
    pub(crate) migrations: u64,
    /// The class that schedules it.
    pub(crate) class: SchedClass,
}

/// The parts of `/proc/PID/stat` (proc_pid_stat(5)) that are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// The task's name.
    pub(crate) comm: String,
    /// Field 4: the parent's process id.
    pub(crate) parent: u32,
    /// Fields 16 and 17, `cutime` and `cstime`: CPU time of the children that it has waited for, and of theirs, in units of
    /// 1/100 s, each of the two rounded down.
    pub(crate) children_ticks: u64,
    /// Field 20: how many threads its process has.
    pub(crate) threads: u32,
    /// Field 39: the CPU it was on last.
    pub(crate) processor: u32,
}

/// Parses `/proc/PID/schedstat`.
pub(crate) fn schedstat(text: &str) -> Result<SchedStat, TextError> {
    let numbers: Vec<u64> = text
        .split_ascii_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [on_cpu_ns, run_delay_ns, timeslices] => Ok(SchedStat {
            on_cpu_ns,
            run_delay_ns,
            timeslices,
        }),
        _ => Err(wrong("schedstat", "three numbers", text)),
    }
}

/// Parses `/proc/PID/stat`. The name stands in parentheses and may itself hold any character.
pub(crate) fn stat(text: &str) -> Result<Stat, TextError> {
    let named = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let (comm, rest) = named.ok_or_else(|| wrong("stat", "name", text))?;
    // The field after the name is field 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize, what| {
        let word = fields.get(number - 3).and_then(|word| word.parse::<u64>().ok());
        word.ok_or_else(|| wrong("stat", what, text))
    };
    let small = |number, what| u32::try_from(field(number, what)?).map_err(|_| wrong("stat", what, text));
    Ok(Stat {
        comm: comm.to_owned(),
        parent: small(4, "parent")?,
        children_ticks: field(16, "cutime")?.saturating_add(field(17, "cstime")?),
        threads: small(20, "number of threads")?,
        processor: small(39, "processor")?,
    })
}

/// Parses `/proc/PID/sched` (`proc_sched_show_task` in kernel/sched/debug.c). `ext.enabled` is missing in kernels without
/// sched_ext.
pub(crate) fn sched(text: &str) -> Result<Sched, TextError> {
    let number = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, number) = lines.find(|(key, _)| key.trim_end() == name)?;
        number.trim().parse::<u64>().ok()
    };
    let migrations = number("se.nr_migrations").ok_or_else(|| wrong("sched", "se.nr_migrations", text))?;
    let policy = number("policy").and_then(|policy| u32::try_from(policy).ok());
    let policy = policy.ok_or_else(|| wrong("sched", "policy", text))?;
    let class = SchedClass::of(policy, number("ext.enabled").is_some_and(|enabled| enabled != 0));
    Ok(Sched { migrations, class })
}

fn wrong(file: &'static str, what: &'static str, text: &str) -> TextError {
    TextError {
        file,
        what,
        text: text.chars().take(200).collect(),
    }
}

/// The time in which each CPU has run tasks, in ns: `rq_cpu_time`, the seventh number of a CPU's line in `/proc/schedstat`
/// (Documentation/scheduler/sched-stats.rst).
pub(crate) fn busy(text: &str) -> Result<Vec<(u32, u64)>, TextError> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines
        .map(|line| {
            let numbers: Option<Vec<u64>> = line
                .split_ascii_whitespace()
                .map(|word| word.parse().ok())
                .collect();
            match numbers.as_deref() {
                Some([cpu, _, _, _, _, _, _, ran, ..]) => {
                    let cpu = u32::try_from(*cpu).map_err(|_| wrong("schedstat", "CPU", line))?;
                    Ok((cpu, *ran))
                }
                _ => Err(wrong("schedstat", "rq_cpu_time", line)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_has_three_numbers() {
        let expect = SchedStat {
            on_cpu_ns: 12,
            run_delay_ns: 34,
            timeslices: 5,
        };
        assert_eq!(schedstat("12 34 5\n"), Ok(expect));
        for text in ["", "1 2", "1 2 x", "1 2 3 4", "-1 2 3"] {
            assert!(schedstat(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let check = |comm: &str| {
            let text = format!("17 ({comm}) {}\n", fields.join(" "));
            let expect = Stat {
                comm: comm.to_owned(),
                parent: 4,
                children_ticks: 16 + 17,
                threads: 20,
                processor: 39,
            };
            assert_eq!(stat(&text), Ok(expect), "{comm}");
        };
        check("a/0");
        check("x) 1 2 (y");
        check("");
        assert!(stat("17 (a/0) R 1 2").is_err());
        assert!(stat("").is_err());
    }

    #[test]
    fn migrations_and_class_are_found_among_the_kernels_numbers() {
        let check = |end: &str, class: SchedClass| {
            let text = format!(
                "a/0 (93, #threads: 1)\n-------\nse.exec_start     :   1250.1\nse.nr_migrations                             :                   17\nnr_switches : 3\n{end}"
            );
            let migrations = 17;
            assert_eq!(sched(&text), Ok(Sched { migrations, class }), "{end}");
        };
        check("policy  :  0\n", SchedClass::Fair);
        check("policy  :  0\next.enabled   :  1\n", SchedClass::Ext);
        check("policy  :  3\next.enabled   :  0\n", SchedClass::Fair);
        check("policy  :  1\next.enabled   :  0\n", SchedClass::RealTime);
        for (text, lacks) in [
            ("policy : 1\n", "se.nr_migrations"),
            ("se.nr_migrations : 1\n", "policy"),
        ] {
            let error = sched(text).unwrap_err().to_string();
            assert!(error.contains(lacks), "{error}");
        }
    }

    #[test]
    fn busy_times_are_the_seventh_numbers_of_cpus() {
        let text =
            "version 17\ntimestamp 4\ncpu0 1 0 3 4 5 6 700 8 9\ndomain0 MC 3 1 2\ncpu12 1 2 3 4 5 6 7 8 9\n";
        assert_eq!(busy(text), Ok(vec![(0, 700), (12, 7)]));
        assert!(busy("cpu0 1 2 3\n").is_err() && busy("cpu0 1 2 3 4 5 6 x 8 9\n").is_err());
    }

    #[test]
    fn this_processs_own_texts_are_understood() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
        assert!(!stat(&read("stat")).unwrap().comm.is_empty());
        schedstat(&read("schedstat")).unwrap();
        sched(&read("sched")).unwrap();
    }
}
