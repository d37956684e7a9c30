//! Zips, good and hostile, written byte by byte: a library would refuse to write most of them.

use std::io::{Cursor, Read, Write};

/// A manifest that every check accepts.
pub(super) const MANIFEST: &str = r#"{"manifest":1,"name":"demo","title":"Demo","version":"1.0.0","runtime":{"python":"3"},
    "start":["python","main.py"],"slots":{"fan":{"device":"fan"}}}"#;

/// One entry with everything that can lie.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) data: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) unpacked: u32,
    pub(super) mode: u32,
    /// Points at another entry's data instead of having its own.
    pub(super) offset: Option<u32>,
}

impl Entry {
    pub(super) fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            data: content.to_vec(),
            method: 0,
            flags: 1 << 11,
            crc: crc32(content),
            packed: u32::try_from(content.len()).unwrap(),
            unpacked: u32::try_from(content.len()).unwrap(),
            mode: if name.ends_with('/') { 0o040_755 } else { 0o100_644 },
            offset: None,
        }
    }

    pub(super) fn deflated(name: &str, content: &[u8]) -> Self {
        let data = deflate(content);
        Self {
            method: 8,
            packed: u32::try_from(data.len()).unwrap(),
            data,
            ..Self::stored(name, content)
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The least that is accepted.
pub(super) fn good() -> Vec<Entry> {
    vec![
        Entry::deflated("app.json", MANIFEST.as_bytes()),
        Entry::stored("main.py", b"print('hello')\n"),
    ]
}

/// The good one and something more.
pub(super) fn good_and(more: Entry) -> Vec<u8> {
    let mut entries = good();
    entries.push(more);
    write(&entries, b"")
}

/// Writes a zip.
pub(super) fn write(entries: &[Entry], comment: &[u8]) -> Vec<u8> {
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = entry.offset.unwrap_or(u32::try_from(zip.len()).unwrap());
        if entry.offset.is_none() {
            let name = entry.local_name.as_ref().unwrap_or(&entry.name);
            zip.extend(b"PK\x03\x04\x14\0");
            zip.extend(common_part(entry));
            zip.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            zip.extend(0_u16.to_le_bytes());
            zip.extend(name);
            zip.extend(&entry.data);
        }
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend(common_part(entry));
        directory.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        directory.extend([0; 8]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
    }
    let start = u32::try_from(zip.len()).unwrap();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend(count);
    zip.extend(count);
    zip.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    zip.extend(comment);
    zip
}

fn common_part(entry: &Entry) -> Vec<u8> {
    let mut part = Vec::new();
    part.extend(entry.flags.to_le_bytes());
    part.extend(entry.method.to_le_bytes());
    part.extend([0, 0, 0x21, 0x5a]);
    part.extend(entry.crc.to_le_bytes());
    part.extend(entry.packed.to_le_bytes());
    part.extend(entry.unpacked.to_le_bytes());
    part
}

fn crc32(content: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

/// Compresses with the library, and takes the bytes out of its zip.
fn deflate(content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(by_library(&[("x", content)], false))).unwrap();
    let mut packed = Vec::new();
    archive.by_index_raw(0).unwrap().read_to_end(&mut packed).unwrap();
    packed
}

/// What an ordinary program writes; as a stream it puts sizes behind the data.
pub(super) fn by_library(files: &[(&str, &[u8])], stream: bool) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    if stream {
        let mut writer = zip::ZipWriter::new_stream(Vec::new());
        for (name, content) in files {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        return writer.finish().unwrap().into_inner();
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
