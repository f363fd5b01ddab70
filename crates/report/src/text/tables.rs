//! The tables of the text view. A column of times has one unit, which its heading names, so that numbers compare.

use record::CheckResult;
use spec::Nanos;

use crate::table::{align_right, indented, plain};
use crate::wording::{decimal, visible};
use crate::{Change, GroupRow, Ratio};

/// A row for each cgroup.
pub(super) fn groups(rows: &[GroupRow<'_>]) -> String {
    let mut table = plain();
    table.set_header([
        "group",
        "work",
        "workers",
        "cpuset",
        "weight",
        "work units",
        "on-CPU s",
        "share",
        "per worker s",
        "run delay s",
        "migrations",
        "longest gap ms",
        "CPUs used",
    ]);
    align_right(&mut table, 4..=11);
    for row in rows {
        table.add_row([
            row.name.to_string(),
            row.works.join(" + "),
            row.workers.to_string(),
            row.cpuset.map_or_else(|| "all".to_owned(), ToString::to_string),
            row.weight.get().to_string(),
            row.work_units.to_string(),
            seconds(row.on_cpu),
            percent(row.share),
            format!("{}–{}", seconds(row.least_on_cpu), seconds(row.most_on_cpu)),
            seconds(row.run_delay),
            row.migrations.to_string(),
            row.longest_gap.map_or_else(|| "-".to_owned(), millis),
            row.cpus_used.to_string(),
        ]);
    }
    indented(&table)
}

/// A row for each check.
pub(super) fn checks(checks: &[CheckResult]) -> String {
    let mut table = plain();
    table.set_header(["check", "verdict", "from", "reason"]);
    for check in checks {
        table.add_row([
            check.check.clone(),
            check.verdict.to_string(),
            check.source.to_string(),
            visible(&check.reason),
        ]);
    }
    indented(&table)
}

/// A row for each check that changed.
pub(super) fn changes(changes: &[Change<'_>]) -> String {
    let mut table = plain();
    table.set_header(["check", "recorded", "judged", "reason"]);
    for change in changes {
        let [recorded, judged] = change
            .verdicts()
            .map(|verdict| verdict.map_or("-", record::Verdict::word));
        let reason = change
            .judged
            .map_or_else(String::new, |check| visible(&check.reason));
        table.add_row([change.check, recorded, judged, reason.as_str()]);
    }
    indented(&table)
}

fn seconds(span: Nanos) -> String {
    decimal(span.0.into(), 1_000_000_000, 3)
}

fn millis(span: Nanos) -> String {
    decimal(span.0.into(), 1_000_000, 3)
}

fn percent(share: Ratio) -> String {
    format!(
        "{} %",
        decimal(u128::from(share.part) * 100, share.whole.into(), 1)
    )
}
