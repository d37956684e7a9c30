//! GridFS. A file's name is the SHA-256 of the zip; its id is that and the moment of the upload, so that two uploads of
//! the same zip at once can never mix their chunks, and what an aborted one left can be told by its age.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use common::Timestamp;
use common::bulk::BUNDLES_BUCKET;
use futures_util::{AsyncReadExt, AsyncWriteExt, TryStreamExt};
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use mongodb::gridfs::GridFsBucket;
use mongodb::options::GridFsBucketOptions;
use runtime::mongo::unavailable;
use runtime::{Context, Duty, StoreError};
use uuid::Uuid;

/// Pieces in which a file is read from the disk.
const PIECE: usize = 1024 * 1024;
/// An upload that takes longer was aborted.
const LONGEST_UPLOAD: Duration = Duration::from_secs(3600);

/// The bundles of an installation.
#[derive(Clone)]
pub struct Bundles {
    database: Database,
    bucket: GridFsBucket,
}

impl std::fmt::Debug for Bundles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundles")
            .field("database", &self.database.name())
            .finish_non_exhaustive()
    }
}

impl Bundles {
    /// Works on a database.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        let options = GridFsBucketOptions::builder()
            .bucket_name(BUNDLES_BUCKET.to_owned())
            .build();
        Self {
            database: database.clone(),
            bucket: database.gridfs_bucket(options),
        }
    }

    /// Stores a zip, once: a second upload of the same content is only looked up.
    ///
    /// # Errors
    /// When the store fails; what was written is removed, now or by [`Bundles::sweep`].
    pub async fn put(&self, sha256: &str, size_bytes: u64, zip: &File) -> Result<(), StoreError> {
        if self.has(sha256, size_bytes).await? {
            return Ok(());
        }
        let id = format!("{sha256}/{}", Uuid::now_v7());
        let mut upload = self
            .bucket
            .open_upload_stream(sha256)
            .id(Bson::String(id))
            .await
            .map_err(unavailable("begin a bundle"))?;
        let written = copy(zip, &mut upload).await;
        let closed = match written {
            Ok(count) if count == size_bytes => upload.close().await,
            Ok(count) => Err(std::io::Error::other(format!("{count} of {size_bytes} bytes are left"))),
            Err(error) => Err(error),
        };
        closed.map_err(|error| {
            // Dropping the stream removes its chunks.
            StoreError::Unavailable {
                operation: "store a bundle",
                message: error.to_string(),
            }
        })
    }

    /// Whether a zip is stored whole.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has(&self, sha256: &str, size_bytes: u64) -> Result<bool, StoreError> {
        let found = self
            .bucket
            .find_one(doc! { "filename": sha256 })
            .await
            .map_err(unavailable("find a bundle"))?;
        Ok(found.is_some_and(|file| file.length == size_bytes))
    }

    /// Reads a zip whole.
    ///
    /// # Errors
    /// When it is not there or the store fails.
    pub async fn get(&self, sha256: &str) -> Result<Vec<u8>, StoreError> {
        let operation = "read a bundle";
        let mut download = self
            .bucket
            .open_download_stream_by_name(sha256)
            .await
            .map_err(unavailable(operation))?;
        let mut bytes = Vec::new();
        download
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| StoreError::Unavailable {
                operation,
                message: error.to_string(),
            })?;
        Ok(bytes)
    }

    /// Removes chunks that an aborted upload left. Returns how many uploads had left something.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let chunks = self
            .database
            .collection::<Document>(&format!("{BUNDLES_BUCKET}.chunks"));
        let ids = chunks
            .distinct("files_id", doc! {})
            .await
            .map_err(unavailable("list chunks of bundles"))?;
        let files = self.bucket.find(doc! {}).await.map_err(unavailable("list bundles"))?;
        let whole: Vec<Bson> = files
            .map_ok(|file| file.id)
            .try_collect()
            .await
            .map_err(unavailable("list bundles"))?;
        let mut removed = 0;
        for id in ids.iter().filter(|id| !whole.contains(id) && is_aborted(id, now)) {
            chunks
                .delete_many(doc! { "files_id": id })
                .await
                .map_err(unavailable("remove chunks of bundles"))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Sweeps now and every hour for as long as the service lives.
    pub fn keep_clean(&self, context: &Context, duty: Duty) {
        let bundles = self.clone();
        context.spawn_until_shutdown("sweep of bundles", async move {
            loop {
                duty.taken().await;
                let pause = match bundles.sweep(Timestamp::now()).await {
                    Ok(0) => LONGEST_UPLOAD,
                    Ok(removed) => {
                        tracing::info!(removed, "removed what aborted uploads left");
                        LONGEST_UPLOAD
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the sweep of bundles waits");
                        Duration::from_secs(10)
                    }
                };
                tokio::time::sleep(pause).await;
            }
        });
    }
}

/// Copies a file piece by piece. Reads at places: the file's own position is shared with whoever else has the file.
async fn copy(zip: &File, upload: &mut mongodb::gridfs::GridFsUploadStream) -> std::io::Result<u64> {
    let mut count = 0;
    loop {
        let file = zip.try_clone()?;
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let read = file.read_at(&mut piece, count)?;
            piece.truncate(read);
            Ok::<_, std::io::Error>(piece)
        });
        let piece = reading.await.map_err(std::io::Error::other)??;
        if piece.is_empty() {
            return Ok(count);
        }
        upload.write_all(&piece).await?;
        count += piece.len() as u64;
    }
}

/// Whether an upload of that id is so old that it does not go on.
fn is_aborted(id: &Bson, now: Timestamp) -> bool {
    let begun = id
        .as_str()
        .and_then(|id| id.rsplit_once('/'))
        .and_then(|(_, moment)| Uuid::parse_str(moment).ok())
        .and_then(|moment| moment.get_timestamp())
        .map(|moment| moment.to_unix());
    let Some((seconds, _)) = begun else { return false };
    let age = now.millis() / 1000 - i64::try_from(seconds).unwrap_or(i64::MAX);
    age > i64::try_from(LONGEST_UPLOAD.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_uploads_count_as_aborted() {
        let id = |moment: Uuid| Bson::String(format!("abc/{moment}"));
        let now = Timestamp::now();
        assert!(!is_aborted(&id(Uuid::now_v7()), now));
        assert!(is_aborted(&id(Uuid::now_v7()), now.plus_millis(2 * 3_600_000)));
        assert!(!is_aborted(&Bson::Null, now), "another program's");
        assert!(!is_aborted(&id(Uuid::nil()), now));
    }

    /// A database of one's own on `IOT_TEST_MONGODB`.
    #[cfg(feature = "store-tests")]
    async fn database() -> Database {
        let uri = std::env::var("IOT_TEST_MONGODB").unwrap();
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        client.database(&format!("iot_test_{}", Uuid::now_v7().simple()))
    }

    #[cfg(feature = "store-tests")]
    fn zip(content: &[u8]) -> File {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[cfg(feature = "store-tests")]
    #[tokio::test]
    async fn on_a_server_a_bundle_is_stored_once_and_comes_back_whole() {
        let database = database().await;
        let bundles = Bundles::new(&database);
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let size = content.len() as u64;
        let file = zip(&content);
        let (one, two) = tokio::join!(bundles.put("abc", size, &file), bundles.put("abc", size, &file));
        one.unwrap();
        two.unwrap();
        bundles.put("abc", size, &file).await.unwrap();
        assert_eq!(bundles.get("abc").await.unwrap(), content);
        let files = database.collection::<Document>("bundles.files");
        let stored = files.count_documents(doc! { "filename": "abc" }).await.unwrap();
        assert!(
            (1..=2).contains(&stored),
            "two at once may both be stored, a third never is"
        );
        assert!(bundles.put("short", size + 1, &file).await.is_err());
        assert!(!bundles.has("short", size + 1).await.unwrap());
        assert!(bundles.get("none").await.is_err());
        database.drop().await.unwrap();
    }

    #[cfg(feature = "store-tests")]
    #[tokio::test]
    async fn on_a_server_what_an_aborted_upload_left_is_removed_later() {
        let database = database().await;
        let bundles = Bundles::new(&database);
        bundles.put("whole", 3, &zip(b"zip")).await.unwrap();
        let chunks = database.collection::<Document>("bundles.chunks");
        let left = doc! { "_id": "x", "files_id": format!("cut/{}", Uuid::now_v7()), "n": 0, "data": "" };
        chunks.insert_one(left).await.unwrap();
        assert_eq!(bundles.sweep(Timestamp::now()).await.unwrap(), 0, "it may still go on");
        let later = Timestamp::now().plus_millis(2 * 3_600_000);
        assert_eq!(bundles.sweep(later).await.unwrap(), 1);
        assert_eq!(bundles.get("whole").await.unwrap(), b"zip");
        assert_eq!(chunks.count_documents(doc! {}).await.unwrap(), 1);
        database.drop().await.unwrap();
    }
}
