//! Backends are named in one file.
//!
//! A backend is a crate whose name begins with `machine-`. What uses machines sees `dyn Backend` and `dyn Machine`; the
//! one file that chooses is [`WIRING`]. Tests and xtask, which looks at everything from above, may name backends too.

use std::path::{Component, Path};

use super::Finding;

/// The file that chooses the backend of a run.
const WIRING: &str = "crates/schedrig/src/backend.rs";

/// The names by which code knows the backends among these crates, with the directories of those.
pub(crate) fn names<'c>(crates: impl Iterator<Item = &'c str>) -> Vec<(String, String)> {
    crates
        .filter(|name| name.starts_with("machine-"))
        .map(|name| (name.to_owned(), name.replace('-', "_")))
        .collect()
}

/// What breaks the rule; `backends` as of [`names`].
pub(crate) fn check(file: &Path, text: &str, backends: &[(String, String)]) -> Vec<Finding> {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let mut findings = Vec::new();
    for (directory, name) in backends.iter().filter(|_| is_rust && file != Path::new(WIRING)) {
        let is_exempt = |component: Component<'_>| {
            let component = component.as_os_str();
            component == "tests" || component == "xtask" || component == directory.as_str()
        };
        if file.components().any(is_exempt) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if line.contains(name.as_str()) {
                let at = format!("{}:{}", file.display(), number + 1);
                let what =
                    format!("names the backend {name}; only {WIRING} does, the rest uses machine::Backend");
                findings.push(Finding::error(at, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_in_the_wiring_file_in_tests_and_by_itself() {
        let crates = ["machine", "machine-tcg", "session"];
        let backends = names(crates.into_iter());
        assert_eq!(backends, [("machine-tcg".to_owned(), "machine_tcg".to_owned())]);
        let check = |file: &str, text: &str, expect: &[&str]| {
            let found = check(Path::new(file), text, &backends);
            let at: Vec<_> = found.iter().map(|finding| finding.at.as_str()).collect();
            assert_eq!(at, expect, "{file}: {text}");
        };
        let text = "// one\nuse schedrig_machine_tcg::TcgMachine;\n";
        check(
            "crates/schedrig/src/live.rs",
            text,
            &["crates/schedrig/src/live.rs:2"],
        );
        check(
            "crates/session/src/lib.rs",
            text,
            &["crates/session/src/lib.rs:2"],
        );
        check("crates/session/src/lib.rs", "use machine::Machine;\n", &[]);
        check(WIRING, text, &[]);
        check("crates/machine-tcg/src/lib.rs", text, &[]);
        check("crates/machine-tcg/tests/e2e/calls.rs", text, &[]);
        check("crates/schedrig/tests/e2e/main.rs", text, &[]);
        check("xtask/bench/boot.rs", text, &[]);
        check("ARCHITECTURE.md", text, &[]);
    }
}
