//! deployer.
fn main() {}
