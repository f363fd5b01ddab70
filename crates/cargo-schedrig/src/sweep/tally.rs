//! The results of a sweep so far.

use std::collections::BTreeMap;
use std::path::PathBuf;

use report::Spread;
use schedrig::Verdict;
use serde::Serialize;

use crate::sweep::Ran;

/// Counts, distributions, and everything about the runs that did not pass.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<Verdict, u64>,
    spread: Spread,
    findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    more: u64,
}

/// A run that did not pass.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) seed: u64,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) record_hash: String,
    pub(crate) record: Option<PathBuf>,
    /// The command that replays this run without its record.
    pub(crate) replay: String,
    /// The shortest command that does; `null` where the record is not kept.
    pub(crate) replay_record: Option<String>,
}

/// Findings that are kept in full: a scheduler that fails with each seed mostly fails in the same way.
const MAX_FINDINGS: usize = 1_000;

impl Tally {
    /// Counts a run.
    pub(crate) fn add(&mut self, ran: Ran) {
        *self.counts.entry(ran.verdict).or_default() += 1;
        self.spread.add(ran.seed, &ran.metrics);
        if ran.verdict <= Verdict::Pass {
            return;
        }
        if self.findings.len() == MAX_FINDINGS {
            self.more += 1;
            return;
        }
        self.findings.push(Finding {
            seed: ran.seed,
            verdict: ran.verdict,
            reason: ran.reason,
            record_hash: ran.record_hash,
            record: ran.record,
            replay: ran.replay,
            replay_record: ran.replay_record,
        });
    }

    /// Runs so far.
    pub(crate) fn runs(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Runs so far with that verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or_default()
    }

    /// The worst verdict so far; `Inconclusive` without any run.
    pub(crate) fn verdict(&self) -> Verdict {
        self.counts
            .keys()
            .next_back()
            .copied()
            .unwrap_or(Verdict::Inconclusive)
    }

    /// `98 passed, 2 failed`.
    pub(crate) fn counts(&self) -> String {
        let words = [
            (Verdict::Pass, "passed"),
            (Verdict::Fail, "failed"),
            (Verdict::Inconclusive, "inconclusive"),
            (Verdict::Skip, "skipped"),
        ];
        let shown = words.iter().filter(|(verdict, _)| {
            self.count(*verdict) > 0 || matches!(verdict, Verdict::Pass | Verdict::Fail)
        });
        shown
            .map(|(verdict, word)| format!("{} {word}", self.count(*verdict)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// For people: the same text for the same runs.
    pub(crate) fn text(&self, title: &str, seeds: &str, planned: u64) -> String {
        let mut runs = report::count(planned, "run");
        if self.runs() != planned {
            runs = format!("{} of {runs}", self.runs());
        }
        let mut text = format!(
            "{}  {title}\n\n  seeds {seeds}: {runs}, {}\n",
            self.verdict(),
            self.counts()
        );
        let table = report::spread_table(&self.spread.rows());
        if !table.is_empty() {
            text += &format!("\n{table}");
        }
        for finding in self.sorted() {
            text += &format!(
                "\n  {} seed {}  {}\n",
                finding.verdict, finding.seed, finding.reason
            );
            text += &match &finding.replay_record {
                Some(short) => format!(
                    "      replay exactly this run: {short}\n      without its record: {}\n",
                    finding.replay
                ),
                None => format!("      replay exactly this run: {}\n", finding.replay),
            };
        }
        if self.more > 0 {
            text += &format!("\n  and {} more that did not pass\n", self.more);
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self, seeds: &str, planned: u64) -> serde_json::Value {
        serde_json::json!({
            "verdict": self.verdict(),
            "seeds": seeds,
            "planned": planned,
            "runs": self.runs(),
            "verdicts": {
                "pass": self.count(Verdict::Pass),
                "fail": self.count(Verdict::Fail),
                "inconclusive": self.count(Verdict::Inconclusive),
                "skip": self.count(Verdict::Skip),
            },
            "metrics": self.spread.rows(),
            "findings": self.sorted(),
            "findings_left_out": self.more,
        })
    }

    /// By seed, since the order in which runs end depends on the host.
    fn sorted(&self) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        findings.sort_by_key(|finding| finding.seed);
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(seed: u64, verdict: Verdict) -> Ran {
        Ran {
            seed,
            verdict,
            reason: if verdict == Verdict::Pass {
                ""
            } else {
                "starvation: a/0"
            }
            .to_owned(),
            metrics: vec![report::Metric {
                name: "a.on_cpu".into(),
                unit: report::Unit::Seconds,
                value: seed,
            }],
            record_hash: String::new(),
            record: None,
            replay: format!("run --seed {seed}"),
            replay_record: (seed == 2).then(|| "replay ab".to_owned()),
        }
    }

    fn tally(runs: &[(u64, Verdict)]) -> Tally {
        let mut tally = Tally::default();
        for (seed, verdict) in runs {
            tally.add(ran(*seed, *verdict));
        }
        tally
    }

    #[test]
    fn the_text_does_not_depend_on_which_run_ended_first() {
        let one = tally(&[(0, Verdict::Pass), (1, Verdict::Fail), (2, Verdict::Fail)]);
        let other = tally(&[(2, Verdict::Fail), (0, Verdict::Pass), (1, Verdict::Fail)]);
        let text = one.text("spin under scx", "0..3", 3);
        assert_eq!(text, other.text("spin under scx", "0..3", 3));
        assert_eq!(one.json("0..3", 3), other.json("0..3", 3));
        assert!(text.starts_with("FAIL  spin under scx"), "{text}");
        assert!(text.contains("3 runs, 1 passed, 2 failed"), "{text}");
        for line in [
            "exactly this run: run --seed 1",
            "exactly this run: replay ab",
            "its record: run --seed 2",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_sweep_that_was_cut_short_says_so() {
        let text = tally(&[(0, Verdict::Pass)]).text("t", "0..9", 9);
        assert!(text.contains("1 of 9 runs"), "{text}");
        let text = tally(&[(0, Verdict::Pass)]).text("t", "0", 1);
        assert!(text.contains("seeds 0: 1 run, 1 passed"), "{text}");
        assert_eq!(Tally::default().verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn the_findings_that_are_kept_are_bounded_and_the_rest_is_counted() {
        let runs: Vec<_> = (0..MAX_FINDINGS as u64 + 5)
            .map(|seed| (seed, Verdict::Fail))
            .collect();
        let tally = tally(&runs);
        assert_eq!(tally.runs(), runs.len() as u64);
        assert_eq!(tally.json("", 0)["findings_left_out"], 5);
    }
}
