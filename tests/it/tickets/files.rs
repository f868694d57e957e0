//! The store of files: what is taken, what is refused, what is left behind.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use unstuck::{
    domain::{attachment::FILE_MAX_BYTES, report::Fault, ticket::Visibility},
    services::{
        attachments::{AttachmentError, Quota},
        ticketing::{Sending, Ticketing},
    },
    store::Store,
};

use super::{desk, form, incoming, staged, stored_files};
use crate::support::store::{TestClock, TestStore, each_store};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

async fn refusal(desk: &Ticketing, name: &str, bytes: &[u8]) -> Fault {
    let took_in = async {
        let mut upload = desk.attachments.begin(name).await?;
        for chunk in bytes.chunks(64 * 1024) {
            upload.write(chunk).await?;
        }
        upload.finish().await
    };
    match took_in.await.expect_err("refused") {
        AttachmentError::Refused(fault) => fault.fault,
        other => panic!("{name}: {other}"),
    }
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent_and_only_its_owner_can_open_it() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let content: Vec<u8> = [PNG, &vec![0xa5; 300_000]].concat();
        let file = staged(&desk, "../../screen shot.PNG", &content).await;
        let receipt = desk
            .file(incoming(form("With a file"), Sending::Unnamed, vec![file]))
            .await
            .expect("filed");
        let ticket = desk
            .follow(receipt.reference.as_str(), &receipt.key)
            .await
            .expect("followed");
        let files = store
            .ticket_attachments(ticket.id, Visibility::Public)
            .await
            .expect("read");
        assert_eq!(
            (
                files[0].name.as_str(),
                files[0].content_type.as_str(),
                files[0].size_bytes
            ),
            ("screen shot.PNG", "image/png", content.len() as i64)
        );
        let mut read = Vec::new();
        let mut open = desk
            .attachments
            .read(&files[0])
            .await
            .expect("read")
            .expect("there");
        open.read_to_end(&mut read).await.expect("read");
        assert!(read == content);
        assert_eq!(stored_files(folder.path()), [files[0].id.simple().to_string()]);
        assert_eq!(
            open.metadata().await.expect("metadata").permissions().mode() & 0o777,
            0o600
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_not_what_its_name_says_is_refused_and_leaves_nothing() {
    let test = TestStore::sqlite().await;
    let folder = TempDir::new().expect("a folder");
    let desk = desk(&test.store, folder.path(), Quota::default()).await;
    let html = b"<!DOCTYPE html><script>alert(1)</script>".as_slice();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>".as_slice();
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0>\0".as_slice();
    let large = vec![b'x'; FILE_MAX_BYTES as usize + 1];
    for (name, bytes, fault) in [
        ("page.png", html, Fault::FileMismatch),
        ("page.html", html, Fault::FileType),
        ("image.svg", svg, Fault::FileType),
        ("image.png", svg, Fault::FileMismatch),
        ("photo.png.exe", PNG, Fault::FileType),
        ("photo.jpg", PNG, Fault::FileMismatch),
        ("tool.txt", elf, Fault::FileMismatch),
        ("utf16.log", b"\xff\xfea\0b\0", Fault::FileMismatch),
        ("cut.json", b"{\"a\":\"\xe6\x8a", Fault::FileMismatch),
        ("empty.txt", b"", Fault::FileEmpty),
        ("no extension", b"x", Fault::FileType),
        ("", b"x", Fault::FileType),
        ("large.log", &large, Fault::FileTooLarge),
    ] {
        assert_eq!(refusal(&desk, name, bytes).await, fault, "{name}");
    }
    assert_eq!(stored_files(folder.path()), Vec::<String>::new());
    let largest = &large[..FILE_MAX_BYTES as usize];
    let fine = staged(&desk, "largest.log", largest).await;
    assert_eq!(fine.file.size_bytes, FILE_MAX_BYTES);
    test.close().await;
}

#[tokio::test]
async fn an_aborted_upload_and_a_file_that_nobody_filed_leave_nothing() {
    let test = TestStore::sqlite().await;
    let folder = TempDir::new().expect("a folder");
    let desk = desk(&test.store, folder.path(), Quota::default()).await;
    for _ in 0..50 {
        let mut upload = desk.attachments.begin("a.log").await.expect("taken");
        upload.write(&[b'x'; 99_000]).await.expect("written");
        drop(upload);
        drop(staged(&desk, "b.log", b"whole, but never filed").await);
    }
    assert_eq!(stored_files(folder.path()), Vec::<String>::new());
    test.close().await;
}

#[tokio::test]
async fn the_sweep_takes_what_a_crash_left_and_nothing_else() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let file = staged(&desk, "kept.txt", b"kept").await;
        desk.file(incoming(form("Kept"), Sending::Unnamed, vec![file]))
            .await
            .expect("filed");
        // A crash runs no destructors: the files stay as they are at that moment.
        std::mem::forget(staged(&desk, "lost.txt", b"in its place, without a row").await);
        let mut upload = desk.attachments.begin("half.txt").await.expect("taken");
        upload.write(b"half").await.expect("written");
        std::mem::forget(upload);
        assert_eq!(stored_files(folder.path()).len(), 3);
        let now = SystemTime::now();
        assert_eq!(
            desk.attachments.sweep(now).await.expect("swept"),
            0,
            "they may still be under way"
        );
        let later = now + Duration::from_secs(600);
        assert_eq!(desk.attachments.sweep(later).await.expect("swept"), 2);
        assert_eq!(stored_files(folder.path()).len(), 1);
        assert_eq!(desk.attachments.sweep(later).await.expect("swept"), 0);
    })
    .await;
}

#[tokio::test]
async fn two_databases_with_one_folder_leave_each_other_s_files_alone() {
    let folder = TempDir::new().expect("a folder");
    let [one, other] = [TestStore::sqlite().await, TestStore::sqlite().await];
    let here = desk(&one.store, folder.path(), Quota::default()).await;
    let there = desk(&other.store, folder.path(), Quota::default()).await;
    let file = staged(&here, "a.txt", b"mine").await;
    here.file(incoming(form("Mine"), Sending::Unnamed, vec![file]))
        .await
        .expect("filed");
    let later = SystemTime::now() + Duration::from_secs(86_400);
    assert_eq!(there.attachments.sweep(later).await.expect("swept"), 0);
    assert_eq!(stored_files(folder.path()).len(), 1);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn files_past_the_quota_are_refused_until_there_is_room() {
    let test = TestStore::sqlite().await;
    let folder = TempDir::new().expect("a folder");
    let quota = Quota {
        total_bytes: 100_000,
        ..Quota::default()
    };
    let desk = desk(&test.store, folder.path(), quota).await;
    let first = staged(&desk, "a.log", &[b'x'; 60_000]).await;
    assert_eq!(refusal(&desk, "b.log", &[b'x'; 60_000]).await, Fault::StorageFull);
    assert_eq!(stored_files(folder.path()).len(), 1);
    drop(first);
    desk.attachments.sweep(SystemTime::now()).await.expect("swept");
    staged(&desk, "b.log", &[b'x'; 60_000]).await;
    test.close().await;
}

#[tokio::test]
async fn a_ticket_holds_so_many_files_and_no_more() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let receipt = desk
            .file(incoming(form("Full"), Sending::Unnamed, Vec::new()))
            .await
            .expect("filed");
        let ticket = desk
            .follow(receipt.reference.as_str(), &receipt.key)
            .await
            .expect("followed");
        for round in 0..7 {
            let mut files = Vec::new();
            for number in 0..5 {
                files.push(staged(&desk, &format!("{round}-{number}.txt"), b"x").await);
            }
            let text = format!("Round {round}");
            let added = desk
                .answer(ticket.id, &text, unstuck::domain::ticket::Reopen::No, files)
                .await;
            assert_eq!(added.is_ok(), round < 6, "round {round}");
        }
        assert_eq!(stored_files(folder.path()).len(), 30);
    })
    .await;
}
