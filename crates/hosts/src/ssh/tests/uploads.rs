//! Uploads.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use russh_sftp::extensions::{STATVFS, Statvfs};
use russh_sftp::protocol::{ExtendedReply, FileAttributes, Handle, OpenFlags, Packet, Status, StatusCode, Version};
use russh_sftp::server::StatusReply;
use sha2::{Digest as _, Sha256};

use super::network::{Break, cut};
use super::world::{World, fingerprint};
use crate::ssh::{Phase, Source, SshError};

fn content(size: u32) -> Vec<u8> {
    (0..size)
        .map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn a_file_arrives_whole_and_replaces_what_was_there() {
    let world = World::new().await;
    let session = world.session().await;
    let bytes = content(5_000_001);
    let file = world.home.path().join("program");
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(world.there("it's new"), "old").unwrap();
    // Leftovers of an upload that broke off, longer than what comes.
    std::fs::write(world.there("it's new.part"), vec![1; 6_000_000]).unwrap();
    session
        .upload(Source::File(&file), &sha256(&bytes), "it's new")
        .await
        .unwrap();
    assert!(std::fs::read(world.there("it's new")).unwrap() == bytes);
    assert!(!world.there("it's new.part").exists());

    let absolute = world.there("small").to_string_lossy().into_owned();
    session
        .upload(Source::Bytes(b"few"), &sha256(b"few").to_uppercase(), &absolute)
        .await
        .unwrap();
    assert_eq!(std::fs::read(&absolute).unwrap(), b"few");
    let mode = std::fs::metadata(&absolute).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    session.upload(Source::Bytes(b""), &sha256(b""), "empty").await.unwrap();
    assert_eq!(std::fs::read(world.there("empty")).unwrap(), b"");
}

#[tokio::test]
async fn what_arrives_otherwise_does_not_come_to_its_place() {
    let world = World::new().await;
    let session = world.session().await;
    std::fs::write(world.there("program"), "old").unwrap();
    let error = session
        .upload(Source::Bytes(b"new"), &sha256(b"other"), "program")
        .await
        .unwrap_err();
    assert!(matches!(&error, SshError::Checksum { host, .. } if host == "edge-1"));
    let text = error.to_string();
    assert!(
        text.contains(&sha256(b"new")) && text.contains(&sha256(b"other")),
        "{text}"
    );
    assert_eq!(std::fs::read(world.there("program")).unwrap(), b"old");
}

#[tokio::test]
async fn a_host_that_dies_half_way_leaves_only_the_part() {
    let mut world = World::new().await;
    world.target.trust.fingerprint = Some(fingerprint(&world.host_key));
    world.target.port = cut(world.server.port, 4_000_000, Break::Close).await;
    let session = world.session().await;
    let bytes = content(8_000_000);
    let error = session
        .upload(Source::Bytes(&bytes), &sha256(&bytes), "program")
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SshError::Closed {
                phase: Phase::Upload,
                ..
            }
        ) && error.is_passing(),
        "{error}"
    );
    assert!(!world.there("program").exists());
    assert!(world.there("program.part").exists());
    session.close().await;

    world.target.port = world.server.port;
    let session = world.session().await;
    session
        .upload(Source::Bytes(&bytes), &sha256(&bytes), "program")
        .await
        .unwrap();
    assert!(std::fs::read(world.there("program")).unwrap() == bytes);
}

#[tokio::test]
async fn a_way_that_falls_silent_half_way_is_given_up() {
    let mut world = World::new().await;
    world.target.trust.fingerprint = Some(fingerprint(&world.host_key));
    world.target.timeouts.transfer = Duration::from_secs(1);
    world.target.port = cut(world.server.port, 4_000_000, Break::Silence).await;
    let session = world.session().await;
    let bytes = content(8_000_000);
    let error = session
        .upload(Source::Bytes(&bytes), &sha256(&bytes), "program")
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SshError::TimedOut {
                phase: Phase::Upload,
                ..
            }
        ),
        "{error}"
    );
    assert!(!world.there("program").exists());
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_is_not_filled_further() {
    for room in [Room::None, Room::Ends, Room::Words] {
        let world = World::with(|setup| setup.room = room).await;
        let session = world.session().await;
        let bytes = content(1_000_000);
        let error = session
            .upload(Source::Bytes(&bytes), &sha256(&bytes), "program")
            .await
            .unwrap_err();
        assert!(
            matches!(error, SshError::DiskFull { needed: 1_000_000, .. }) && !error.is_passing(),
            "{room:?}: {error}"
        );
        assert!(!world.there("program").exists() && !world.there("program.part").exists());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_and_a_file_that_is_not_here_are_told() {
    let world = World::new().await;
    let session = world.session().await;
    let error = session
        .upload(Source::Bytes(b"new"), &sha256(b"new"), "no/where")
        .await
        .unwrap_err();
    assert!(matches!(error, SshError::Upload { .. }), "{error}");
    let missing = world.home.path().join("missing");
    let error = session.upload(Source::File(&missing), "", "there").await.unwrap_err();
    assert!(matches!(error, SshError::Source { .. }), "{error}");
}

#[tokio::test]
async fn a_host_without_sftp_is_told() {
    let world = World::with(|setup| setup.sftp = false).await;
    let session = world.session().await;
    let error = session
        .upload(Source::Bytes(b"new"), &sha256(b"new"), "program")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no SFTP there"), "{error}");
}

/// Room on the disk of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Plenty,
    /// None from the beginning.
    None,
    /// It ends at the first write, which fails without a reason, as OpenSSH does it.
    Ends,
    /// The server does not tell its room, but the reason.
    Words,
}

/// The SFTP side of the server.
pub(super) struct Files {
    folder: PathBuf,
    room: Room,
    open: HashMap<String, File>,
    written: bool,
}

impl Files {
    pub(super) fn new(folder: PathBuf, room: Room) -> Self {
        Self {
            folder,
            room,
            open: HashMap::new(),
            written: false,
        }
    }
}

fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: String::new(),
        language_tag: String::new(),
    }
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        if self.room != Room::Words {
            version.extensions.insert(STATVFS.to_owned(), "2".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        name: String,
        flags: OpenFlags,
        attributes: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        assert!(flags.contains(OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE));
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(attributes.permissions.unwrap())
            .open(self.folder.join(&name))
            .map_err(|_| StatusCode::NoSuchFile)?;
        self.open.insert(name.clone(), file);
        Ok(Handle { id, handle: name })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusReply> {
        self.written = true;
        match self.room {
            Room::Plenty => {}
            Room::None => panic!("a write without room"),
            Room::Ends => return Err(StatusCode::Failure.into()),
            Room::Words => return Err(StatusCode::Failure.with_message("No space left on device")),
        }
        let file = self.open.get(&handle).ok_or(StatusCode::BadMessage)?;
        file.write_all_at(&data, offset).map_err(|_| StatusCode::Failure)?;
        Ok(done(id))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        self.open.remove(&handle).ok_or(StatusCode::BadMessage)?;
        Ok(done(id))
    }

    async fn remove(&mut self, id: u32, name: String) -> Result<Status, StatusReply> {
        std::fs::remove_file(self.folder.join(name)).map_err(|_| StatusCode::NoSuchFile)?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, _data: Vec<u8>) -> Result<Packet, StatusReply> {
        assert_eq!(request, STATVFS);
        let free = match self.room {
            Room::Plenty | Room::Words => 1 << 30,
            Room::None => 0,
            Room::Ends => u64::from(!self.written) << 30,
        };
        let room = Statvfs {
            block_size: 4096,
            fragment_size: 4096,
            blocks: 1 << 40,
            blocks_free: free + 1000,
            blocks_avail: free,
            inodes: 1,
            inodes_free: 1,
            inodes_avail: 1,
            fs_id: 1,
            flags: 0,
            name_max: 255,
        };
        let data = russh_sftp::ser::to_bytes(&room).unwrap().to_vec();
        Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
    }
}
