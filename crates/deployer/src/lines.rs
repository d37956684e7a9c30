//! Text in pieces → lines as the log has them. Pure.

/// Longest line in bytes; longer ones are split.
pub(crate) const LONGEST: usize = 8 * 1024;

/// What is said while an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A piece of output.
    Output(String),
    /// A line of the platform's own.
    Remark(String),
}

/// Puts pieces of output together into lines.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: String,
}

impl Splitter {
    /// Takes a piece; returns the lines that are complete.
    pub(crate) fn push(&mut self, piece: &str) -> Vec<String> {
        self.rest.push_str(piece);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            lines.extend(clean(&line));
        }
        lines
    }

    /// Returns what is left.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        clean(&std::mem::take(&mut self.rest))
    }
}

/// Makes one printed line fit for the log: no control characters, what a progress bar overwrote left out, split where it is
/// too long. An empty line is one line; a line of nothing but overwritten progress is none.
pub(crate) fn clean(line: &str) -> Vec<String> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let shown = line.rsplit('\r').next().unwrap_or(line);
    split(&printable(shown))
}

/// Drops escape sequences (colours, cursor movements) and control characters other than the tab.
fn printable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next_if_eq(&'[').is_some() {
                while characters
                    .next()
                    .is_some_and(|next| !('\u{40}'..='\u{7e}').contains(&next))
                {}
            }
        } else if character == '\t' || !character.is_control() {
            kept.push(character);
        }
    }
    kept
}

fn split(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > LONGEST {
        let mut end = LONGEST;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push("Step 1"), Vec::<String>::new());
        assert_eq!(splitter.push("/2 : FROM x\n ---> "), ["Step 1/2 : FROM x"]);
        assert_eq!(splitter.push("abc\r\n\nend"), [" ---> abc", ""]);
        assert_eq!(splitter.finish(), ["end"]);
    }

    #[test]
    fn progress_bars_colours_and_controls_are_left_out() {
        assert_eq!(clean(" 10%\r 50%\r100%\n"), ["100%"]);
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\tx\u{7}\u{0}\n"), ["red\tx"]);
        assert_eq!(clean("\u{1b}[31"), [""]);
        assert_eq!(clean("done\r\n"), ["done"]);
    }

    #[test]
    fn long_lines_are_split_between_characters() {
        let parts = clean(&"ä".repeat(LONGEST));
        assert_eq!(parts.iter().map(String::len).sum::<usize>(), 2 * LONGEST);
        assert!(parts.iter().all(|part| part.len() <= LONGEST));
    }
}
