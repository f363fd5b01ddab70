//! Texts that must fit a number of bytes.

/// The longest beginning of `text` with at most so many bytes; no character is cut apart.
pub fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_character_is_cut_apart() {
        let check =
            |text: &str, most: usize, expect: &str| assert_eq!(cut(text, most), expect, "{text} {most}");
        check("abc", 3, "abc");
        check("abc", 2, "ab");
        check("abc", 0, "");
        check("", 4, "");
        for (text, len) in [("é", 2), ("€", 3), ("\u{feff}", 3), ("🦀", 4)] {
            check(text, len, text);
            for most in 0..len {
                check(text, most, "");
            }
        }
    }

    proptest! {
        #[test]
        fn at_most_three_bytes_of_room_are_left(text: String, most in 0usize..64) {
            let short = cut(&text, most);
            prop_assert!(text.starts_with(short));
            prop_assert!(short.len() <= most);
            prop_assert!(short.len() == text.len() || short.len() + 4 > most);
        }
    }
}
