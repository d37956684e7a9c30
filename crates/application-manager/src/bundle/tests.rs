use super::fixtures::{Entry, MANIFEST, by_library, good, good_and, write};
use super::*;

use bytes::Bytes;
use common::manifest::ThingKind;
use common::rules::problem::listed;

fn limits() -> Limits {
    Limits {
        unpacked_mib: 4,
        bundle_entries: 50,
        ..Limits::default()
    }
}

fn received(zip: &[u8]) -> Received {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(zip).unwrap();
    Received {
        file,
        sha256: "hash".to_owned(),
        size_bytes: zip.len() as u64,
    }
}

fn said(zip: &[u8]) -> String {
    match inspect(received(zip), &limits(), None) {
        Ok(_) => "accepted".to_owned(),
        Err(InspectError::Refused(report)) => listed(&report.problems),
        Err(InspectError::Disk(error)) => panic!("not a problem of the disk: {error}"),
    }
}

#[test]
fn a_good_bundle_is_read() {
    let bundle = inspect(received(&write(&good(), b"")), &limits(), None).unwrap();
    assert_eq!(bundle.manifest.name.as_str(), "demo");
    assert_eq!(
        bundle.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["app.json", "main.py"]
    );
    assert_eq!(bundle.unpacked_bytes, MANIFEST.len() as u64 + 15);
}

#[test]
fn what_ordinary_programs_write_is_accepted() {
    let files: [(&str, &[u8]); 3] = [
        ("app.json", MANIFEST.as_bytes()),
        ("main.py", b"x"),
        ("lib/größe.py", b"y"),
    ];
    assert_eq!(said(&by_library(&files, false)), "accepted");
    assert_eq!(said(&by_library(&files, true)), "accepted", "sizes behind the data");
    assert_eq!(
        said(&write(&good(), b"3f2c1e commit of git archive")),
        "accepted",
        "with a comment"
    );
    assert_eq!(said(&good_and(Entry::stored("lib/", b""))), "accepted", "with a folder");
    assert_eq!(
        said(&good_and(
            Entry::stored("from-dos.txt", b"x").with(|entry| entry.mode = 0)
        )),
        "accepted"
    );
}

#[test]
fn nested_archives_stay_files() {
    let inner = write(&good(), b"");
    let zip = good_and(Entry::stored("inner.zip", &inner));
    let bundle = inspect(received(&zip), &limits(), None).unwrap();
    assert_eq!(bundle.files[2].size_bytes, inner.len() as u64);
}

#[test]
fn what_is_no_zip_is_refused() {
    let whole = write(&good(), b"");
    let mut followed = whole.clone();
    followed.extend(b"trailing");
    let mut prepended = b"PK\x03\x04 something else".to_vec();
    prepended.extend(&whole);
    let mut polyglot = b"#!/bin/sh\n".to_vec();
    polyglot.extend(&whole);
    let mut two = whole.clone();
    two.extend(&whole);
    let end = whole.len() - 22;
    let commented = write(&good(), &whole[end..]);
    let mut gap = whole.clone();
    gap.splice(end..end, [0; 7]);
    let mut zip64 = whole.clone();
    zip64[end + 16..end + 20].fill(0xff);
    let table: [(&[u8], &str); 12] = [
        (b"", "(the zip): found an empty file; allowed: a zip"),
        (b"PK\x07\x08PK\x03\x04", "a part of a split zip"),
        (b"hello, world", "a file that is no zip"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "a zip without files"),
        (&whole[..whole.len() / 2], "a truncated zip"),
        (&whole[..whole.len() - 1], "its end record is missing"),
        (&followed, "not at the end"),
        (&prepended, "put together of two files"),
        (&polyglot, "a file that is no zip"),
        (&two, "put together of two files"),
        (&commented, "two end records"),
        (&gap, "put together of two files"),
    ];
    for (zip, expected) in table {
        let said = said(zip);
        assert!(said.contains(expected), "said: {said}\nwanted: {expected}");
    }
    assert!(said(&zip64).contains("a zip64 archive"));
}

#[test]
fn hostile_entries_are_refused() {
    let zeros = vec![0; 3 * 1024 * 1024];
    let noise: Vec<u8> = (0..3_u32 * 1024 * 1024)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let file = |name: &str| good_and(Entry::stored(name, b"x"));
    let mode = |mode: u32| good_and(Entry::stored("x", b"/etc/passwd").with(|entry| entry.mode = mode));
    let many: Vec<Entry> = good()
        .into_iter()
        .chain((0..60).map(|n| Entry::stored(&format!("f{n}"), b"")))
        .collect();
    let table = [
        (file("../../etc/cron.d/x"), "../../etc/cron.d/x: found `..`"),
        (file("/etc/passwd"), "/etc/passwd: found an absolute path"),
        (file("C:\\x"), "a backslash"),
        (file("C:/x"), "the drive of a Windows path"),
        (file("..\\x"), "a backslash"),
        (file(&"n".repeat(65_000)), "a name of 65000 bytes"),
        (file("main.py"), "main.py: found it twice"),
        (file("app.json"), "app.json: found it twice"),
        (file("MAIN.py"), "MAIN.py: found also `main.py`"),
        (
            mode(0o120_777),
            "x: found a symbolic link; allowed: ordinary files and folders",
        ),
        (mode(0o020_644), "a device"),
        (mode(0o010_644), "a named pipe"),
        (mode(0o140_644), "a socket"),
        (mode(0o040_755), "a folder whose name does not end"),
        (mode(0o104_755), "x: found the mode 4755"),
        (
            good_and(Entry::stored("x", b"x").with(|entry| entry.flags |= 1)),
            "x: found an encrypted file",
        ),
        (
            good_and(Entry::stored("x", b"x").with(|entry| entry.method = 12)),
            "x: found the compression",
        ),
        (
            good_and(Entry::stored("x/", b"content")),
            "x/: found a folder with content",
        ),
        (
            good_and(Entry::stored("x", b"x").with(|entry| entry.local_name = Some(b"y".to_vec()))),
            "found a broken zip",
        ),
        (
            good_and(Entry::stored("x", b"x").with(|entry| entry.crc ^= 1)),
            "x: found broken data",
        ),
        (
            good_and(Entry::deflated("x", b"xxxx").with(|entry| entry.data[0] ^= 0xff)),
            "x: found ",
        ),
        (
            good_and(Entry::deflated("x", &[7; 999]).with(|entry| entry.unpacked = 10)),
            "x: found ",
        ),
        (
            good_and(Entry::deflated("x", &[7; 10]).with(|entry| entry.unpacked = 999)),
            "x: found ",
        ),
        (
            good_and(Entry::stored("y", b"").with(|entry| entry.offset = Some(0))),
            "found entries that share the same bytes",
        ),
        (
            good_and(Entry::deflated("zeros", &zeros)),
            "zeros: found content that is more than 100 times larger",
        ),
        (
            write(
                &[good(), vec![Entry::stored("a", &noise), Entry::stored("b", &noise)]].concat(),
                b"",
            ),
            "6 MiB or more unpacked",
        ),
        (
            write(&many, b""),
            "(the zip): found 62 files and folders; allowed: at most 50",
        ),
    ];
    for (zip, expected) in table {
        let said = said(&zip);
        assert!(said.contains(expected), "said: {said}\nwanted: {expected}");
    }
}

#[test]
fn a_directory_of_any_size_is_not_read_into_memory() {
    let entries: Vec<Entry> = (0..60_000).map(|n| Entry::stored(&format!("f{n}"), b"")).collect();
    assert!(said(&write(&entries, b"")).contains("a directory of"));
}

#[test]
fn the_manifest_must_be_there_and_right() {
    let with = |manifest: &str| {
        write(
            &[
                Entry::stored("app.json", manifest.as_bytes()),
                Entry::stored("main.py", b"x"),
            ],
            b"",
        )
    };
    let large = format!("{MANIFEST}{}", " ".repeat(300 * 1024));
    let table = [
        (
            write(&[Entry::stored("main.py", b"x")], b""),
            "app.json: found no such file in the zip",
        ),
        (
            write(&[Entry::stored("demo/app.json", b"{}")], b""),
            "app.json: found it as `demo/app.json`; allowed: app.json at the top",
        ),
        (
            write(&[Entry::stored("App.json", b"{}")], b""),
            "app.json: found it as `App.json`",
        ),
        (
            write(&[Entry::stored("app.json", b"\xff\xfe")], b""),
            "app.json: found bytes that are no UTF-8 at byte 0",
        ),
        (with("{"), "app.json line 1 column 1"),
        (
            with(&MANIFEST.replace("\"title\"", "\"titel\"")),
            "titel: found the unknown field `titel`",
        ),
        (with(&MANIFEST.replace("1.0.0", "one")), "version: found the text `one`"),
        (
            with(&MANIFEST.replace("main.py", "mian.py")),
            "start[1]: found `mian.py`, which is not in the zip; allowed: did you mean `main.py`?",
        ),
        (with(&large), "app.json: found more than 262144 bytes"),
    ];
    for (zip, expected) in table {
        let said = said(&zip);
        assert!(said.contains(expected), "said: {said}\nwanted: {expected}");
    }
}

#[test]
fn types_of_slots_are_looked_up() {
    let known: KnownTypes = [("fna".parse().unwrap(), ThingKind::Device)].into();
    let refused = inspect(received(&write(&good(), b"")), &limits(), Some(&known)).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("slots.fan.device: found the unknown device type `fan`; allowed: did you mean `fna`?")
    );
}

#[test]
fn no_truncation_and_no_flipped_bit_gets_past_or_panics() {
    let whole = write(&good(), b"");
    for length in 0..whole.len() {
        assert_ne!(said(&whole[..length]), "accepted", "cut at {length}");
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x41;
        said(&flipped);
    }
}

fn pieces(
    pieces: Vec<Result<&'static [u8], &'static str>>,
) -> impl futures_util::Stream<Item = Result<Bytes, &'static str>> + Unpin {
    futures_util::stream::iter(pieces.into_iter().map(|piece| piece.map(Bytes::from_static)))
}

#[tokio::test]
async fn an_upload_is_counted_hashed_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let uploads = dir.path().join("uploads");
    let whole = receive(pieces(vec![Ok(b"ab"), Ok(b"c")]), &uploads, 3).await.unwrap();
    assert_eq!(whole.size_bytes, 3);
    assert_eq!(
        whole.sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let large = receive(pieces(vec![Ok(b"ab"), Ok(b"cd")]), &uploads, 3).await;
    assert!(matches!(large, Err(ReceiveError::TooLarge { most: 3 })));
    let broken = receive(pieces(vec![Ok(b"ab"), Err("connection reset")]), &uploads, 3).await;
    assert_eq!(
        broken.unwrap_err().to_string(),
        "the upload broke off: connection reset"
    );
    assert_eq!(
        std::fs::read_dir(&uploads).unwrap().count(),
        0,
        "also while `whole` is open"
    );
}

#[tokio::test]
async fn an_intake_receives_and_inspects() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Intake::with(limits(), dir.path().to_owned());
    let zip = Bytes::from(write(&good(), b""));
    let pieces = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(zip)]);
    let bundle = intake
        .inspect(intake.receive(pieces).await.unwrap(), None)
        .await
        .unwrap();
    assert_eq!(bundle.manifest.title, "Demo");
}
