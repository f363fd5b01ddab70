//! `cargo xtask attach`: published schedulers on the newest kernel: what their first attach costs, and what the next run does.
//!
//! Outside of CI, for its length: some of them take the verifier minutes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::published::Published;
use crate::{process, schedrig, setup, workspace};

/// Attaches published schedulers, and runs under them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only schedulers whose name contains this.
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Write the results into docs/attach.md; only for all of them.
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

/// Published schedulers, with the options that each is started with.
const SCHEDULERS: &[(Published, &str)] = &[
    (of("scx_bpfland", "1.1.4"), ""),
    (of("scx_lavd", "1.1.4"), ""),
    (of("scx_rusty", "1.1.4"), ""),
    (of("scx_p2dq", "1.1.4"), ""),
    (of("scx_flash", "1.1.4"), ""),
    (of("scx_cosmos", "1.1.7"), ""),
    (of("scx_tickless", "1.1.4"), ""),
    (of("scx_layered", "1.1.4"), "--run-example"),
    (of("scx_beerland", "1.1.4"), ""),
    (of("scx_rustland", "1.1.4"), ""),
];

const fn of(name: &'static str, version: &'static str) -> Published {
    Published { name, version }
}

/// Each machine, with a plain load: a spinner for each CPU.
const MACHINES: [(&str, u32); 2] = [("1n1l4c1t", 4), ("2n4l2c1t", 16)];
const KERNEL: &str = "apt:trixie-backports";
const SPAN: &str = "200ms";
/// Further runs in one process, whose mean is told.
const MORE: u32 = 5;

const BUILD: Duration = Duration::from_secs(40 * 60);
const RUN: Duration = Duration::from_secs(40 * 60);
const PAGE: &str = "docs/attach.md";

/// Runs `cargo xtask attach`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    setup::ensure()?;
    let target = workspace::target_dir()?;
    let mut build = workspace::cargo("build --quiet --package cargo-schedrig");
    process::run(&mut build, BUILD)?;
    let rig = Rig {
        saves: target.join("attach/saves"),
        records: target.join("attach/records"),
        target,
    };
    // A layer that is there already has no cost to tell.
    if rig.saves.exists() {
        std::fs::remove_dir_all(&rig.saves).context("remove the saved machines of the last time")?;
    }
    let mut rows = Vec::new();
    for (topology, cpus) in MACHINES {
        // The machine is booted here, so that no scheduler's attach counts it.
        let eevdf = rig.next("eevdf", topology, cpus)?;
        rows.push(Row::eevdf(topology, eevdf));
        println!("{}", rows.last().map(Row::line).unwrap_or_default());
        for (published, options) in SCHEDULERS {
            if args
                .only
                .as_ref()
                .is_some_and(|only| !published.name.contains(only.as_str()))
            {
                continue;
            }
            let program = published.ensure(&rig.target.join("schedulers"))?;
            let scheduler = format!("{} {options}", program.display()).trim_end().to_owned();
            let mut row = rig.first(*published, &scheduler, topology, cpus)?;
            if row.verdict == "pass" {
                row.next = Some(rig.next(&scheduler, topology, cpus)?);
            }
            println!("{}", row.line());
            rows.push(row);
        }
    }
    if args.write {
        std::fs::write(workspace::root().join(PAGE), page(&rows))?;
    }
    Ok(())
}

/// The product, with directories of its own.
struct Rig {
    target: PathBuf,
    saves: PathBuf,
    records: PathBuf,
}

/// What came out for a scheduler on a machine.
struct Row {
    topology: String,
    scheduler: String,
    kernel: String,
    verdict: String,
    /// Why it did not pass.
    reason: String,
    /// Host seconds of the first run, which attaches.
    first: f64,
    /// Guest seconds from the agent's first word until it was attached.
    attach: Option<f64>,
    programs: usize,
    /// The program of which the verifier has looked at most instructions, and how many.
    largest: Option<(String, u64)>,
    /// Host seconds of a further run.
    next: Option<f64>,
}

impl Rig {
    fn command(&self, name: &str) -> Command {
        let mut command = schedrig::command(&self.target);
        command
            .arg(name)
            .env("SCHEDRIG_SAVES", &self.saves)
            .env("SCHEDRIG_RECORDS", &self.records);
        command
    }

    fn scenario(command: &mut Command, scheduler: &str, topology: &str, cpus: u32) {
        command
            .args([
                "--kernel",
                KERNEL,
                "--scheduler",
                scheduler,
                "--topology",
                topology,
            ])
            .args([
                "--for",
                SPAN,
                "--group",
                &format!("a:spin:{cpus}"),
                "--name",
                "attach",
            ]);
    }

    /// The run that attaches the scheduler.
    fn first(&self, published: Published, scheduler: &str, topology: &str, cpus: u32) -> Result<Row> {
        let mut run = self.command("run");
        run.args(["--json", "--no-auto-repro"]);
        Rig::scenario(&mut run, scheduler, topology, cpus);
        run.args(["--at", "1ms", "inspect", "progs"]);
        let answer = process::answer_of(&mut run, RUN, &[0, 1, 2])?;
        let summary: Value = serde_json::from_str(&answer)?;
        let programs = summary["answers"][0]["answer"].as_array();
        let loaded: Vec<(&str, u64)> = programs
            .into_iter()
            .flatten()
            .filter_map(|program| Some((program["function"].as_str()?, program["verified_insns"].as_u64()?)))
            .collect();
        let bad = |check: &&Value| matches!(check["verdict"].as_str(), Some("fail" | "inconclusive"));
        let checks = summary["checks"].as_array();
        let reason = checks
            .into_iter()
            .flatten()
            .find(bad)
            .map(|check| &check["reason"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Row {
            topology: topology.to_owned(),
            scheduler: format!("{} {}", published.name, published.version),
            kernel: text(&summary["kernel"]["release"]),
            verdict: text(&summary["verdict"]),
            reason: reason.map(text).unwrap_or_default(),
            first: summary["host_seconds"].as_f64().unwrap_or_default(),
            attach: attach_seconds(Path::new(summary["record"].as_str().unwrap_or_default())),
            programs: loaded.len(),
            largest: loaded
                .iter()
                .max_by_key(|(_, insns)| *insns)
                .map(|(name, insns)| ((*name).to_owned(), *insns)),
            next: None,
        })
    }

    /// Host seconds of one more run in a process that has made some.
    fn next(&self, scheduler: &str, topology: &str, cpus: u32) -> Result<f64> {
        let sweep = |seeds: &str| -> Result<f64> {
            let mut sweep = self.command("sweep");
            sweep.args(["--json", "--jobs", "1", "--seeds", seeds, "--"]);
            Rig::scenario(&mut sweep, scheduler, topology, cpus);
            let began = Instant::now();
            process::answer_of(&mut sweep, RUN, &[0, 1, 2])?;
            Ok(began.elapsed().as_secs_f64())
        };
        sweep("1")?;
        let one = sweep("2")?;
        let all = sweep(&format!("2..={}", 2 + MORE))?;
        Ok((all - one) / f64::from(MORE))
    }
}

/// Guest seconds from the agent's first word until the scheduler was attached, in a record.
fn attach_seconds(record: &Path) -> Option<f64> {
    let evidence = std::fs::read(record.join("evidence.json")).ok()?;
    let evidence: Value = serde_json::from_slice(&evidence).ok()?;
    let at = |kind: &str| {
        let mut events = evidence["events"].as_array()?.iter();
        events.find(|event| event["what"]["kind"] == kind)?["at"].as_f64()
    };
    Some((at("scheduler_attached")? - at("booted")?) / 1e9)
}

impl Row {
    fn eevdf(topology: &str, next: f64) -> Row {
        Row {
            topology: topology.to_owned(),
            scheduler: "EEVDF".to_owned(),
            kernel: String::new(),
            verdict: "pass".to_owned(),
            reason: String::new(),
            first: 0.0,
            attach: None,
            programs: 0,
            largest: None,
            next: Some(next),
        }
    }

    /// A row of the table.
    fn line(&self) -> String {
        let seconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
        let largest = self.largest.as_ref();
        let largest = largest.map_or_else(String::new, |(name, insns)| format!("`{name}`, {insns}"));
        let first = Some(self.first).filter(|first| *first > 0.0);
        format!(
            "| {} | {} | {} | {} | {} | {} | {largest} | {} | {} |",
            self.scheduler,
            self.topology,
            self.verdict,
            seconds(self.attach),
            seconds(first),
            self.programs,
            seconds(self.next),
            self.reason
        )
    }
}

fn page(rows: &[Row]) -> String {
    let kernel = rows.iter().find(|row| !row.kernel.is_empty());
    let kernel = kernel.map_or("", |row| row.kernel.as_str());
    let mut page = format!(
        "# Published schedulers: the first attach, and the next run\n\nWritten by `cargo xtask attach --write`, on {kernel}: a \
         spinner for each CPU, {SPAN} of guest time. The first run attaches the scheduler and saves the machine with it; a \
         further one is a fork, and its host time is the mean of {MORE} in one process. Guest time of the attach is from the \
         agent's first word on. Verified instructions are those that the verifier has looked at, along all paths.\n\n\
         | scheduler | machine | verdict | attach, guest s | first run, host s | programs | largest, verified instructions \
         | next run, host s | what did not pass |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let _ = writeln!(page, "{}", row.line());
    }
    page
}
