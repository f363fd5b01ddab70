//! EEVDF's settings.

use std::path::Path;
use std::{fs, io};

/// The mode by which EEVDF weighs cgroups: the word in parentheses of debugfs' `sched/cgroup_mode`, which Linux has from
/// 7.3 on (`sched_cgroup_show`, `kernel/sched/debug.c`). `None` where there is no such file.
pub(crate) fn cgroup_mode(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(chosen(&text).to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The chosen one of several words; a text that marks none is given whole.
fn chosen(text: &str) -> &str {
    let marked = text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    marked.map_or(text.trim(), |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_word_is_the_one_in_parentheses() {
        assert_eq!(chosen("up smp (concur) max tasks\n"), "concur");
        assert_eq!(chosen("smp\n"), "smp");
    }

    #[test]
    fn a_kernel_without_modes_has_none() {
        assert_eq!(cgroup_mode(Path::new("/no/such/file")).unwrap(), None);
    }
}
