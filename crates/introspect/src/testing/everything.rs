//! Every query of a kernel.

use record::Value;

use crate::kernel::VmCoreInfo;
use crate::sched::{Scx, everything};
use crate::{GuestKernel, Query};

/// The answers to all queries, and every view's value. What is found wrong is in it, as [`Value::Missing`].
pub fn look_at_everything(kernel: &GuestKernel<'_>) -> Value {
    let mut queries: Vec<String> = [
        "rq", "dsq", "ps", "task 1", "task 6", "cgroups", "maps", "map 2", "progs",
    ]
    .map(str::to_owned)
    .into();
    let paths = [
        "jiffies",
        "init_task",
        "scx_root->exit_kind.counter",
        "runqueues[1].scx.flags",
        "task[3]",
        "dsq[0x10].nr",
    ];
    queries.extend(paths.map(|path| format!("get {path}")));
    queries.extend((0..4).map(|cpu| format!("rq {cpu}")));
    if let Ok(at) = kernel.symbol("init_task") {
        queries.push(format!("read {at} 256"));
    }
    let mut answers: Vec<(String, Value)> = queries
        .into_iter()
        .map(|words| {
            let answer = match words.parse::<Query>() {
                Ok(query) => query.answer(kernel),
                Err(error) => Value::missing(&error),
            };
            (words, answer)
        })
        .collect();
    answers.push(("everything".to_owned(), Value::from(everything(kernel))));
    answers.push(("scx".to_owned(), Scx::of(kernel).value()));
    let pages = VmCoreInfo::find(kernel.memory()).count() as u64;
    answers.push(("vmcoreinfo".to_owned(), pages.into()));
    Value::tree(answers)
}

/// What was found wrong: the reasons of all that is missing.
pub fn complaints(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Missing(why) => found.push(why.clone()),
            Value::List(values) => pending.extend(values),
            Value::Tree(entries) => pending.extend(entries.iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Corrupted, Noted, Whole, recipe};
    use super::*;

    /// Far more than a clean look takes, and than any walk of this kernel that is bounded.
    const MOST_READS: u64 = 20_000_000;

    #[test]
    fn a_kernel_in_which_all_is_well_has_no_complaints_but_of_what_it_lacks() {
        let whole = Whole::new();
        let value = look_at_everything(&whole.kernel(whole.memory()));
        let text = value.to_text();
        for part in ["worker3", "by_hand", "0x11", "map2", "batch", "PKG"] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let lacks = ["has no ", "no symbol", "no member", "no type", "no enum"];
        let found = complaints(&value);
        let other: Vec<_> = found
            .iter()
            .filter(|why| !lacks.iter().any(|lack| why.contains(lack)))
            .collect();
        assert!(other.is_empty(), "{other:#?}");
    }

    #[test]
    fn whatever_is_damaged_every_look_ends_and_says_what_is_wrong() {
        let whole = Whole::new();
        let noted = Noted::new(whole.memory());
        let clean = look_at_everything(&whole.kernel(&noted));
        let sound = complaints(&clean).len();
        let (words, reads) = noted.words();
        assert!(words.len() > 400, "{} words in {reads} reads", words.len());
        let (mut told, mut changed, mut most) = (0, 0, 0);
        for seed in 0..600u64 {
            let damaged = Corrupted::new(whole.memory(), &words, &recipe(seed, 1 + seed % 8), MOST_READS);
            let value = look_at_everything(&whole.kernel(&damaged));
            most = most.max(damaged.reads());
            let found = complaints(&value);
            assert!(found.iter().all(|why| !why.is_empty()));
            if found.len() > sound {
                told += 1;
            } else if value != clean {
                changed += 1;
            }
        }
        println!("{told} told, {changed} other values, of 600; {reads} reads clean, {most} at the most");
        // The rest is values that nothing contradicts.
        assert!(told >= 150, "{told} told what is wrong");
    }
}
