//! Parsers of `/proc/PID/*` texts. A text that is not as expected is an error that shows it.

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

/// `se.nr_migrations` of `/proc/PID/sched` (`proc_sched_show_task` in kernel/sched/debug.c).
pub(crate) fn migrations(text: &str) -> Result<u64, TextError> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim_end() == "se.nr_migrations")
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| wrong("sched", "se.nr_migrations", text))
}

fn wrong(file: &'static str, what: &'static str, text: &str) -> TextError {
    TextError {
        file,
        what,
        text: text.chars().take(200).collect(),
    }
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
    fn migrations_are_found_among_the_kernels_numbers() {
        let text = "a/0 (93, #threads: 1)\n-------\nse.exec_start     :   1250.1\nse.nr_migrations                             :                   17\nnr_switches : 3\n";
        assert_eq!(migrations(text), Ok(17));
        let error = migrations("se.exec_start : 1\n").unwrap_err().to_string();
        assert!(error.contains("se.nr_migrations"), "{error}");
    }

    #[test]
    fn this_processs_own_texts_are_understood() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
        assert!(!stat(&read("stat")).unwrap().comm.is_empty());
        schedstat(&read("schedstat")).unwrap();
    }
}
