//! application-manager.
fn main() {}
