use proptest::prelude::*;
use record::{CheckResult, End, HostFacts, Record, RecordHash, Source, Verdict};
use serde_json::{Value, json};
use spec::{Gap, WorkerReport};

use super::*;
use crate::samples::{at, record};

/// What is shown of the sample and a copy that `change` was done to.
fn check(change: impl FnOnce(&mut Record), expect: &str) {
    let mut replayed = record();
    change(&mut replayed);
    let difference = first_difference(&record(), &replayed).expect("the change must be found");
    assert_eq!(difference.to_string(), expect);
}

fn worker(record: &mut Record, window: usize, worker: usize) -> &mut WorkerReport {
    &mut record.evidence.windows[window].workers[worker]
}

#[test]
fn equal_records_do_not_differ_whatever_the_host_did() {
    let mut replayed = record();
    replayed.host = HostFacts {
        seconds: 9.0,
        replay: "elsewhere".into(),
        ..HostFacts::default()
    };
    replayed.plan.name = "other".into();
    assert_eq!(first_difference(&record(), &replayed), None);
}

#[test]
fn groups_are_compared_by_field() {
    let groups = |replayed: &mut Record| replayed.evidence.groups.pop();
    check(
        |replayed| drop(groups(replayed)),
        "group 1: recorded `b`, replayed nothing",
    );
    check(
        |replayed| replayed.evidence.groups[1].cpus = None,
        "group 1: b cpus: recorded `0-1`, replayed `all`",
    );
    check(
        |replayed| replayed.evidence.groups[0].weight = 200.try_into().unwrap(),
        "group 0: a weight: recorded 100, replayed 200",
    );
}

#[test]
fn events_differ_in_what_or_when() {
    check(
        |replayed| {
            replayed.evidence.events.pop();
        },
        "event 5 at [    5.100000]: recorded `scheduler exited as asked: exit code 0`, replayed nothing",
    );
    check(
        |replayed| replayed.evidence.events[4].at.0.0 += 1,
        "event 4 at [    0.900000]: time of `scheduler baton (pid 90) attached`: \
         recorded 900000000 ns, replayed 900000001 ns",
    );
    check(
        |replayed| replayed.evidence.events[0].what = record::EventKind::Refused { reason: "no".into() },
        "event 0 at [    0.500000]: recorded `booted 7.2.13 on 2 CPUs`, replayed `refused: no`",
    );
}

#[test]
fn a_window_names_the_worker_and_its_field() {
    check(
        |replayed| worker(replayed, 1, 1).on_cpu.0 += 8_000_000,
        "window 1 at [    5.000000]: a/1 (pid 101) on_cpu: recorded 600ms, replayed 608ms",
    );
    check(
        |replayed| worker(replayed, 0, 2).on_cpu.0 += 1_000,
        "window 0 at [    3.000000]: b/0 (pid 100) on_cpu: recorded 400ms, replayed 400.001ms",
    );
    check(
        |replayed| worker(replayed, 0, 0).pid = 7,
        "window 0 at [    3.000000]: a/0 pid: recorded 100, replayed 7",
    );
    check(
        |replayed| worker(replayed, 0, 0).longest_gap = None,
        "window 0 at [    3.000000]: a/0 (pid 100) longest_gap: \
         recorded `3.5ms from [    2.000000] on CPU 0`, replayed `none`",
    );
    check(
        |replayed| {
            replayed.evidence.windows[0].workers.remove(1);
        },
        "window 0 at [    3.000000]: worker 1: recorded a/1 (pid 101), replayed b/0 (pid 100)",
    );
}

#[test]
fn a_window_differs_at_its_begin_only_if_that_differs() {
    check(
        |replayed| replayed.evidence.windows[1].from = at(3_250),
        "window 1 at [    3.000000]: from: recorded [    3.000000], replayed [    3.250000]",
    );
    check(
        |replayed| replayed.evidence.windows[1].to = at(4_500),
        "window 1 at [    4.500000]: to: recorded [    5.000000], replayed [    4.500000]",
    );
    check(
        |replayed| replayed.evidence.windows[1].sched_ext = None,
        "window 1 at [    5.000000]: sched_ext: recorded `enabled with baton, enable_seq 1`, replayed `absent`",
    );
    check(
        |replayed| replayed.evidence.windows[1].under_scheduler = false,
        "window 1 at [    5.000000]: under_scheduler: recorded true, replayed false",
    );
    check(
        |replayed| {
            replayed
                .evidence
                .windows
                .push(record().evidence.windows[1].clone());
        },
        "window 2 at [    5.000000]: recorded nothing, replayed [    3.000000] to [    5.000000], 3 workers",
    );
}

#[test]
fn console_lines_have_their_stamp_or_that_of_the_line_before() {
    let console = |old: &'static str, new: &'static str| {
        move |replayed: &mut Record| replayed.evidence.console = replayed.evidence.console.replace(old, new)
    };
    check(
        console("baton disabled", "baton: runtime error"),
        "console line 4 at [    5.100000]:\n  recorded `[    5.100000] sched_ext: baton disabled`\n  \
         replayed `[    5.100000] sched_ext: baton: runtime error`",
    );
    check(
        console("agent: up", "agent: Up"),
        "console line 2 at [    0.000000]: recorded `agent: up`, replayed `agent: Up`",
    );
    check(
        console("[    5.100000] sched_ext: baton disabled\n", ""),
        "console line 4 at [    5.100000]: recorded `[    5.100000] sched_ext: baton disabled`, replayed nothing",
    );
    check(
        console("up\n", "up\r\n"),
        "console line 2 at [    0.000000]: recorded `agent: up\\n`, replayed `agent: up\\r\\n`",
    );
}

#[test]
fn stamps_are_read_as_printk_writes_them() {
    let check = |line: &str, expect: Option<u64>| {
        assert_eq!(stamp(line), expect.map(|ns| GuestTime(Nanos(ns))), "{line:?}");
    };
    check("[    5.534558] x", Some(5_534_558_000));
    check("[12345.000001][    T1] x", Some(12_345_000_001_000));
    check("  [    0.000000]", Some(0));
    check("[    5.53] x", None);
    check("[OK] started", None);
    check("[ 1 2.000000]", None);
    check("[99999999999999999999.000000]", None);
    check("[18446744074.000000]", None);
    check("x [    5.534558]", None);
    check("[    5.534558", None);
    check("[    .534558]", None);
    check("", None);
}

#[test]
fn the_earliest_channel_wins_and_ties_go_by_the_order_of_channels() {
    // What is in the record's order later, but in guest time earlier.
    check(
        |replayed| {
            worker(replayed, 0, 0).migrations = 9;
            replayed.evidence.console = replayed
                .evidence
                .console
                .replace("baton enabled", "other enabled");
        },
        "console line 3 at [    0.900000]:\n  recorded `[    0.900000] sched_ext: baton enabled`\n  \
         replayed `[    0.900000] sched_ext: other enabled`",
    );
    // The same time: the event comes first.
    check(
        |replayed| {
            replayed.evidence.events[4].at = at(950);
            replayed.evidence.console = replayed
                .evidence
                .console
                .replace("baton enabled", "other enabled");
        },
        "event 4 at [    0.900000]: time of `scheduler baton (pid 90) attached`: recorded [    0.900000], replayed [    0.950000]",
    );
    // What has no time comes after what has one, whatever the order.
    check(
        |replayed| {
            replayed.evidence.groups.clear();
            replayed.evidence.scheduler_log.clear();
            worker(replayed, 1, 0).migrations = 9;
        },
        "window 1 at [    5.000000]: a/0 (pid 100) migrations: recorded 1, replayed 9",
    );
    check(
        |replayed| {
            replayed.evidence.scheduler_log.push('!');
            replayed.evidence.end = End::GuestExited { during: "x".into() };
            replayed.judgement.checks.clear();
        },
        "scheduler log line 3: recorded nothing, replayed `!`",
    );
    check(
        |replayed| {
            replayed.evidence.end = End::GuestPanic { message: "x".into() };
            replayed.judgement.checks.clear();
        },
        "end: recorded `the run came to its end`, replayed `the guest kernel panicked: x`",
    );
}

#[test]
fn a_run_that_ended_in_a_window_differs_where_it_ended() {
    check(
        |replayed| {
            replayed.evidence.windows.pop();
            replayed.evidence.events.pop();
            let console = &mut replayed.evidence.console;
            console.truncate(console.find("[    5.1").unwrap());
            console.push_str("[    3.700000] Kernel panic\n");
        },
        "console line 4 at [    3.700000]: recorded `[    5.100000] sched_ext: baton disabled`, \
         replayed `[    3.700000] Kernel panic`",
    );
}

#[test]
fn a_judgement_differs_only_over_equal_evidence() {
    let note = "\nthe evidence is the same, but it is judged differently: by another version of the checks, or by other expectations";
    let judged = |change: fn(&mut Vec<CheckResult>), expect: &str| {
        check(
            |replayed| change(&mut replayed.judgement.checks),
            &format!("{expect}{note}"),
        );
    };
    judged(
        |checks| checks[1].verdict = Verdict::Inconclusive,
        "judgement: starvation: recorded FAIL, `a/1 starved`, replayed INCONCLUSIVE, `a/1 starved`",
    );
    judged(
        |checks| checks[1].reason.push('!'),
        "judgement: starvation reason: recorded `a/1 starved`, replayed `a/1 starved!`",
    );
    judged(
        |checks| checks[1].details.push("more".into()),
        "judgement: starvation details line 3: recorded nothing, replayed `more`",
    );
    judged(
        |checks| drop(checks.remove(0)),
        "judgement: check: recorded stall PASS, replayed starvation FAIL",
    );
}

#[test]
fn checks_of_observers_make_no_difference() {
    let mut replayed = record();
    let mut sampled = replayed.judgement.checks[1].clone();
    sampled.source = Source::Samples;
    replayed.judgement.checks.push(sampled);
    assert_eq!(first_difference(&record(), &replayed), None);
}

#[test]
fn long_texts_are_cut_around_what_differs() {
    let of = |was: &str, is: &str| texts(was, is).unwrap();
    let (was, is) = of(
        &("ä".repeat(500) + "x" + &"ö".repeat(500)),
        &("ä".repeat(500) + "y"),
    );
    assert_eq!(was, format!("`…{}x{}…`", "ä".repeat(60), "ö".repeat(139)));
    assert_eq!(is, format!("`…{}y`", "ä".repeat(60)));
    let (was, is) = of(&("x".repeat(10) + &"z".repeat(300)), "short");
    assert_eq!(was, format!("`{}{}…`", "x".repeat(10), "z".repeat(190)));
    assert_eq!(is, "`short`");
    let (was, _) = of(&"x".repeat(200), "");
    assert_eq!(was, format!("`{}`", "x".repeat(200)));
}

#[test]
fn control_characters_are_shown_and_not_done() {
    let sides = texts("a\u{1b}[2J", "it's \"ö\"").unwrap();
    assert_eq!(sides, ("`a\\u{1b}[2J`".to_owned(), "`it's \"ö\"`".to_owned()));
}

#[test]
fn values_whose_words_are_the_same_are_shown_as_they_are_in_memory() {
    let gap = |span| Gap {
        span: Nanos(span),
        from: at(1),
        cpu: 0,
        open: false,
    };
    let (was, is) = differing(&gap(3_000_000), &gap(3_000_001), gap_text).unwrap();
    assert!(was.contains("3000000") && is.contains("3000001"), "{was} {is}");
}

#[test]
fn a_difference_keeps_its_field_names_for_scripts() {
    let mut replayed = record();
    worker(&mut replayed, 1, 1).last_cpu = 1;
    let difference = first_difference(&record(), &replayed).unwrap();
    let expect = json!({
        "channel": "window", "number": 1, "at": 5_000_000_000u64, "what": "a/1 (pid 101) last_cpu",
        "recorded": "0", "replayed": "1",
    });
    assert_eq!(serde_json::to_value(difference).unwrap(), expect);
}

/// What can be done to a value of a record's JSON; what does not make a record replayed is thrown away.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(Value),
    AddNumber(u64),
    Append(String),
    Prepend(String),
    Flip,
    RemoveItem(usize),
    RepeatItem(usize),
    SwapItems(usize, usize),
}

/// Values of which some place in a record takes at least one for its own.
fn replacements() -> Vec<Value> {
    vec![
        Value::Null,
        json!(5),
        json!("0"),
        json!("pass"),
        json!("skip"),
        json!({"Code": 1}),
        json!({"Signal": 9}),
        json!({"kind": "guest_panic", "message": "x"}),
        json!({"kind": "note", "key": "k", "value": "v"}),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let text = || "[a-z\\n \\[\\]ä]{1,9}";
    let index = any::<usize>;
    prop_oneof![
        prop::sample::select(replacements()).prop_map(Mutation::Replace),
        (1..2_000_000_000u64).prop_map(Mutation::AddNumber),
        text().prop_map(Mutation::Append),
        text().prop_map(Mutation::Prepend),
        Just(Mutation::Flip),
        index().prop_map(Mutation::RemoveItem),
        index().prop_map(Mutation::RepeatItem),
        (index(), index()).prop_map(|(one, other)| Mutation::SwapItems(one, other)),
    ]
}

fn mutate(value: &mut Value, mutation: Mutation) {
    match (value, mutation) {
        (value, Mutation::Replace(new)) => *value = new,
        (Value::Number(number), Mutation::AddNumber(more)) => {
            *number = (number.as_u64().unwrap_or(0) + more).into();
        }
        (Value::String(old), Mutation::Append(text)) => *old += &text,
        (Value::String(old), Mutation::Prepend(text)) => *old = text + old,
        (Value::Bool(bool), Mutation::Flip) => *bool = !*bool,
        (Value::Array(items), mutation) if !items.is_empty() => {
            let len = items.len();
            match mutation {
                Mutation::RemoveItem(index) => drop(items.remove(index % len)),
                Mutation::RepeatItem(index) => items.push(items[index % len].clone()),
                Mutation::SwapItems(one, other) => items.swap(one % len, other % len),
                _ => {}
            }
        }
        _ => {}
    }
}

/// The places of all values of evidence and judgement, as `Value::pointer` takes them.
fn places() -> Vec<String> {
    fn below(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    below(item, &format!("{at}/{index}"), all);
                }
            }
            Value::Object(fields) => {
                for (field, item) in fields {
                    below(item, &format!("{at}/{field}"), all);
                }
            }
            _ => {}
        }
    }
    let value = serde_json::to_value(record()).unwrap();
    let mut all = Vec::new();
    for part in ["evidence", "judgement"] {
        below(&value[part], &format!("/{part}"), &mut all);
    }
    all
}

/// The sample with one value changed, if that is a record and another one.
fn mutated(place: &str, mutation: Mutation) -> Option<Record> {
    let mut value = serde_json::to_value(record()).unwrap();
    mutate(value.pointer_mut(place)?, mutation);
    let replayed: Record = serde_json::from_value(value).ok()?;
    let different = RecordHash::of(&replayed.evidence, &replayed.judgement) != record().hash;
    different.then_some(replayed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_one_change_is_found_and_shown(place in prop::sample::select(places()), mutation in mutation()) {
        let Some(replayed) = mutated(&place, mutation) else { return Ok(()) };
        let difference = first_difference(&record(), &replayed);
        prop_assert!(difference.is_some());
        let difference = difference.unwrap();
        prop_assert_ne!(&difference.recorded, &difference.replayed);
        let back = first_difference(&replayed, &record()).unwrap();
        prop_assert_eq!((back.channel, back.number, back.at), (difference.channel, difference.number, difference.at));
        prop_assert_eq!((back.recorded, back.replayed), (difference.replayed, difference.recorded));
        prop_assert_eq!(first_difference(&replayed, &replayed), None);
    }

    #[test]
    fn consoles_that_differ_do_so_in_a_line(
        was in "([a\\n\\r]|\\[ 1\\.000000\\]){0,8}",
        is in "([a\\n\\r]|\\[ 1\\.000000\\]){0,8}",
    ) {
        prop_assert_eq!(console_difference(&was, &is).is_some(), was != is);
    }
}

#[test]
fn every_value_of_evidence_and_judgement_can_make_a_difference() {
    let mut changes: Vec<Mutation> = replacements().into_iter().map(Mutation::Replace).collect();
    changes.extend([
        Mutation::AddNumber(1),
        Mutation::Append("x".into()),
        Mutation::Flip,
    ]);
    changes.push(Mutation::RemoveItem(0));
    let value = serde_json::to_value(record()).unwrap();
    for place in places() {
        // An object changes with its fields; and the word for a kind needs other fields beside it. A source decides
        // whether a check is compared at all.
        let is_word = place.ends_with("/kind") || place.ends_with("/source");
        if value.pointer(&place).is_none_or(Value::is_object) || is_word {
            continue;
        }
        let records: Vec<Record> = changes
            .iter()
            .filter_map(|change| mutated(&place, change.clone()))
            .collect();
        assert!(!records.is_empty(), "no change applies to {place}");
        for replayed in records {
            let difference = first_difference(&record(), &replayed).expect(&place);
            assert_ne!(difference.recorded, difference.replayed, "{place}");
        }
    }
}
