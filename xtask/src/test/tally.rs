//! Counting tests from the output of test programs, and keeping why they failed.

/// The tests by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
    /// What failed tests said, as far as it was printed.
    pub(crate) failures: Vec<Failure>,
    /// Is the output of the last of them being read?
    reading: bool,
}

/// A failed test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its name.
    pub(crate) test: String,
    /// What it printed from the panic on.
    pub(crate) said: Vec<String>,
}

/// The lines of a failure that are kept, and the characters of each.
const MAX_LINES: usize = 30;
const MAX_LINE: usize = 300;

impl Tally {
    /// Takes a line of a test program's output.
    pub(crate) fn read(&mut self, line: &str) {
        self.count(line);
        let begins = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(test) = begins {
            let test = test.to_owned();
            self.failures.push(Failure {
                test,
                said: Vec::new(),
            });
            self.reading = true;
        } else if line == "failures:" || line == "stack backtrace:" || line.starts_with("note: run with") {
            self.reading = false;
        } else if let Some(failure) = self.failures.last_mut().filter(|_| self.reading)
            && (line.contains(" panicked at ") || !failure.said.is_empty())
            && failure.said.len() < MAX_LINES
        {
            failure.said.push(line.chars().take(MAX_LINE).collect());
        }
    }

    /// Adds the counts of a line, if it is the summary of a test program:
    /// `test result: ok. 34 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.04s`
    fn count(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        let count = |word: &str| {
            let part = rest
                .split(['.', ';'])
                .find_map(|part| part.trim().strip_suffix(word))?;
            part.trim().parse::<u64>().ok()
        };
        self.passed += count("passed").unwrap_or(0);
        self.failed += count("failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_summaries_of_test_programs_count() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 34 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.04s",
            "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test tidy::tests::counts ... ok",
            "100 passed; 100 failed",
            "test result: ",
            "test result: ok. x passed",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.failed), (37, 2));
    }

    #[test]
    fn what_a_failed_test_said_is_kept_from_its_panic_on() {
        let output = "test a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\nnoise\n\
            \nthread 'a::b' (7) panicked at src/a.rs:3:5:\nleft and right\nnote: run with `RUST_BACKTRACE=1`\n\
            more\n---- c stdout ----\nthread 'c' (8) panicked at src/c.rs:1:1:\nno\n\nfailures:\n    a::b\n    c\n";
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        let said: Vec<_> = tally
            .failures
            .iter()
            .map(|failure| failure.said.join("|"))
            .collect();
        assert_eq!(
            said,
            [
                "thread 'a::b' (7) panicked at src/a.rs:3:5:|left and right",
                "thread 'c' (8) panicked at src/c.rs:1:1:|no|"
            ]
        );
        assert_eq!(tally.failures[0].test, "a::b");
    }
}
