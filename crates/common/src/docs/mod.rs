//! What `docs/` says of the types, made of the types, so that it cannot say anything else. A test compares each file, and
//! writes it when `UPDATE_DOCS` is set.

mod config;
mod flowchart;
mod manifest;
mod picture;
mod tables;
mod topics;

use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_default()
}

/// Compares a file with what it should hold.
pub(crate) fn compare(name: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(name), text).unwrap();
    }
    assert!(
        read(name) == text,
        "docs/{name} is not current: run `UPDATE_DOCS=1 cargo test -p common`"
    );
}

/// Compares what lies between two marks of a page that people write.
fn compare_part(name: &str, mark: &str, text: &str) {
    let (begin, end) = (format!("<!-- {mark}:begin -->"), format!("<!-- {mark}:end -->"));
    let page = read(name);
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    compare(name, &format!("{before}{begin}\n\n{text}\n{end}{after}"));
}
