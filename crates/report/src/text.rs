//! A record as text: the verdict first, a table per group, the reason of every check, how to replay.

use comfy_table::Table;
use record::{Record, Verdict};
use spec::Nanos;

use crate::Summary;
use crate::table::{align_right, indented, plain};

/// The verdict in one line: `PASS  fair_shares  (scx_baton on 7.2.13, 1n2l2c1t, seed 7)`.
pub fn verdict_line(record: &Record) -> String {
    let summary = Summary::of(record);
    let Summary {
        name,
        verdict,
        scheduler,
        topology,
        seed,
        ..
    } = &summary;
    let release = &summary.kernel.release;
    format!("{verdict}  {name}  ({scheduler} on {release}, {topology}, seed {seed})")
}

/// The whole report: the same text for the same execution.
pub fn detail(record: &Record) -> String {
    let summary = Summary::of(record);
    let mut text = verdict_line(record) + "\n";
    for finding in record.findings() {
        text += &format!("\n  {}: {}\n", finding.check, finding.reason);
        for line in &finding.details {
            text += &format!("      {line}\n");
        }
    }
    for dump in &record.dumps {
        text += &format!("\n  caught at {}: {}\n", dump.snapshot.at, dump.trigger);
        for line in &dump.headline {
            text += &format!("      {line}\n");
        }
    }
    text += &crate::repro::chain(record);
    if !summary.groups.is_empty() {
        text += &format!("\n{}\n", indented(&group_table(&summary)));
    }
    text += &format!("\n{}\n", indented(&check_table(&summary)));
    text += &format!(
        "\n  guest time {:.3} s   record {}\n",
        summary.guest_seconds,
        record.hash.short()
    );
    if record.verdict() != Verdict::Pass && !record.host.replay.is_empty() {
        text += &format!("  replay exactly this run: {}\n", record.host.replay);
    }
    text
}

fn group_table(summary: &Summary) -> Table {
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
        "longest gap",
        "CPUs used",
    ]);
    align_right(&mut table, 4..=11);
    for group in &summary.groups {
        let [least, most] = group.worker_on_cpu_seconds;
        let gap = Nanos((group.longest_gap_seconds * 1e9).round() as u64);
        table.add_row([
            group.name.clone(),
            group.work.clone(),
            group.workers.to_string(),
            if group.cpuset.is_empty() {
                "all".to_owned()
            } else {
                group.cpuset.to_string()
            },
            group.weight.to_string(),
            group.work_units.to_string(),
            format!("{:.3}", group.on_cpu_seconds),
            format!("{:.1} %", group.share * 100.0),
            format!("{least:.3}–{most:.3}"),
            format!("{:.3}", group.run_delay_seconds),
            group.migrations.to_string(),
            gap.to_string(),
            group.cpus_used.to_string(),
        ]);
    }
    table
}

fn check_table(summary: &Summary) -> Table {
    let mut table = plain();
    table.set_header(["check", "verdict", "reason"]);
    for check in &summary.checks {
        table.add_row([
            check.check.clone(),
            check.verdict.to_string(),
            check.reason.clone(),
        ]);
    }
    table
}
