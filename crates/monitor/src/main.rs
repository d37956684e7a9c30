//! monitor.
fn main() {}
