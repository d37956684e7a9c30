//! Checked bundles in GridFS: written here, read by the deployer (`common::bulk`).

mod store;

pub use store::Bundles;
