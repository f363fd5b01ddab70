//! The tables of the text view. A column of times has one unit, which its heading names, so that numbers compare.

use comfy_table::{ContentArrangement, Table};
use record::CheckResult;
use spec::{Nanos, SchedClass, Weight};

use crate::table::{INDENT, align_right, indented, plain};
use crate::text::WIDTH;
use crate::wording::{decimal, visible, visible_line};
use crate::{Change, GroupRow, Ratio};

/// A row for each cgroup: what says the same of all of them is left out, and what is least asked for where the table would
/// be wider than `width`. `class` is the one that is to schedule the workers.
pub(super) fn groups(rows: &[GroupRow<'_>], class: SchedClass, width: usize) -> String {
    let column = |head, keep, cell: &dyn Fn(&GroupRow<'_>) -> String| Column {
        head,
        keep,
        right: true,
        cells: rows.iter().map(cell).collect(),
    };
    let left = |column: Column| Column {
        right: false,
        ..column
    };
    let any = |says: &dyn Fn(&GroupRow<'_>) -> bool| {
        if rows.iter().any(says) {
            Keep::Always
        } else {
            Keep::Never
        }
    };
    let cpusets = any(&|row| row.cpuset.is_some());
    let weights = any(&|row| row.weight != Weight::DEFAULT);
    let tasks = any(&|row| row.tasks > row.workers);
    let nices = any(&|row| row.nices.iter().any(|nice| *nice != 0));
    let classes = any(&|row| row.classes.iter().any(|of| *of != class));
    let columns = [
        left(column("group", Keep::Always, &|row| row.name.to_string())),
        left(column("work", Keep::IfRoom(9), &|row| {
            short(&row.works.join(" + "))
        })),
        column("workers", Keep::IfRoom(8), &|row| row.workers.to_string()),
        column("tasks", tasks, &|row| row.tasks.to_string()),
        column("nice", nices, &|row| listed(&row.nices)),
        left(column("class", classes, &|row| listed(&row.classes))),
        left(column("cpuset", cpusets, &|row| {
            row.cpuset.map_or_else(|| "all".to_owned(), ToString::to_string)
        })),
        column("weight", weights, &|row| row.weight.get().to_string()),
        column("work units", Keep::IfRoom(1), &|row| row.work_units.to_string()),
        column("on-CPU s", Keep::Always, &|row| seconds(row.on_cpu)),
        column("share", Keep::Always, &|row| percent(row.share)),
        column("per worker s", Keep::IfRoom(5), &|row| {
            format!("{}–{}", seconds(row.least_on_cpu), seconds(row.most_on_cpu))
        }),
        column("run delay s", Keep::IfRoom(7), &|row| seconds(row.run_delay)),
        column("migrations", Keep::IfRoom(2), &|row| row.migrations.to_string()),
        column("gap ms", Keep::IfRoom(6), &|row| {
            row.longest_gap.map_or_else(|| "-".to_owned(), millis)
        }),
        left(column("CPUs used", Keep::IfRoom(3), &|row| {
            row.cpus_used.to_string()
        })),
    ];
    fitted(columns.into(), width)
}

/// Characters of a work that the table shows: a program's arguments can be a whole script.
const MAX_WORK: usize = 24;

fn short(work: &str) -> String {
    let work = visible_line(work);
    if work.chars().count() <= MAX_WORK {
        return work;
    }
    work.chars().take(MAX_WORK - 1).chain(['…']).collect()
}

/// A few values, as in `-5,0`.
fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
}

/// A column of a table.
struct Column {
    head: &'static str,
    keep: Keep,
    right: bool,
    cells: Vec<String>,
}

/// Is a column shown?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Always,
    /// Where there is room; the lowest number goes first.
    IfRoom(u8),
    Never,
}

/// The table of those columns that fit.
fn fitted(mut columns: Vec<Column>, most: usize) -> String {
    columns.retain(|column| column.keep != Keep::Never);
    loop {
        let text = table(&columns);
        let width = text
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or_default();
        let rank = |column: &&Column| match column.keep {
            Keep::IfRoom(rank) => Some(rank),
            Keep::Always | Keep::Never => None,
        };
        let first = columns.iter().filter_map(|column| rank(&column)).min();
        match first {
            Some(first) if width > most => columns.retain(|column| column.keep != Keep::IfRoom(first)),
            _ => return text,
        }
    }
}

fn table(columns: &[Column]) -> String {
    let mut table = plain();
    table.set_header(columns.iter().map(|column| column.head));
    let right = columns.iter().enumerate().filter(|(_, column)| column.right);
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        table.add_row(columns.iter().map(|column| column.cells[row].as_str()));
    }
    align_right(&mut table, right.map(|(index, _)| index));
    indented(&table)
}

/// A row for each check.
pub(super) fn checks(checks: &[CheckResult], width: usize) -> String {
    let mut table = wrapped(width);
    let sources = width >= WIDTH;
    let row = |check: &str, verdict: &str, source: &str, reason: &str| {
        let cells = [
            Some(check),
            Some(verdict),
            sources.then_some(source),
            Some(reason),
        ];
        cells.into_iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    table.set_header(row("check", "verdict", "from", "reason"));
    for check in checks {
        let (verdict, source) = (check.verdict.to_string(), check.source.to_string());
        table.add_row(row(&check.check, &verdict, &source, &visible(&check.reason)));
    }
    indented(&table)
}

/// A row for each check that changed.
pub(super) fn changes(changes: &[Change<'_>]) -> String {
    let mut table = wrapped(WIDTH);
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

/// A table whose last column is broken into lines.
fn wrapped(width: usize) -> Table {
    let mut table = plain();
    let width = u16::try_from(width.saturating_sub(INDENT)).unwrap_or(u16::MAX);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    table
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
