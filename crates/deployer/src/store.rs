//! Bundles in GridFS: written by the application manager, read here.

use common::bulk::BUNDLES_BUCKET;
use common::messages::application::BundleRef;
use futures_util::AsyncReadExt;
use mongodb::Database;
use mongodb::error::ErrorKind;
use mongodb::options::GridFsBucketOptions;
use sha2::{Digest, Sha256};

/// Why a bundle can not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The store does not answer.
    #[error("mongodb: could not read the bundle: {0}")]
    Away(String),
    /// It is not there.
    #[error("the bundle is not in the store; upload it again")]
    Missing,
    /// It is not what was uploaded.
    #[error("the bundle in the store is not the one that was uploaded (its SHA-256 differs); upload it again")]
    Changed,
}

/// The bundles.
#[derive(Debug, Clone)]
pub(crate) struct Bundles(Database);

impl Bundles {
    /// Reads from the installation's database.
    pub(crate) fn new(mongo: &runtime::mongo::Mongo) -> Self {
        Self(mongo.database().clone())
    }

    /// Reads a bundle and checks that it is what was uploaded.
    pub(crate) async fn fetch(&self, bundle: &BundleRef) -> Result<Vec<u8>, BundleError> {
        let options = GridFsBucketOptions::builder()
            .bucket_name(BUNDLES_BUCKET.to_owned())
            .build();
        let bucket = self.0.gridfs_bucket(options);
        let mut stream = match bucket.open_download_stream_by_name(&bundle.sha256).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind.as_ref(), ErrorKind::GridFs(_)) => return Err(BundleError::Missing),
            Err(error) => return Err(BundleError::Away(error.to_string())),
        };
        let mut bytes = Vec::new();
        let limit = bundle.size_bytes.saturating_add(1);
        (&mut stream)
            .take(limit)
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| BundleError::Away(error.to_string()))?;
        if hex::encode(Sha256::digest(&bytes)) == bundle.sha256 {
            Ok(bytes)
        } else {
            Err(BundleError::Changed)
        }
    }
}
