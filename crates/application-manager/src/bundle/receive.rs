//! An upload on its way to the disk.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

/// An upload that lies on the disk, in a file that has no name and ends with this value.
#[derive(Debug)]
pub struct Received {
    /// The file.
    pub file: File,
    /// SHA-256, hex.
    pub sha256: String,
    /// Size, in bytes.
    pub size_bytes: u64,
}

/// Why an upload was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// 413.
    #[error("the bundle is larger than {} MiB, which is the most this installation takes", .most / 1024 / 1024)]
    TooLarge {
        /// Largest size, in bytes.
        most: u64,
    },
    /// 400: the connection broke or the form is broken.
    #[error("the upload broke off: {0}")]
    Broken(String),
    /// 500, or 507 when the disk is full.
    #[error("the upload could not be written to the disk")]
    Disk(#[from] std::io::Error),
}

/// Writes a stream of pieces into a nameless file in `dir`, up to `most` bytes.
///
/// # Errors
/// When it is too large, breaks off, or the disk does not take it; nothing is left behind.
pub async fn receive<S, E>(mut pieces: S, dir: &Path, most: u64) -> Result<Received, ReceiveError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: std::fmt::Display,
{
    tokio::fs::create_dir_all(dir).await?;
    let mut file = tokio::fs::File::from_std(tempfile::tempfile_in(dir)?);
    let mut hash = Sha256::new();
    let mut size_bytes = 0_u64;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| ReceiveError::Broken(error.to_string()))?;
        size_bytes += piece.len() as u64;
        if size_bytes > most {
            return Err(ReceiveError::TooLarge { most });
        }
        hash.update(&piece);
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(Received {
        file: file.into_std().await,
        sha256: hex::encode(hash.finalize()),
        size_bytes,
    })
}
