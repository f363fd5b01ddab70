//! Command lines as a shell reads them back.

/// `program` with these arguments.
pub(crate) fn line(program: &str, arguments: &[String]) -> String {
    arguments.iter().fold(program.to_owned(), |line, word| {
        format!("{line} {}", quoted(word))
    })
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
    fn words_are_quoted_where_a_shell_would_part_or_change_them() {
        let words = ["--group", "a:spin:8@0-2+5", "scx --x 3", "it's", ""].map(str::to_owned);
        assert_eq!(
            line("run", &words),
            r"run --group a:spin:8@0-2+5 'scx --x 3' 'it'\''s' ''"
        );
    }
}
