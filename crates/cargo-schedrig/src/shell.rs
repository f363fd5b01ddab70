//! Command lines as a shell reads them back.

use std::path::Path;

use schedrig::{Exactly, Record};

/// How this program was called: `cargo`, or the path of its file where cargo did not.
pub(crate) fn cargo() -> String {
    let by_cargo = std::env::var_os("CARGO").is_some();
    let path = std::env::current_exe().ok().filter(|_| !by_cargo);
    path.map_or("cargo".to_owned(), |path| quoted(&path.display().to_string()))
}

/// `cargo schedrig`, as it was called.
pub(crate) fn program() -> String {
    format!("{} schedrig", cargo())
}

/// The shortest command that replays the record in this directory.
pub(crate) fn replay(place: &Path, record: &Record) -> String {
    format!(
        "{} replay {}",
        program(),
        quoted(&schedrig::handle(place, record))
    )
}

/// `program` with these arguments.
pub(crate) fn line(program: &str, arguments: &[String]) -> String {
    arguments.iter().fold(program.to_owned(), |line, word| {
        format!("{line} {}", quoted(word))
    })
}

/// Options that say what a run is and that an exact command says in its own words, and those for scripts.
const REPLACED: [&str; 5] = ["--kernel", "--scheduler", "--seed", "--repeat", "--records"];

/// The command of a run with these arguments, so that it makes exactly this run wherever it is typed.
pub(crate) fn exactly(program: &str, arguments: &[String], run: &Exactly<'_>) -> String {
    let Exactly {
        seed,
        kernel,
        scheduler,
    } = run;
    let mut words = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        let (option, value) = word.split_once('=').unwrap_or((word, ""));
        if word == "--json" {
            continue;
        }
        if !REPLACED.contains(&option) {
            // A scenario's file is found from everywhere.
            let file = Some(Path::new(word)).filter(|path| word.ends_with(".toml") && path.is_file());
            let absolute = file.and_then(|path| std::path::absolute(path).ok());
            words.push(absolute.map_or_else(|| word.clone(), |path| path.display().to_string()));
        } else if value.is_empty() {
            arguments.next();
        }
    }
    let exact = [
        ("--kernel", kernel.to_string()),
        ("--scheduler", scheduler.to_string()),
        ("--seed", seed.to_string()),
    ];
    words.extend(
        exact
            .into_iter()
            .flat_map(|(option, value)| [option.to_owned(), value]),
    );
    line(program, &words)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_command_names_kernel_and_program_whatever_was_typed() {
        let words =
            "schedrig run --json --kernel apt:sid --scheduler=./scx --group a:spin:2 --seed 3 --for 1s";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let run = Exactly {
            seed: 7,
            kernel: &"apt:sid=7.2.13-1".parse().unwrap(),
            scheduler: &"/bin/scx --x 3".parse().unwrap(),
        };
        assert_eq!(
            exactly("cargo", &words, &run),
            "cargo schedrig run --group a:spin:2 --for 1s --kernel apt:sid=7.2.13-1 --scheduler '/bin/scx --x 3' --seed 7"
        );
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_part_or_change_them() {
        let words = ["--group", "a:spin:8@0-2+5", "scx --x 3", "it's", ""].map(str::to_owned);
        assert_eq!(
            line("run", &words),
            r"run --group a:spin:8@0-2+5 'scx --x 3' 'it'\''s' ''"
        );
    }
}
