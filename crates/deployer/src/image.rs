//! The image of a version: its Dockerfile, its names, and how two builds are known to be the same. Pure.

use std::fmt::Write as _;

use common::manifest::Manifest;
use sha2::{Digest, Sha256};

/// Label that holds the fingerprint of a build.
pub(crate) const FINGERPRINT_LABEL: &str = "platform.build";

/// How a bundle's `requirements.txt` is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirements {
    /// There is none.
    None,
    /// It stands alone: installed before the rest is copied, so that the next version with the same needs is built faster.
    Alone,
    /// It refers to other files of the bundle.
    WithFiles,
}

/// Looks at the text of a `requirements.txt`.
pub(crate) fn requirements(text: Option<&str>) -> Requirements {
    let Some(text) = text else { return Requirements::None };
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    if lines.peek().is_none() {
        return Requirements::None;
    }
    let refers = |line: &str| {
        let option = line.starts_with('-') && !line.starts_with("--hash");
        option || line.starts_with('.') || line.starts_with('/') || line.contains("file:")
    };
    if lines.any(refers) {
        Requirements::WithFiles
    } else {
        Requirements::Alone
    }
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe<'a> {
    pub(crate) base: &'a str,
    pub(crate) manifest: &'a Manifest,
    pub(crate) requirements: Requirements,
    /// Whether the context has `ca.pem`.
    pub(crate) ca_bundle: bool,
}

/// Writes the Dockerfile.
pub(crate) fn dockerfile(recipe: &Recipe<'_>) -> String {
    let mut text = format!(
        "FROM {}\nUSER 10001:10001\nWORKDIR /app\nCOPY sdk/ /opt/iot-sdk/\nENV PYTHONPATH=/opt/iot-sdk\n",
        recipe.base
    );
    let certificate = if recipe.ca_bundle {
        "PIP_CERT=/tmp/build/ca.pem "
    } else {
        ""
    };
    let pip = |file: &str| format!("RUN {certificate}python -m pip install --no-cache-dir -r {file}\n");
    if recipe.ca_bundle && recipe.requirements != Requirements::None {
        text.push_str("COPY ca.pem /tmp/build/ca.pem\n");
    }
    match recipe.requirements {
        Requirements::None => text.push_str("COPY bundle/ /app/\n"),
        Requirements::Alone => {
            text.push_str("COPY bundle/requirements.txt /tmp/build/requirements.txt\n");
            text.push_str(&pip("/tmp/build/requirements.txt"));
            text.push_str("COPY bundle/ /app/\n");
        }
        Requirements::WithFiles => {
            text.push_str("COPY bundle/ /app/\n");
            text.push_str(&pip("requirements.txt"));
        }
    }
    let start = serde_json::to_string(&recipe.manifest.start).unwrap_or_default();
    // Writing to a string can not fail.
    let _infallible = write!(text, "ENTRYPOINT []\nCMD {start}\n");
    text
}

/// Hash of everything that goes into an image: an image that carries it need not be built again.
pub(crate) fn fingerprint(dockerfile: &str, base_id: &str, bundle_sha256: &str, sdk_sha256: &str) -> String {
    let mut hash = Sha256::new();
    for part in [dockerfile, base_id, bundle_sha256, sdk_sha256] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// Name of an image without tag.
pub(crate) fn repository(registry: &str, installation: &str, application: &str) -> String {
    format!("{registry}/{installation}/{application}")
}

/// Tag of a version; `+` of build metadata is not allowed in tags.
pub(crate) fn tag(number: &str) -> String {
    number.replace('+', "_").chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tests::spec;

    #[test]
    fn dockerfiles() {
        let manifest = spec().version.manifest;
        let mut all = String::new();
        for (requirements, ca_bundle) in [
            (Requirements::None, true),
            (Requirements::Alone, true),
            (Requirements::Alone, false),
            (Requirements::WithFiles, true),
        ] {
            let recipe = Recipe {
                base: "iot/python:3",
                manifest: &manifest,
                requirements,
                ca_bundle,
            };
            all.push_str(&format!(
                "# {requirements:?}, CA bundle: {ca_bundle}\n{}\n",
                dockerfile(&recipe)
            ));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_start_command_can_not_break_out_of_its_line() {
        let mut manifest = spec().version.manifest;
        manifest.start = vec!["python".to_owned(), "a\"]\nUSER root\n".to_owned()];
        let recipe = Recipe {
            base: "b",
            manifest: &manifest,
            requirements: Requirements::None,
            ca_bundle: false,
        };
        assert!(!dockerfile(&recipe).contains("\nUSER root"));
    }

    #[test]
    fn requirements_that_refer_to_files() {
        for (text, expected) in [
            (None, Requirements::None),
            (Some("# nothing\n\n"), Requirements::None),
            (Some("requests==2.32\nnumpy>=2\n"), Requirements::Alone),
            (Some("-r more.txt\n"), Requirements::WithFiles),
            (Some("./wheels/a.whl\n"), Requirements::WithFiles),
            (Some("a @ file:///app/a.whl\n"), Requirements::WithFiles),
        ] {
            assert_eq!(requirements(text), expected, "{text:?}");
        }
    }

    #[test]
    fn fingerprints_differ_in_each_part() {
        let plain = fingerprint("a", "b", "c", "d");
        assert_ne!(plain, fingerprint("ab", "", "c", "d"));
        assert_ne!(plain, fingerprint("a", "b", "c", "e"));
        assert_eq!(tag("1.0.0-rc.1+x.2"), "1.0.0-rc.1_x.2");
    }
}
