//! `/proc/schedstat`, and the same from outside.

use introspect::sched::{Domain, Rq, jiffies};
use introspect::{GuestKernel, ReadError};

use super::truth::{Fact, Facts, Words};

pub(super) const PATH: &str = "/proc/schedstat";

/// What the file says: each value by its place in its line.
pub(super) fn words(text: &str) -> Words {
    let mut words = Words::new();
    let mut cpu = String::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some(first) = fields.next() else { continue };
        let (subject, at) = if first.starts_with("cpu") {
            first.clone_into(&mut cpu);
            ("schedstat cpu", cpu.clone())
        } else if first.starts_with("domain") {
            ("schedstat domain", format!("{cpu} {first}"))
        } else {
            (first, String::new())
        };
        for (index, field) in fields.enumerate() {
            words.insert(
                (
                    subject.to_owned(),
                    format!("{at} {index}").trim_start().to_owned(),
                ),
                field.to_owned(),
            );
        }
    }
    words.retain(|(subject, _), _| subject != "version");
    words
}

/// The same from outside, by `show_schedstat()`.
pub(super) fn facts(kernel: &GuestKernel<'_>) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    facts.insert(
        ("timestamp".into(), "0".into()),
        Fact::Count(jiffies(kernel)?.into()),
    );
    for rq in Rq::all(kernel)? {
        let cpu = format!("cpu{}", rq.cpu()?);
        let line = [
            rq.schedstat("yld_count")?,
            0,
            rq.schedstat("sched_count")?,
            rq.schedstat("sched_goidle")?,
            rq.schedstat("ttwu_count")?,
            rq.schedstat("ttwu_local")?,
            rq.rq_cpu_time()?,
            rq.run_delay()?,
            rq.pcount()?,
        ];
        for (index, value) in line.into_iter().enumerate() {
            facts.insert(
                ("schedstat cpu".into(), format!("{cpu} {index}")),
                Fact::Count(value.into()),
            );
        }
        for (level, domain) in rq.domains()?.iter().enumerate() {
            let line = domain_line(domain)?;
            for (index, fact) in line.into_iter().enumerate() {
                facts.insert(
                    ("schedstat domain".into(), format!("{cpu} domain{level} {index}")),
                    fact,
                );
            }
        }
    }
    Ok(facts)
}

fn domain_line(domain: &Domain<'_>) -> Result<Vec<Fact>, ReadError> {
    // From version 17 on a line begins with the domain's name, and imbalance is told by kind.
    let newer = domain.object().has("lb_imbalance_load");
    let mut line = Vec::new();
    if newer {
        line.push(Fact::Word(domain.name()?));
    }
    let mask = domain.span()?.iter().fold(0u64, |mask, cpu| mask | 1 << cpu);
    line.push(Fact::Word(format!("{mask:x}")));
    let imbalance: &[&str] = if newer {
        &[
            "lb_imbalance_load",
            "lb_imbalance_util",
            "lb_imbalance_task",
            "lb_imbalance_misfit",
        ]
    } else {
        &["lb_imbalance"]
    };
    let balancing = [
        &["lb_count", "lb_balanced", "lb_failed"],
        imbalance,
        &["lb_gained", "lb_hot_gained", "lb_nobusyq", "lb_nobusyg"],
    ];
    for index in 0..domain.idle_types()?.len() as u64 {
        for name in balancing.iter().flat_map(|names| names.iter()) {
            line.push(Fact::Count(domain.lb(name, index)?.into()));
        }
    }
    for name in [
        "alb_count",
        "alb_failed",
        "alb_pushed",
        "sbe_count",
        "sbe_balanced",
        "sbe_pushed",
        "sbf_count",
        "sbf_balanced",
        "sbf_pushed",
        "ttwu_wake_remote",
        "ttwu_move_affine",
        "ttwu_move_balance",
    ] {
        line.push(Fact::Count(domain.object().u64(name)?.into()));
    }
    Ok(line)
}
