//! Whether a manifest can be run.
