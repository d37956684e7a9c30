//! Files brought to a host.

use std::path::Path;
use std::time::Duration;

use russh::ChannelMsg;
use russh_sftp::client::fs::File;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::command::Output;
use super::error::{Phase, SshError};
use super::link::within;
use super::session::Session;
use crate::shell::quote;

/// Packets that are on their way unanswered. 2 MiB, as much as an OpenSSH server takes: over 100 ms that is 20 MB/s.
const UNANSWERED: usize = 64;

/// Bytes that are read of a file at once.
const CHUNK: usize = 256 * 1024;

/// How long short commands may take.
const SHORT: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A local file.
    File(&'a Path),
    /// These bytes.
    Bytes(&'a [u8]),
}

impl Session {
    /// Brings a file to the host, readable by its user only. It is written beside its place as `<remote>.part`, compared
    /// there by its SHA-256 (`sha256`, in hexadecimal), and moved over what may stand at its place. So it is whole or not
    /// there; one that broke off leaves only the part, which the next one writes over.
    ///
    /// `remote` is absolute, or begins at the home of the user; its folder must exist.
    ///
    /// # Errors
    /// When the host has no room, which is asked before anything is sent; when what arrived is not what was sent, or the way
    /// breaks.
    pub async fn upload(&self, source: Source<'_>, sha256: &str, remote: &str) -> Result<(), SshError> {
        let part = format!("{remote}.part");
        let mut content = Content::open(source)
            .await
            .map_err(|error| self.unreadable(source, &error))?;
        let sftp = self.sftp(remote).await?;
        let sent = self.send(&sftp, &mut content, source, remote, &part).await;
        if matches!(sent, Err(SshError::DiskFull { .. })) {
            // A part that fills a disk is in everybody's way. That it cannot be removed is less than what is told already.
            sftp.remove_file(part.as_str()).await.ok();
        }
        sftp.close().await.ok();
        sent?;
        self.compare(sha256, remote, &part, content.size).await?;
        let moved = self
            .short(&format!("mv -fT -- {} {}", quote(&part), quote(remote)), SHORT)
            .await?;
        if moved.status == Some(0) {
            return Ok(());
        }
        Err(self.unwritten(remote, String::from_utf8_lossy(&moved.stderr).trim()))
    }

    async fn sftp(&self, remote: &str) -> Result<SftpSession, SshError> {
        let limit = self.target().timeouts.transfer;
        let opening = async {
            let mut channel = self.handle().channel_open_session().await?;
            channel.request_subsystem(true, "sftp").await?;
            // A server without it says so and keeps the channel open, on which SFTP would then wait in vain.
            let answer = loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => break true,
                    Some(ChannelMsg::Failure | ChannelMsg::Close) | None => break false,
                    Some(_) => {}
                }
            };
            Ok::<_, russh::Error>(answer.then_some(channel))
        };
        let opened = within(self.target(), Phase::Upload, limit, opening)
            .await?
            .map_err(|error| self.unopened(error))?;
        let Some(channel) = opened else {
            if self.is_closed() {
                return Err(self.closed(Phase::Upload, "before it began"));
            }
            return Err(self.unwritten(remote, "no SFTP there, switch its Subsystem on"));
        };
        let config = Config {
            max_concurrent_writes: UNANSWERED,
            request_timeout_secs: limit.as_secs().max(1),
            ..Config::default()
        };
        let starting = SftpSession::new_with_config(channel.into_stream(), config);
        Box::pin(starting).await.map_err(|error| match error {
            error @ russh_sftp::client::error::Error::Timeout => self.broken(remote, &error.into()),
            _ if self.is_closed() => self.closed(Phase::Upload, "before it began"),
            error => self.unwritten(remote, &format!("its SFTP does not answer ({error})")),
        })
    }

    /// Writes the part.
    async fn send(
        &self,
        sftp: &SftpSession,
        content: &mut Content<'_>,
        source: Source<'_>,
        remote: &str,
        part: &str,
    ) -> Result<(), SshError> {
        let attributes = FileAttributes {
            permissions: Some(0o600),
            ..FileAttributes::empty()
        };
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let mut file = sftp
            .open_with_flags_and_attributes(part, flags, attributes)
            .await
            .map_err(|error| self.broken(remote, &plain(error)))?;
        self.check_room(sftp, remote, content.size, content.size).await?;
        let mut chunk = vec![0; CHUNK];
        let mut sent: u64 = 0;
        loop {
            let read = content
                .reader
                .read(&mut chunk)
                .await
                .map_err(|error| self.unreadable(source, &error))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            if let Err(error) = file.write_all(bytes).await {
                return Err(self.explain(sftp, remote, content.size, sent, &error).await);
            }
            sent += read as u64;
        }
        match finish(file).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(sftp, remote, content.size, sent, &error).await),
        }
    }

    /// Why a write failed: SFTP has no word for a full disk, OpenSSH says only "Failure".
    async fn explain(
        &self,
        sftp: &SftpSession,
        remote: &str,
        size: u64,
        sent: u64,
        error: &std::io::Error,
    ) -> SshError {
        if error.kind() == std::io::ErrorKind::TimedOut || self.is_closed() {
            return self.broken(remote, error);
        }
        if error.to_string().contains("No space left") {
            return self.full(remote, size, None);
        }
        // What was sent last may not have been written, so a little more than the rest is asked for.
        let rest = size.saturating_sub(sent) + (UNANSWERED * CHUNK) as u64;
        match self.check_room(sftp, remote, size, rest).await {
            Err(full) => full,
            Ok(()) => self.broken(remote, error),
        }
    }

    /// Asks the host for its room. One that does not tell is taken to have enough.
    async fn check_room(&self, sftp: &SftpSession, remote: &str, size: u64, wanted: u64) -> Result<(), SshError> {
        let folder = match remote.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((folder, _)) => folder,
            None => ".",
        };
        match sftp.fs_info(folder).await {
            Ok(Some(room)) => {
                let free = room.blocks_avail.saturating_mul(room.fragment_size);
                if free < wanted {
                    return Err(self.full(remote, size, Some(free)));
                }
                Ok(())
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    async fn compare(&self, sha256: &str, remote: &str, part: &str, size: u64) -> Result<(), SshError> {
        // A slow disk reads 5 MiB in a second.
        let limit = SHORT + Duration::from_secs(size / (5 * 1024 * 1024));
        let output = self.short(&format!("sha256sum < {}", quote(part)), limit).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.split_whitespace().next().unwrap_or_default();
        if found.is_empty() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(self.unwritten(remote, &format!("its checksum is not told ({reason})")));
        }
        if found.eq_ignore_ascii_case(sha256) {
            return Ok(());
        }
        Err(SshError::Checksum {
            host: self.target().name.clone(),
            remote: remote.to_owned(),
            expected: sha256.to_owned(),
            found: found.to_owned(),
        })
    }

    async fn short(&self, command: &str, limit: Duration) -> Result<Output, SshError> {
        self.run(command, b"", limit).await
    }

    fn full(&self, remote: &str, needed: u64, free: Option<u64>) -> SshError {
        SshError::DiskFull {
            host: self.target().name.clone(),
            remote: remote.to_owned(),
            needed,
            free,
        }
    }

    fn broken(&self, remote: &str, error: &std::io::Error) -> SshError {
        if error.kind() == std::io::ErrorKind::TimedOut {
            return SshError::timed_out(self.target(), Phase::Upload, self.target().timeouts.transfer);
        }
        if self.is_closed() {
            return self.closed(Phase::Upload, format!("{remote} is not whole"));
        }
        self.unwritten(remote, &error.to_string())
    }

    fn unwritten(&self, remote: &str, reason: &str) -> SshError {
        SshError::Upload {
            host: self.target().name.clone(),
            user: self.target().user.clone(),
            remote: remote.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn unreadable(&self, source: Source<'_>, error: &std::io::Error) -> SshError {
        SshError::Source {
            host: self.target().name.clone(),
            path: match source {
                Source::File(path) => path.to_owned(),
                Source::Bytes(_) => std::path::PathBuf::new(),
            },
            reason: error.to_string(),
        }
    }
}

/// What the host said, without the code of it in front: servers say both in the same words.
fn plain(error: russh_sftp::client::error::Error) -> std::io::Error {
    match error {
        russh_sftp::client::error::Error::Status(status) if !status.error_message.is_empty() => {
            std::io::Error::other(status.error_message)
        }
        error => error.into(),
    }
}

/// Waits until everything is on the disk of the host and closes the file.
async fn finish(mut file: File) -> std::io::Result<()> {
    file.flush().await?;
    file.close().await
}

/// What is sent, opened.
struct Content<'a> {
    reader: Box<dyn AsyncRead + Send + Unpin + 'a>,
    size: u64,
}

impl<'a> Content<'a> {
    async fn open(source: Source<'a>) -> std::io::Result<Self> {
        Ok(match source {
            Source::Bytes(bytes) => Self {
                reader: Box::new(bytes),
                size: bytes.len() as u64,
            },
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                Self {
                    size: file.metadata().await?.len(),
                    reader: Box::new(file),
                }
            }
        })
    }
}
