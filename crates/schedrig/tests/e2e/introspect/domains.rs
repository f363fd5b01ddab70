//! `/sys/kernel/debug/sched/domains`, and the same from outside.

use introspect::sched::Rq;
use introspect::{GuestKernel, ReadError};

use super::truth::{Fact, Facts};

/// The files of each domain, each of which holds one value.
pub(super) fn facts(kernel: &GuestKernel<'_>) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    for rq in Rq::all(kernel)? {
        for (level, domain) in rq.domains()?.iter().enumerate() {
            let at = format!("cpu{}/domain{level}", rq.cpu()?);
            let mut put = |file: &str, fact| facts.insert((file.to_owned(), at.clone()), fact);
            put("name", Fact::Word(domain.name()?));
            put("flags", Fact::Word(domain.flags()?.join(" ")));
            for file in [
                "min_interval",
                "max_interval",
                "busy_factor",
                "imbalance_pct",
                "cache_nice_tries",
                "level",
            ] {
                put(file, Fact::Level(domain.object().i64(file)?.into()));
            }
        }
    }
    Ok(facts)
}
