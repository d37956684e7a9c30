//! Puts bundles where the application manager puts them.

use mongodb::options::GridFsBucketOptions;
use runtime::mongo::Mongo;

/// Stores a bundle under its hash.
pub(crate) async fn put(mongo: &Mongo, sha256: &str, bytes: &[u8]) {
    let options = GridFsBucketOptions::builder()
        .bucket_name(common::bulk::BUNDLES_BUCKET.to_owned())
        .build();
    let bucket = mongo.database().gridfs_bucket(options);
    let mut upload = bucket.open_upload_stream(sha256).await.unwrap();
    futures_util::AsyncWriteExt::write_all(&mut upload, bytes)
        .await
        .unwrap();
    futures_util::AsyncWriteExt::close(&mut upload).await.unwrap();
}
