//! What came out of a campaign.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{Entry, Scenario, scenarios};

/// What came out of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    verdict: String,
    /// The checks that did not pass, each with its reason.
    findings: Vec<(String, String)>,
    kernel: String,
    replay: String,
}

/// What came out of the runs so far, an entry after the other.
#[derive(Debug, Default)]
pub(crate) struct Results {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    entry: String,
    scenario: &'static str,
    expect: &'static str,
    outcome: Outcome,
}

impl Outcome {
    /// From the JSON of `cargo schedrig run`.
    pub(crate) fn of(summary: &Value) -> Outcome {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let checks = summary["checks"].as_array().into_iter().flatten();
        let bad = checks.filter(|check| matches!(check["verdict"].as_str(), Some("fail" | "inconclusive")));
        Outcome {
            verdict: text(&summary["verdict"]),
            findings: bad
                .map(|check| (text(&check["check"]), text(&check["reason"])))
                .collect(),
            kernel: text(&summary["kernel"]["release"]),
            replay: text(&summary["replay"]),
        }
    }
}

impl Results {
    /// Adds a run, and tells it in a few lines.
    pub(crate) fn add(&mut self, entry: &Entry, scenario: &Scenario, outcome: Outcome) -> String {
        let row = Row {
            entry: entry.name(),
            scenario: scenario.name,
            expect: entry.expect,
            outcome,
        };
        let mark = if row.is_expected() {
            "as expected"
        } else {
            "UNEXPECTED"
        };
        let mut text = format!(
            "{mark}  {:12}  {}  {}",
            row.outcome.verdict, row.entry, row.scenario
        );
        for (check, reason) in &row.outcome.findings {
            let _ = write!(text, "\n    {check}: {reason}");
        }
        if !row.is_expected() {
            let _ = write!(text, "\n    {}", row.outcome.replay);
        }
        self.rows.push(row);
        text
    }

    /// How many runs there were.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many came out as they should not.
    pub(crate) fn unexpected(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_expected()).count()
    }

    /// A page for docs.
    pub(crate) fn page(&self) -> String {
        let mut page = "# The campaign\n\nWritten by `cargo xtask campaign --write`: published schedulers and EEVDF under the default checks. `pass` is to come\n\
                        out everywhere, but where a fault is known ([findings](findings/README.md)).\n\n\
                        | scheduler | kernel | scenario | verdict | expected | checks that did not pass |\n\
                        |---|---|---|---|---|---|\n"
            .to_owned();
        for Row {
            entry,
            scenario,
            expect,
            outcome,
        } in &self.rows
        {
            let scheduler = entry.split(" on ").next().unwrap_or_default();
            let findings: Vec<&str> = outcome.findings.iter().map(|(check, _)| check.as_str()).collect();
            let _ = writeln!(
                page,
                "| {scheduler} | {} | {scenario} | {} | {expect} | {} |",
                outcome.kernel,
                outcome.verdict,
                findings.join(", ")
            );
        }
        page += "\n| scenario | arguments of `cargo schedrig run` |\n|---|---|\n";
        for scenario in scenarios() {
            let _ = writeln!(page, "| {} | `{}` |", scenario.name, scenario.arguments);
        }
        page
    }
}

impl Row {
    fn is_expected(&self) -> bool {
        self.outcome.verdict == self.expect
    }
}
