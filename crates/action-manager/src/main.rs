//! action-manager.
fn main() {}
