//! Embeds the built console (`console/dist`). It is built by `bootstrap` or by hand, never here: a compiler that starts npm
//! surprises everybody. A release build without a fresh console fails; a debug build serves a page that says so.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the console is made of, beside `src` and `public`.
const SOURCES: [&str; 7] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
];
const REMEDY: &str = "run `npm ci && npm run build` in crates/application-manager/console (`bootstrap up` does it)";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(console_embedded)");
    let console = PathBuf::from("console");
    let problem = problem(&console);
    watch(&console);
    match problem {
        None => {
            // Debug builds, too: the account that the program runs under may not read where the sources lie.
            memory_serve::load_names_directories([("console", console.join("dist"))], true);
            println!("cargo::rustc-cfg=console_embedded");
            println!("cargo::rustc-env=CONSOLE_PROBLEM=");
            Ok(())
        }
        Some(problem) if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") => {
            Err(format!("the console is {problem}: {REMEDY}"))
        }
        Some(problem) => {
            println!("cargo::rustc-env=CONSOLE_PROBLEM=The console is {problem}: {REMEDY}, then build again.");
            Ok(())
        }
    }
}

/// Says what is wrong with the built console.
fn problem(console: &Path) -> Option<String> {
    let Some(built) = modified(&console.join("dist/index.html")) else {
        return Some("not built".to_owned());
    };
    let newest = SOURCES.iter().filter_map(|source| newest(&console.join(source))).max();
    newest
        .filter(|(changed, _)| *changed > built)
        .map(|(_, path)| format!("older than its source {}", path.display()))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// Finds the file that was changed last, below a folder or the file itself.
fn newest(path: &Path) -> Option<(SystemTime, PathBuf)> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).ok()?;
        return entries.flatten().filter_map(|entry| newest(&entry.path())).max();
    }
    modified(path).map(|changed| (changed, path.to_owned()))
}

/// Runs again when something changes. Paths that are not there would make Cargo run this each time, so the folder that
/// they will appear in is watched instead.
fn watch(console: &Path) {
    if !console.is_dir() {
        println!("cargo::rerun-if-changed=.");
        return;
    }
    if !console.join("dist/index.html").exists() {
        println!("cargo::rerun-if-changed=console");
        return;
    }
    for path in SOURCES
        .iter()
        .map(|source| console.join(source))
        .chain([console.join("dist")])
    {
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}
