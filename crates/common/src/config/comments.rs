//! Comments in `config.json`: `//` to the end of the line, outside of strings. Pure.

/// Returns the text with blanks in place of its comments, so that lines and columns stay what they are.
pub(super) fn blanked(text: &str) -> String {
    let (mut plain, mut in_string, mut in_comment, mut escaped) =
        (String::with_capacity(text.len()), false, false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        in_comment &= letter != '\n';
        in_comment |= !in_string && letter == '/' && letters.peek() == Some(&'/');
        if in_comment {
            plain.push(' ');
            continue;
        }
        if letter == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && letter == '\\' && !escaped;
        plain.push(letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::blanked;

    #[test]
    fn only_comments_become_blanks() {
        let blanks = |count| " ".repeat(count);
        for (text, expected) in [
            ("{}", "{}".to_owned()),
            ("// a\n{} // b", format!("{}\n{{}} {}", blanks(4), blanks(4))),
            (r#"{"a": "http://x"}"#, r#"{"a": "http://x"}"#.to_owned()),
            (r#"{"a\"//": 1} // "b""#, format!(r#"{{"a\"//": 1}} {}"#, blanks(6))),
            (r#""\\" //"#, format!(r#""\\" {}"#, blanks(2))),
            ("1 / 2", "1 / 2".to_owned()),
        ] {
            assert_eq!(blanked(text), expected, "{text}");
        }
    }
}
