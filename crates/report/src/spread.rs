//! What many runs of the same test have in common: the distribution of each metric over the seeds.
//!
//! A sweep makes thousands of runs and keeps no record of most of them. So a run is reduced to its metrics,
//! and only these numbers are kept, each with its seed: the median needs them all, and whoever reads the
//! table wants to make the outliers again.

use std::collections::HashMap;

use record::Record;
use serde::Serialize;

use crate::table::{align_right, indented, plain};
use crate::{GroupSummary, Summary};

/// A number of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// What is measured, as in `web.on_cpu`.
    pub name: String,
    /// `s`, `ms`, `%`; empty for a count.
    pub unit: &'static str,
    /// How much.
    pub value: f64,
}

/// The metrics of a run, six for each cgroup, over all its windows:
///
/// | metric | unit | |
/// |---|---|---|
/// | `<group>.on_cpu` | s | its workers' time on CPUs |
/// | `<group>.share` | % | that, of all groups' time on CPUs |
/// | `<group>.run_delay` | s | its workers' time runnable but waiting |
/// | `<group>.migrations` | | its workers' CPU changes |
/// | `<group>.longest_gap` | ms | the longest time one of its workers wanted to run and did not |
/// | `<group>.worker_spread` | % | most less least on-CPU time of its workers, of their mean |
pub fn metrics(record: &Record) -> Vec<Metric> {
    Summary::of(record)
        .groups
        .iter()
        .flat_map(group_metrics)
        .collect()
}

fn group_metrics(group: &GroupSummary) -> [Metric; 6] {
    let metric = |name: &str, unit, value| Metric {
        name: format!("{}.{name}", group.name),
        unit,
        value,
    };
    let [least, most] = group.worker_on_cpu_seconds;
    let worker_spread = if group.on_cpu_seconds > 0.0 {
        (most - least) / (group.on_cpu_seconds / group.workers as f64)
    } else {
        0.0
    };
    [
        metric("on_cpu", "s", group.on_cpu_seconds),
        metric("share", "%", group.share * 100.0),
        metric("run_delay", "s", group.run_delay_seconds),
        metric("migrations", "", group.migrations as f64),
        metric("longest_gap", "ms", group.longest_gap_seconds * 1e3),
        metric("worker_spread", "%", worker_spread * 100.0),
    ]
}

/// Collects the metrics of many runs: 16 bytes for each number.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    series: Vec<Series>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    unit: &'static str,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    value: f64,
    seed: u64,
}

/// A metric over all runs that have it. The field names are an interface: scripts read them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpreadRow {
    /// What is measured.
    pub name: String,
    /// `s`, `ms`, `%`; empty for a count.
    pub unit: &'static str,
    /// How many runs have it.
    pub runs: usize,
    /// The least.
    pub min: f64,
    /// The lowest seed that gave the least.
    pub min_seed: u64,
    /// Half of the runs have no more, half have no less.
    pub median: f64,
    /// The most.
    pub max: f64,
    /// The lowest seed that gave the most.
    pub max_seed: u64,
}

impl Spread {
    /// Adds one run.
    pub fn add(&mut self, seed: u64, metrics: &[Metric]) {
        for Metric { name, unit, value } in metrics {
            let point = Point { value: *value, seed };
            match self
                .by_name
                .get(name)
                .and_then(|&index| self.series.get_mut(index))
            {
                Some(series) => series.points.push(point),
                None => {
                    self.by_name.insert(name.clone(), self.series.len());
                    self.series.push(Series {
                        name: name.clone(),
                        unit,
                        points: vec![point],
                    });
                }
            }
        }
    }

    /// One row for each metric, in the order in which they first came.
    pub fn rows(&self) -> Vec<SpreadRow> {
        self.series.iter().filter_map(row).collect()
    }
}

fn row(series: &Series) -> Option<SpreadRow> {
    let mut points = series.points.clone();
    points.sort_by(|one, other| one.value.total_cmp(&other.value).then(one.seed.cmp(&other.seed)));
    let min = points.first()?;
    let most = points.last()?.value;
    // The first of those that are equally great is the one with the lowest seed.
    let max = points.iter().find(|point| point.value.total_cmp(&most).is_eq())?;
    let [lower, upper] = [(points.len() - 1) / 2, points.len() / 2].map(|middle| points[middle].value);
    Some(SpreadRow {
        name: series.name.clone(),
        unit: series.unit,
        runs: points.len(),
        min: min.value,
        min_seed: min.seed,
        median: lower + (upper - lower) / 2.0,
        max: max.value,
        max_seed: max.seed,
    })
}

/// The rows as a table for people; empty without any.
pub fn spread_table(rows: &[SpreadRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = plain();
    table.set_header(["metric", "runs", "min", "at seed", "median", "max", "at seed"]);
    align_right(&mut table, 1..=6);
    for row in rows {
        table.add_row([
            row.name.clone(),
            row.runs.to_string(),
            amount(row.min, row.unit),
            row.min_seed.to_string(),
            amount(row.median, row.unit),
            amount(row.max, row.unit),
            row.max_seed.to_string(),
        ]);
    }
    indented(&table) + "\n"
}

/// A number with its unit, with as many digits as mean something.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        // The median of counts may lie between two of them.
        "" if value.fract() == 0.0 => format!("{value:.0}"),
        "" => format!("{value:.1}"),
        "%" => format!("{value:.1} %"),
        unit => format!("{value:.3} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    fn spread_of(runs: &[(u64, f64)]) -> Vec<SpreadRow> {
        let mut spread = Spread::default();
        for &(seed, value) in runs {
            spread.add(seed, &[metric("a.share", "%", value)]);
        }
        spread.rows()
    }

    fn metric(name: &str, unit: &'static str, value: f64) -> Metric {
        Metric {
            name: name.into(),
            unit,
            value,
        }
    }

    #[test]
    fn a_run_has_six_metrics_for_each_group() {
        let metrics = metrics(&samples::record());
        let values: Vec<String> = metrics
            .iter()
            .map(|metric| format!("{} = {}", metric.name, amount(metric.value, metric.unit)))
            .collect();
        assert_eq!(
            values,
            [
                // 1.0 + 0.6 s in each of two windows, of 4.0 s in all.
                "a.on_cpu = 3.200 s",
                "a.share = 80.0 %",
                "a.run_delay = 0.400 s",
                "a.migrations = 4",
                "a.longest_gap = 3.500 ms",
                // (2.0 - 1.2) of 1.6.
                "a.worker_spread = 50.0 %",
                "b.on_cpu = 0.800 s",
                "b.share = 20.0 %",
                "b.run_delay = 0.200 s",
                "b.migrations = 2",
                "b.longest_gap = 3.500 ms",
                "b.worker_spread = 0.0 %",
            ]
        );
    }

    #[test]
    fn groups_that_did_nothing_have_finite_metrics() {
        let mut record = samples::record();
        record.evidence.windows.clear();
        let metrics = metrics(&record);
        assert_eq!(metrics.len(), 12);
        assert!(metrics.iter().all(|metric| metric.value == 0.0), "{metrics:?}");
    }

    #[test]
    fn a_row_names_the_lowest_seeds_of_its_extremes() {
        let rows = spread_of(&[(9, 40.0), (3, 60.0), (5, 40.0), (1, 60.0), (7, 45.0)]);
        let [row] = rows.as_slice() else {
            panic!("one row expected: {rows:?}")
        };
        assert_eq!((row.min, row.min_seed), (40.0, 5));
        assert_eq!((row.max, row.max_seed), (60.0, 1));
        assert_eq!((row.median, row.runs), (45.0, 5));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let check = |values: &[f64], expect: f64| {
            let runs: Vec<(u64, f64)> = (0..).zip(values.iter().copied()).collect();
            assert_eq!(spread_of(&runs)[0].median, expect, "{values:?}");
        };
        check(&[7.0], 7.0);
        check(&[9.0, 1.0], 5.0);
        check(&[9.0, 1.0, 2.0, 3.0], 2.5);
        check(&[9.0, 1.0, 2.0], 2.0);
    }

    #[test]
    fn rows_come_in_the_order_of_first_appearance_and_count_their_own_runs() {
        let mut spread = Spread::default();
        spread.add(1, &[metric("z", "s", 1.0)]);
        spread.add(2, &[metric("a", "", 2.0), metric("z", "s", 3.0)]);
        let rows = spread.rows();
        let counts: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.runs)).collect();
        assert_eq!(counts, [("z", 2), ("a", 1)]);
        assert!(Spread::default().rows().is_empty());
    }

    #[test]
    fn the_table_shows_the_extremes_with_their_seeds() {
        let mut spread = Spread::default();
        for (seed, share, gap, migrations) in [
            (1, 49.96, 4.0, 12.0),
            (22, 31.2, 1004.25, 7.0),
            (333, 50.1, 3.0, 9.0),
            (4444, 49.8, 3.9, 8.0),
        ] {
            let metrics = [
                metric("web.share", "%", share),
                metric("web.longest_gap", "ms", gap),
                metric("web.migrations", "", migrations),
            ];
            spread.add(seed, &metrics);
        }
        assert_eq!(
            spread_table(&spread.rows()).lines().collect::<Vec<_>>(),
            [
                "   metric           runs       min  at seed    median          max  at seed",
                "   web.share           4    31.2 %       22    49.9 %       50.1 %      333",
                "   web.longest_gap     4  3.000 ms      333  3.950 ms  1004.250 ms       22",
                "   web.migrations      4         7       22       8.5           12        1",
            ]
        );
        assert_eq!(spread_table(&[]), "");
    }

    #[test]
    fn rows_keep_their_field_names_for_scripts() {
        let json = serde_json::to_string(&spread_of(&[(7, 2.5)])).unwrap();
        assert_eq!(
            json,
            r#"[{"name":"a.share","unit":"%","runs":1,"min":2.5,"min_seed":7,"median":2.5,"max":2.5,"max_seed":7}]"#
        );
    }

    proptest! {
        #[test]
        fn the_order_of_runs_does_not_matter(
            (runs, other) in prop::collection::vec((0..20u64, 0..5i32), 1..12)
                .prop_flat_map(|runs| (Just(runs.clone()), Just(runs).prop_shuffle()))
        ) {
            let values = |runs: &[(u64, i32)]| {
                let runs: Vec<_> = runs.iter().map(|&(seed, value)| (seed, f64::from(value))).collect();
                spread_of(&runs)
            };
            let rows = values(&runs);
            prop_assert_eq!(&rows, &values(&other));
            for (seed, value) in runs {
                let value = f64::from(value);
                prop_assert!(rows[0].min <= value && value <= rows[0].max);
                prop_assert!(value > rows[0].min || rows[0].min_seed <= seed);
                prop_assert!(value < rows[0].max || rows[0].max_seed <= seed);
            }
        }
    }
}
