//! Series that grow, thin out, and are read again.

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> GuestTime {
    GuestTime(Nanos::from_millis(ms))
}

/// A sample of so many CPUs, which idle.
fn sample(ms: u64, cpus: u32) -> Sample {
    let cpus = (0..cpus).map(|cpu| CpuSample {
        cpu,
        idle_since: Some(at(ms)),
        ..CpuSample::default()
    });
    Sample {
        at: at(ms),
        cpus: cpus.collect(),
        ..Sample::default()
    }
}

fn of(samples: impl IntoIterator<Item = Sample>) -> Series {
    let mut builder = SeriesBuilder::default();
    for sample in samples {
        builder.take(sample);
    }
    builder.into_series()
}

#[test]
fn a_short_series_has_every_sample() {
    let series = of((0..5).map(|ms| sample(ms, 2)));
    assert_eq!((series.taken, series.every, series.samples.len()), (5, 1, 5));
}

#[test]
fn a_long_series_is_thinned_out_evenly_and_tells_it() {
    let cpus = 64;
    let fit = (MAX_ROWS / 64) as u64;
    let series = of((0..fit).map(|ms| sample(ms, cpus)));
    assert_eq!((series.every, series.samples.len() as u64), (1, fit));
    let series = of((0..fit * 3).map(|ms| sample(ms, cpus)));
    assert_eq!((series.taken, series.every), (fit * 3, 4));
    let times: Vec<GuestTime> = series.samples.iter().map(|sample| sample.at).collect();
    let expect: Vec<GuestTime> = (0..fit * 3).step_by(4).map(at).collect();
    assert_eq!(times, expect);
}

/// What a sample that is left out has shown is not lost where it matters: that a CPU was busy in between.
#[test]
fn a_cpu_idles_since_the_first_of_the_samples_in_a_row_that_found_it_idle() {
    let mut busy = sample(2, 1);
    busy.cpus[0].idle_since = None;
    let mut builder = SeriesBuilder::default();
    let since = [sample(0, 1), sample(1, 1), busy, sample(3, 1), sample(4, 1)]
        .map(|sample| builder.take(sample).cpus[0].idle_since);
    assert_eq!(since, [Some(at(0)), Some(at(0)), None, Some(at(3)), Some(at(3))]);
}

#[test]
fn a_sample_has_no_more_waiting_tasks_than_the_most_and_tells_it() {
    let mut many = sample(1, 1);
    many.waiting = vec![Waiter::default(); MAX_WAITING + 1];
    let series = of([many]);
    assert_eq!(series.samples[0].waiting.len(), MAX_WAITING);
    assert!(series.samples[0].unread[0].why.contains("more than 1024 tasks"));
    assert_eq!(series.numbers().incomplete, 1);
}

fn counts(counts: &[(&str, &str, i64)]) -> Counts {
    let mut all = Counts::new();
    for (of, name, count) in counts {
        all.entry((*of).to_owned())
            .or_default()
            .insert((*name).to_owned(), *count);
    }
    all
}

#[test]
fn counts_of_several_windows_add_up_and_a_scheduler_that_came_counts_from_nothing() {
    let mut builder = SeriesBuilder::default();
    builder.open(
        at(1),
        counts(&[("cpu0", "ttwu_count", 10), ("cpu0", "yld_count", 5)]),
    );
    let after = counts(&[
        ("cpu0", "ttwu_count", 13),
        ("cpu0", "yld_count", 5),
        ("baton", "SCX_EV_DISPATCH_KEEP_LAST", 2),
    ]);
    builder.close(at(2), after.clone());
    builder.open(at(3), after);
    builder.close(at(4), counts(&[("cpu0", "ttwu_count", 20)]));
    builder.close(at(5), counts(&[("cpu0", "ttwu_count", 99)]));
    let expect = counts(&[
        ("cpu0", "ttwu_count", 10),
        ("baton", "SCX_EV_DISPATCH_KEEP_LAST", 2),
    ]);
    assert_eq!(builder.series().numbers().counted, expect);
}

#[test]
fn windows_beyond_the_most_are_told() {
    let mut builder = SeriesBuilder::default();
    for ms in 0..MAX_READINGS as u64 + 3 {
        builder.open(at(ms), Counts::new());
        builder.close(at(ms), Counts::new());
    }
    let series = builder.into_series();
    assert_eq!((series.counts.len(), series.uncounted), (MAX_READINGS, 3));
}

/// F9: imbalance is the most tasks of a CPU to the fewest, of which there is one at the least.
#[test]
fn imbalance_is_the_most_to_the_fewest() {
    let of = |all: &[u64]| {
        let mut sample = sample(1, all.len() as u32);
        for (cpu, all) in sample.cpus.iter_mut().zip(all) {
            cpu.running.all = *all;
        }
        Imbalance::of(&sample).map(|found| found.ratio())
    };
    assert_eq!(of(&[6, 2, 3]), Some(3.0));
    assert_eq!(of(&[6, 0]), Some(6.0));
    assert_eq!(of(&[0, 0]), Some(0.0));
    assert_eq!(of(&[5, 5]), Some(1.0));
    assert_eq!(of(&[]), None);
    assert!(of(&[u64::MAX, 0]).is_some_and(|ratio| ratio > 1e19));
}

/// F9: the greatest imbalance of all samples with its time, and the depth of each CPU's local DSQ and of each named one.
#[test]
fn the_numbers_have_the_worst_of_all_samples() {
    let series = of((0..5u64).map(|number| {
        let mut sample = sample(1000 + 4 * number, 2);
        sample.cpus[0].running.all = [2, 3, 9, 4, 9][number as usize];
        sample.cpus[0].local_dsq = Some([1, 6, 2, 0, 0][number as usize]);
        sample.cpus[1].local_dsq = Some(0);
        sample.dsqs = vec![("0x2".to_owned(), number)];
        sample
    }));
    let numbers = series.numbers();
    let worst = Imbalance {
        at: at(1008),
        most: 9,
        least: 0,
    };
    assert_eq!(numbers.imbalance, Some(worst));
    assert_eq!(numbers.local_dsqs, [(0, 6), (1, 0)].into());
    assert_eq!(numbers.dsqs, [("0x2".to_owned(), 4)].into());
}

/// The form in the file.
#[test]
fn rows_are_pinned() {
    let mut one = sample(1, 1);
    one.cpus[0].running.ext = Some(2);
    one.waiting.push(Waiter {
        pid: 42,
        comm: "fio".to_owned(),
        cpu: 1,
        allowed: "0-1".parse().unwrap(),
        since: None,
        ran: Nanos(9),
    });
    let text = serde_json::to_string(&one).unwrap();
    let expect = r#"{"at":1000000,"scheduler":0,"cpus":[[0,0,1000000,false,0,0,0,null,null,null,2,null]],"waiting":[[42,"fio",1,"0-1",null,9]]}"#;
    assert_eq!(text, expect);
    assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), one);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn however_many_samples_there_are_the_series_is_bounded(
        sizes in prop::collection::vec((1u32..3000, 0usize..1500), 1..200),
    ) {
        let mut builder = SeriesBuilder::default();
        for (ms, (cpus, waiting)) in sizes.iter().enumerate() {
            let mut sample = sample(ms as u64, *cpus);
            sample.waiting = vec![Waiter::default(); *waiting];
            builder.take(sample);
            let samples = &builder.series().samples;
            let rows: usize = samples.iter().map(|sample| sample.cpus.len() + sample.waiting.len()).sum();
            prop_assert!(rows <= MAX_ROWS && !samples.is_empty());
        }
        prop_assert_eq!(builder.series().taken, sizes.len() as u64);
    }
}
