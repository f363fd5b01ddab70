//! What many runs of the same test have in common: the distribution of each metric over the seeds.
//!
//! A sweep makes thousands of runs and keeps no record of most of them. So a run is reduced to its metrics,
//! and only these numbers are kept, each with its seed: the median needs them all, and whoever reads the
//! table wants to replay the outliers.

use std::collections::HashMap;

use record::Record;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::table::{align_right, indented, plain};
use crate::wording::decimal;
use crate::{GroupRow, Model, Ratio};

/// A number of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// What is measured, as in `web.on_cpu`.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// How much, in the smallest part of the unit.
    pub value: u64,
}

/// What a metric is measured in. It is counted in whole parts of its unit, so that equal runs have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Pieces.
    Count,
    /// Seconds, in ns.
    Seconds,
    /// Milliseconds, in ns.
    Millis,
    /// Percent, in millionths of one hundred percent.
    Percent,
}

impl Unit {
    /// `s`, `ms`, `%`; empty for a count.
    pub fn word(self) -> &'static str {
        match self {
            Unit::Count => "",
            Unit::Seconds => "s",
            Unit::Millis => "ms",
            Unit::Percent => "%",
        }
    }

    /// How many of the smallest parts make one.
    fn parts(self) -> u32 {
        match self {
            Unit::Count => 1,
            Unit::Seconds => 1_000_000_000,
            Unit::Millis => 1_000_000,
            Unit::Percent => 10_000,
        }
    }

    /// `halves / 2` parts, in units, with as many digits as mean something.
    fn text(self, halves: u128) -> String {
        let digits = match self {
            // The median of counts may lie between two of them.
            Unit::Count => u32::from(halves % 2 == 1),
            Unit::Percent => 1,
            Unit::Seconds | Unit::Millis => 3,
        };
        decimal(halves, u128::from(self.parts()) * 2, digits)
    }

    /// `halves / 2` parts, for scripts: a count, seconds, or a part of one.
    fn number(self, halves: u128) -> f64 {
        let parts = match self {
            Unit::Count => 1.0,
            Unit::Seconds | Unit::Millis => 1e9,
            Unit::Percent => 1e6,
        };
        halves as f64 / 2.0 / parts
    }

    /// What scripts find behind a metric's name.
    fn suffix(self) -> &'static str {
        match self {
            Unit::Seconds | Unit::Millis => "_seconds",
            Unit::Count | Unit::Percent => "",
        }
    }
}

/// The metrics of a run, six for each cgroup, over all its windows:
///
/// | metric | unit | |
/// |---|---|---|
/// | `<group>.on_cpu` | s | its workers' time on CPUs |
/// | `<group>.share` | % | that, of all groups' time on CPUs |
/// | `<group>.run_delay` | s | its workers' time runnable but waiting |
/// | `<group>.migrations` | | its workers' CPU changes |
/// | `<group>.longest_gap` | ms | the longest time one of its workers wanted to run and did not; where one measures it |
/// | `<group>.worker_spread` | % | most less least on-CPU time of its workers, of their mean |
pub fn metrics(record: &Record) -> Vec<Metric> {
    Model::of(record).groups.iter().flat_map(group_metrics).collect()
}

fn group_metrics(group: &GroupRow<'_>) -> impl Iterator<Item = Metric> {
    let metric = |name: &str, unit, value| Metric {
        name: format!("{}.{name}", group.name),
        unit,
        value,
    };
    [
        Some(metric("on_cpu", Unit::Seconds, group.on_cpu.0)),
        Some(metric("share", Unit::Percent, millionths(group.share))),
        Some(metric("run_delay", Unit::Seconds, group.run_delay.0)),
        Some(metric("migrations", Unit::Count, group.migrations)),
        group
            .longest_gap
            .map(|gap| metric("longest_gap", Unit::Millis, gap.0)),
        Some(metric(
            "worker_spread",
            Unit::Percent,
            millionths(group.worker_spread()),
        )),
    ]
    .into_iter()
    .flatten()
}

fn millionths(ratio: Ratio) -> u64 {
    let (part, whole) = (u128::from(ratio.part), u128::from(ratio.whole.max(1)));
    u64::try_from((part * 2_000_000 + whole) / (whole * 2)).unwrap_or(u64::MAX)
}

/// Collects the metrics of many runs: 16 bytes for each number.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    distributions: Vec<Distribution>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Distribution {
    name: String,
    unit: Unit,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    value: u64,
    seed: u64,
}

/// A metric over all runs that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadRow {
    /// What is measured.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// How many runs have it.
    pub runs: usize,
    /// The least.
    pub min: u64,
    /// The lowest seed that gave the least.
    pub min_seed: u64,
    /// Twice the median: half of the runs have no more than the median, half have no less. Where it lies between two
    /// numbers, this is their sum.
    pub median_twice: u128,
    /// The most.
    pub max: u64,
    /// The lowest seed that gave the most.
    pub max_seed: u64,
}

/// For scripts, in the names and units of [`crate::json::GroupSummary`]: seconds, and parts of one. The field names are an
/// interface.
impl Serialize for SpreadRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = |value: u64| self.unit.number(u128::from(value) * 2);
        let mut row = serializer.serialize_struct("SpreadRow", 7)?;
        row.serialize_field("name", &format!("{}{}", self.name, self.unit.suffix()))?;
        row.serialize_field("runs", &self.runs)?;
        row.serialize_field("min", &number(self.min))?;
        row.serialize_field("min_seed", &self.min_seed)?;
        row.serialize_field("median", &self.unit.number(self.median_twice))?;
        row.serialize_field("max", &number(self.max))?;
        row.serialize_field("max_seed", &self.max_seed)?;
        row.end()
    }
}

impl Spread {
    /// Adds one run.
    pub fn add(&mut self, seed: u64, metrics: &[Metric]) {
        for Metric { name, unit, value } in metrics {
            let point = Point { value: *value, seed };
            match self
                .by_name
                .get(name)
                .and_then(|&index| self.distributions.get_mut(index))
            {
                Some(distribution) => distribution.points.push(point),
                None => {
                    self.by_name.insert(name.clone(), self.distributions.len());
                    self.distributions.push(Distribution {
                        name: name.clone(),
                        unit: *unit,
                        points: vec![point],
                    });
                }
            }
        }
    }

    /// One row for each metric, in the order in which they first came.
    pub fn rows(&self) -> Vec<SpreadRow> {
        self.distributions.iter().filter_map(row).collect()
    }
}

fn row(distribution: &Distribution) -> Option<SpreadRow> {
    let mut points = distribution.points.clone();
    points.sort_unstable();
    let min = points.first()?;
    let most = points.last()?.value;
    // The first of those that are equally great is the one with the lowest seed.
    let max = points.iter().find(|point| point.value == most)?;
    let [lower, upper] = [(points.len() - 1) / 2, points.len() / 2].map(|middle| points[middle].value);
    Some(SpreadRow {
        name: distribution.name.clone(),
        unit: distribution.unit,
        runs: points.len(),
        min: min.value,
        min_seed: min.seed,
        median_twice: u128::from(lower) + u128::from(upper),
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
    table.set_header([
        "metric", "unit", "runs", "min", "at seed", "median", "max", "at seed",
    ]);
    align_right(&mut table, 2..=7);
    for row in rows {
        table.add_row([
            row.name.clone(),
            row.unit.word().to_owned(),
            row.runs.to_string(),
            row.unit.text(u128::from(row.min) * 2),
            row.min_seed.to_string(),
            row.unit.text(row.median_twice),
            row.unit.text(u128::from(row.max) * 2),
            row.max_seed.to_string(),
        ]);
    }
    indented(&table) + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    fn spread_of(runs: &[(u64, u64)]) -> Vec<SpreadRow> {
        let mut spread = Spread::default();
        for &(seed, value) in runs {
            spread.add(seed, &[metric("a.migrations", Unit::Count, value)]);
        }
        spread.rows()
    }

    fn metric(name: &str, unit: Unit, value: u64) -> Metric {
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
            .map(|Metric { name, unit, value }| {
                let number = unit.text(u128::from(*value) * 2);
                format!("{name} = {number} {}", unit.word()).trim_end().to_owned()
            })
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
    fn groups_that_did_nothing_have_metrics_of_zero_and_no_gap() {
        let mut record = samples::record();
        record.evidence.windows.clear();
        let metrics = metrics(&record);
        assert_eq!(metrics.len(), 10);
        assert!(metrics.iter().all(|metric| metric.value == 0), "{metrics:?}");
    }

    #[test]
    fn a_row_names_the_lowest_seeds_of_its_extremes() {
        let rows = spread_of(&[(9, 40), (3, 60), (5, 40), (1, 60), (7, 45)]);
        let [row] = rows.as_slice() else {
            panic!("one row expected: {rows:?}")
        };
        assert_eq!((row.min, row.min_seed), (40, 5));
        assert_eq!((row.max, row.max_seed), (60, 1));
        assert_eq!((row.median_twice, row.runs), (90, 5));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let check = |values: &[u64], expect: &str| {
            let runs: Vec<(u64, u64)> = (0..).zip(values.iter().copied()).collect();
            let row = &spread_of(&runs)[0];
            assert_eq!(row.unit.text(row.median_twice), expect, "{values:?}");
        };
        check(&[7], "7");
        check(&[9, 1], "5");
        check(&[9, 1, 2, 3], "2.5");
        check(&[9, 1, 2], "2");
        check(&[u64::MAX, u64::MAX], "18446744073709551615");
    }

    #[test]
    fn rows_come_in_the_order_of_first_appearance_and_count_their_own_runs() {
        let mut spread = Spread::default();
        spread.add(1, &[metric("z", Unit::Seconds, 1)]);
        spread.add(2, &[metric("a", Unit::Count, 2), metric("z", Unit::Seconds, 3)]);
        let rows = spread.rows();
        let counts: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.runs)).collect();
        assert_eq!(counts, [("z", 2), ("a", 1)]);
        assert!(Spread::default().rows().is_empty());
    }

    #[test]
    fn the_table_shows_the_extremes_with_their_seeds() {
        let mut spread = Spread::default();
        for (seed, share, gap, migrations) in [
            (1, 499_600, 4_000_000, 12),
            (22, 312_000, 1_004_250_000, 7),
            (333, 501_000, 3_000_000, 9),
            (4444, 498_000, 3_900_000, 8),
        ] {
            let metrics = [
                metric("web.share", Unit::Percent, share),
                metric("web.longest_gap", Unit::Millis, gap),
                metric("web.migrations", Unit::Count, migrations),
            ];
            spread.add(seed, &metrics);
        }
        assert_eq!(
            spread_table(&spread.rows()).lines().collect::<Vec<_>>(),
            [
                "   metric           unit  runs    min  at seed  median       max  at seed",
                "   web.share        %        4   31.2       22    49.9      50.1      333",
                "   web.longest_gap  ms       4  3.000      333   3.950  1004.250       22",
                "   web.migrations            4      7       22     8.5        12        1",
            ]
        );
        assert_eq!(spread_table(&[]), "");
    }

    #[test]
    fn rows_keep_their_field_names_for_scripts() {
        let mut spread = Spread::default();
        let metrics = [
            metric("a.share", Unit::Percent, 25_000),
            metric("a.longest_gap", Unit::Millis, 4_000_000),
        ];
        spread.add(7, &metrics);
        let json = serde_json::to_string(&spread.rows()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"[{"name":"a.share","runs":1,"min":0.025,"min_seed":7,"median":0.025,"max":0.025,"max_seed":7},"#,
                r#"{"name":"a.longest_gap_seconds","runs":1,"min":0.004,"min_seed":7,"median":0.004,"max":0.004,"max_seed":7}]"#
            )
        );
    }

    proptest! {
        #[test]
        fn the_order_of_runs_does_not_matter(
            (runs, other) in prop::collection::vec((0..20u64, 0..5u64), 1..12)
                .prop_flat_map(|runs| (Just(runs.clone()), Just(runs).prop_shuffle()))
        ) {
            let rows = spread_of(&runs);
            prop_assert_eq!(&rows, &spread_of(&other));
            for (seed, value) in runs {
                prop_assert!(rows[0].min <= value && value <= rows[0].max);
                prop_assert!(value > rows[0].min || rows[0].min_seed <= seed);
                prop_assert!(value < rows[0].max || rows[0].max_seed <= seed);
            }
        }
    }
}
