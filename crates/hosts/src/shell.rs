//! Words for a shell.

/// A word that the shell takes as it is.
pub fn quote(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@=+,".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A function of the shell: whether any of some programs (by name) or files (by path, `*` allowed) is there.
pub(crate) const SEEN: &str = r#"
seen() { # any of
  for thing in "$@"; do
    case "$thing" in
      *'*'*) compgen -G "$thing" >/dev/null && return 0 ;;
      /*) [ -e "$thing" ] && return 0 ;;
      *) command -v "$thing" >/dev/null && return 0 ;;
    esac
  done
  return 1
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_reads_what_was_meant() {
        for text in [
            "plain",
            "",
            "two words",
            "it's",
            "$HOME `x` \"y\" \\ \n new line",
            "-n",
            "ü*?",
        ] {
            let said = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quote(text))])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8(said.stdout).unwrap(),
                text.trim_start_matches("-n").to_owned() + if text == "-n" { "-n" } else { "" }
            );
        }
    }
}
