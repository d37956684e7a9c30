//! sensor-manager.
fn main() {}
