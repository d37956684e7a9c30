//! Which names of files a bundle may have. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::rules::Problem;
use common::rules::problem::shown;

/// Longest path, in bytes.
const LONGEST: usize = 255;
/// Deepest path.
const DEEPEST: usize = 16;
/// More problems than this are not worth a person's time.
const MOST_PROBLEMS: usize = 20;

/// Checks every name, and all of them together.
pub(super) fn check_all(names: &[Vec<u8>]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = names.iter().filter_map(|name| check(name).err()).collect();
    problems.extend(collisions(names));
    problems.truncate(MOST_PROBLEMS);
    problems
}

/// Checks one name, as it stands in the zip.
fn check(raw: &[u8]) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(raw);
    let refuse = |found: String, allowed: &str| {
        // A name of kilobytes is no path to point at.
        Err(Problem::new(shown(&text).trim_matches('`'), found, allowed))
    };
    if raw.is_empty() {
        return Err(Problem::new(
            "(a file without a name)",
            "an empty name",
            "a path inside the zip",
        ));
    }
    if std::str::from_utf8(raw).is_err() {
        return refuse("a name that is no UTF-8".to_owned(), "names in UTF-8");
    }
    if raw.len() > LONGEST {
        return refuse(format!("a name of {} bytes", raw.len()), "at most 255 bytes");
    }
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        return refuse(
            format!("the character {:?} in its name", control),
            "printable characters",
        );
    }
    if text.contains('\\') {
        return refuse("a backslash in its name".to_owned(), "`/` between folders");
    }
    if text.starts_with('/') {
        return refuse("an absolute path".to_owned(), "a path inside the zip");
    }
    if text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic() {
        return refuse("the drive of a Windows path".to_owned(), "a path inside the zip");
    }
    let path = text.strip_suffix('/').unwrap_or(&text);
    let parts: Vec<&str> = path.split('/').collect();
    if parts.contains(&"..") {
        return refuse("`..`, which leads out of the zip".to_owned(), "a path inside the zip");
    }
    if parts.iter().any(|part| part.is_empty() || *part == ".") {
        return refuse(
            "an empty part or `.` in its path".to_owned(),
            "a plain path such as lib/rules.py",
        );
    }
    if parts.len() > DEEPEST {
        return refuse(format!("{} folders deep", parts.len()), "at most 16 levels");
    }
    if let Some(part) = parts.iter().find(|part| reserved(part)) {
        return refuse(format!("{}, which is a device on Windows", shown(part)), "another name");
    }
    Ok(())
}

fn reserved(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).to_ascii_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|number| number.len() == 1 && number.as_bytes()[0].is_ascii_digit())
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// Names that are the same, also where case does not count, and files that are folders at the same time.
fn collisions(names: &[Vec<u8>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for name in names {
        let name = String::from_utf8_lossy(name).into_owned();
        let path = name.strip_suffix('/').unwrap_or(&name).to_lowercase();
        for (index, _) in path.match_indices('/') {
            folders.insert(path[..index].to_owned());
        }
        if !name.ends_with('/') {
            files.insert(path.clone());
        }
        if let Some(other) = seen.insert(path, name.clone()) {
            let found = if other == name {
                "it twice".to_owned()
            } else {
                format!("also {}", shown(&other))
            };
            problems.push(Problem::new(
                shown(&name).trim_matches('`'),
                found,
                "each name once, also when case does not count",
            ));
        }
    }
    let both = files.intersection(&folders);
    problems.extend(both.map(|path| {
        Problem::new(
            shown(path).trim_matches('`'),
            "a file that is also a folder",
            "one of them",
        )
    }));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::rules::problem::listed;

    #[test]
    fn ordinary_names_pass() {
        let names = [
            "app.json",
            "lib/",
            "lib/rules.py",
            "a/b/c.txt",
            "größe.py",
            ".hidden",
            "console.py",
            "common/a",
        ];
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        assert_eq!(check_all(&names), []);
    }

    #[test]
    fn others_do_not() {
        let long = "x".repeat(300);
        let deep = "d/".repeat(17) + "f";
        let table: [(&[u8], &str); 18] = [
            (b"", "an empty name"),
            (b"a\xff", "no UTF-8"),
            (long.as_bytes(), "a name of 300 bytes"),
            (b"a\0b", "the character '\\0'"),
            (b"a\nb", "the character '\\n'"),
            (b"a\\b", "a backslash"),
            (b"..\\b", "a backslash"),
            (b"/etc/passwd", "an absolute path"),
            (b"C:/x", "the drive"),
            (b"c:x", "the drive"),
            (b"../x", "`..`"),
            (b"a/../../x", "`..`"),
            (b"a/..", "`..`"),
            (b"a//b", "an empty part"),
            (b"./a", "an empty part or `.`"),
            (deep.as_bytes(), "18 folders deep"),
            (b"lib/NUL.txt", "`NUL.txt`, which is a device"),
            (b"com1", "`com1`, which is a device"),
        ];
        for (name, expected) in table {
            let said = listed(&check_all(&[name.to_vec()]));
            assert!(said.contains(expected), "{name:?}: {said}");
        }
    }

    #[test]
    fn names_do_not_collide() {
        let table = [
            (vec!["a", "a"], "a: found it twice"),
            (vec!["A.py", "a.py"], "a.py: found also `A.py`"),
            (vec!["a", "a/"], "a/: found also `a`"),
            (vec!["a", "a/b"], "a: found a file that is also a folder"),
            (vec!["A", "a/b"], "a: found a file that is also a folder"),
        ];
        for (names, expected) in table {
            let raw: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            let said = listed(&check_all(&raw));
            assert!(said.contains(expected), "{names:?}: {said}");
        }
    }
}
