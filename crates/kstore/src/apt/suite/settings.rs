//! apt's configuration directory for one suite: the directories it expects, one source, and `apt.conf`.

use std::fs;

use super::Suite;
use crate::apt::{AptError, machine};

impl Suite<'_> {
    /// Creates the state directory's folders and writes the source and `apt.conf`.
    pub(super) fn prepare(&self) -> Result<(), AptError> {
        for directory in ["sources", "lists/partial", "cache/archives/partial"] {
            let path = self.state.join(directory);
            fs::create_dir_all(&path).map_err(AptError::file("creating", &path))?;
        }
        let source = machine::source_for(self.programs, &self.request.suite)?;
        let stanza = source.stanza_for(&self.request.suite, self.request.architecture());
        self.write("sources/suite.sources", &stanza)?;
        let settings = settings(&self.state.display().to_string(), self.request.architecture());
        self.write("apt.conf", &settings)
    }

    /// The archive's address in the written source, for messages.
    pub(super) fn mirror(&self) -> String {
        let written = fs::read_to_string(self.state.join("sources/suite.sources")).unwrap_or_default();
        let uri = written.lines().find_map(|line| line.strip_prefix("URIs: "));
        uri.unwrap_or("the machine's mirror").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), AptError> {
        let path = self.state.join(name);
        fs::write(&path, text).map_err(AptError::file("writing", &path))
    }
}

/// The text of `apt.conf`. apt reads it after the machine's own configuration; the `#clear` lines undo settings that
/// would change the machine or fetch unused indexes.
fn settings(state: &str, architecture: Option<&str>) -> String {
    let mut settings = format!(
        "Dir::State \"{state}\";\n\
         Dir::State::lists \"lists/\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{state}/cache\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{state}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         #clear APT::Update;\n\
         #clear Acquire::IndexTargets::deb::DEP-11;\n\
         #clear Acquire::IndexTargets::deb::Translations;\n\
         #clear Acquire::IndexTargets::deb::CNF;\n\
         APT::Update::Error-Mode \"any\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Status-Fd \"1\";\n\
         Acquire::Retries \"3\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n"
    );
    if let Some(architecture) = architecture {
        settings.push_str(&format!(
            "#clear APT::Architectures;\nAPT::Architecture \"{architecture}\";\n"
        ));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_inside_the_state_directory() {
        let text = settings("/s", None);
        let directories: Vec<_> = text.lines().filter(|line| line.starts_with("Dir::")).collect();
        assert!(!directories.is_empty());
        for line in directories {
            assert!(
                ["\"/s", "\"/dev/null\"", "\"lists/\"", "\"pkgcache.bin\""]
                    .iter()
                    .any(|inside| line.contains(inside)),
                "{line}"
            );
        }
    }

    #[test]
    fn the_architecture_is_set_only_when_the_flavour_names_one() {
        assert!(!settings("/s", None).contains("APT::Architecture"));
        let text = settings("/s", Some("arm64"));
        assert!(
            text.ends_with("#clear APT::Architectures;\nAPT::Architecture \"arm64\";\n"),
            "{text}"
        );
    }
}
