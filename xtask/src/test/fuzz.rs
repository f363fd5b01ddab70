//! The fuzz stage: every target of `fuzz/` for some seconds, two at a time.
//!
//! `fuzz/` is a workspace of its own, since all of it is compiled with coverage instrumentation (its `.cargo/config.toml`
//! says how, which cargo reads only there). Its build goes to a directory of its own below ours.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::{process, workspace};

use super::lane::Lane;

/// Targets run at a time: the number of CPUs of CI's machines.
const AT_A_TIME: usize = 2;

/// How many of a target's last lines are kept; a finding prints its input and a stack.
const LAST_LINES: usize = 60;

const BUILD: Duration = Duration::from_secs(15 * 60);

/// Time for starting, replaying the corpus and ending, on top of a target's fuzzing time.
const SLACK: Duration = Duration::from_secs(120);

/// libFuzzer's limits: seconds for one input, megabytes in total and for one allocation, bytes of input. Exceeding one is
/// a finding.
const LIMITS: [&str; 5] = [
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-malloc_limit_mb=512",
    "-max_len=32768",
    "-print_final_stats=1",
];

/// A fuzz target.
#[derive(Debug)]
struct Target {
    name: String,
    program: PathBuf,
    /// The corpus, kept between runs: a run begins with the inputs that earlier ones added.
    corpus: PathBuf,
    dictionary: PathBuf,
    /// The directory for the inputs of findings.
    findings: PathBuf,
}

/// Builds and runs all targets.
pub(crate) fn run(lane: &mut Lane) -> Result<()> {
    let directory = workspace::root().join("fuzz");
    let build = lane.target().join("fuzz");
    let mut command = workspace::cargo("build --release --bins --target-dir");
    // Flags in the environment would replace those of the fuzz workspace.
    command
        .arg(&build)
        .current_dir(&directory)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    lane.run(&mut command, BUILD)?;

    let targets = targets(&directory, &build)?;
    let seconds = lane.fuzz_seconds;
    let rounds = u32::try_from(targets.len().div_ceil(AT_A_TIME)).unwrap_or(u32::MAX);
    let deadline =
        lane.deadline((Duration::from_secs(seconds) + SLACK).saturating_mul(rounds))? / rounds.max(1);
    let (queue, failed) = (Mutex::new(VecDeque::from(targets)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(target) = next(&queue) {
                    if let Err(error) = fuzz(&target, seconds, deadline) {
                        println!("FAILED fuzz target {}: {error:#}", target.name);
                        failed
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .push(target.name);
                    }
                }
            });
        }
    });
    let failed = failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if failed.is_empty() {
        Ok(())
    } else {
        bail!(
            "findings in {}; their inputs are in fuzz/artifacts",
            failed.join(", ")
        )
    }
}

fn next(queue: &Mutex<VecDeque<Target>>) -> Option<Target> {
    queue
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .pop_front()
}

/// The targets of the fuzz workspace.
fn targets(directory: &Path, build: &Path) -> Result<Vec<Target>> {
    let metadata = MetadataCommand::new()
        .current_dir(directory)
        .no_deps()
        .exec()
        .context("list the fuzz targets with cargo")?;
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let found: Vec<Target> = targets
        .filter(|target| target.is_bin())
        .map(|target| Target {
            name: target.name.clone(),
            program: program(build, &target.name),
            corpus: directory.join("corpus").join(&target.name),
            dictionary: directory
                .join("dictionaries")
                .join(format!("{}.dict", target.name)),
            findings: directory.join("artifacts").join(&target.name),
        })
        .collect();
    if found.is_empty() {
        bail!("no fuzz targets in {}", directory.display());
    }
    Ok(found)
}

/// The instrumented build names its target triple, so cargo adds a directory for it.
fn program(build: &Path, name: &str) -> PathBuf {
    build
        .join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .join("release")
        .join(name)
}

fn fuzz(target: &Target, seconds: u64, deadline: Duration) -> Result<()> {
    for directory in [&target.corpus, &target.findings] {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    }
    let mut command = Command::new(&target.program);
    command.arg(&target.corpus);
    command.arg(format!("-max_total_time={seconds}")).args(LIMITS);
    command.arg(format!("-artifact_prefix={}/", target.findings.display()));
    if target.dictionary.is_file() {
        command.arg(format!("-dict={}", target.dictionary.display()));
    }
    println!("$ {}", process::shown(&command));
    let (mut last, mut covered) = (VecDeque::new(), false);
    let outcome = process::run_lines(&mut command, deadline, &mut |line| {
        covered |= tells_coverage(line);
        last.push_back(line.to_owned());
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    });
    if outcome.is_err() {
        last.iter().for_each(|line| println!("{}| {line}", target.name));
        return outcome;
    }
    if !covered {
        bail!("no coverage reported: the target was built without instrumentation");
    }
    println!("fuzz target {}: {}", target.name, executed(&last));
    Ok(())
}

/// Whether this line of libFuzzer reports coverage, as in `#2 INITED cov: 310 ft: 311 corp: 1/1b`.
fn tells_coverage(line: &str) -> bool {
    let count = line
        .split_once(" cov: ")
        .and_then(|(_, rest)| rest.split(' ').next());
    count.is_some_and(|count| count.parse().is_ok_and(|count: u64| count > 0))
}

fn executed(lines: &VecDeque<String>) -> String {
    let units = lines
        .iter()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    units.map_or_else(
        || "no finding".to_owned(),
        |units| format!("no finding in {} executions", units.trim()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_told_from_its_absence() {
        assert!(tells_coverage(
            "#2\tINITED cov: 310 ft: 311 corp: 1/1b exec/s: 0 rss: 40Mb"
        ));
        assert!(!tells_coverage("#2\tINITED cov: 0 ft: 0 corp: 1/1b"));
        assert!(!tells_coverage("#2\tINITED exec/s: 0 rss: 25Mb"));
        assert!(!tells_coverage(""));
    }
}
