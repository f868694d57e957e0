//! Uploads that are cut off by the death of the server: no row without its file, and no file that stays.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    client::PATIENCE,
    plant::{Engine, Plant, Serve, TOKEN},
    wait::eventually,
};

const FILE_BYTES: usize = 1_000_000;

/// Files below the plant's folder of attachments: those still coming in, and those in their place.
fn files(plant: &Plant) -> (Vec<PathBuf>, Vec<PathBuf>) {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&plant.folder().join("data/attachments"), &mut found);
    found
        .into_iter()
        .partition(|path| path.parent().is_some_and(|folder| folder.ends_with("incoming")))
}

/// The ids of the rows, as files are called.
async fn rows(plant: &Plant) -> Vec<String> {
    let mut db = SqliteConnection::connect(&plant.database_url)
        .await
        .expect("the database");
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM attachments")
        .fetch_all(&mut db)
        .await
        .expect("its rows");
    ids.iter().map(|id| id.replace('-', "")).collect()
}

/// A report with one file, as its bytes on the wire.
fn report(address: &str) -> Vec<u8> {
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body = part("subject", "It stands still").into_bytes();
    body.extend(part("description", "Since noon.").into_bytes());
    body.extend(b"--b\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"log.txt\"\r\n\r\n");
    body.extend(std::iter::repeat_n(b'x', FILE_BYTES));
    body.extend(b"\r\n--b--\r\n");
    let head = format!(
        "POST /api/v1/reports HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn address(serve: &Serve) -> String {
    serve.client.base().trim_start_matches("http://").to_owned()
}

/// Sends a report up to `share` of its bytes, and leaves the connection open.
async fn begin(address: &str, share: f64) -> TcpStream {
    let bytes = report(address);
    let end = (bytes.len() as f64 * share) as usize;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(&bytes[..end]).await.expect("sent");
    stream
}

/// Sends a whole report; whether it was promised to be filed.
async fn file(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    if stream.write_all(&report(address)).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    answer.starts_with(b"HTTP/1.1 201")
}

/// Makes every file look as old as the sweep wants it.
fn age(files: &[PathBuf]) {
    let past = SystemTime::now() - Duration::from_secs(600);
    for path in files {
        let file = std::fs::File::options().append(true).open(path).expect("a file");
        file.set_modified(past).expect("its time");
    }
}

#[tokio::test]
async fn a_server_killed_while_files_come_in_keeps_every_row_s_file_and_sweeps_the_rest() {
    let plant = Plant::new(Engine::Sqlite).await;
    let mut promised = 0;
    for round in 0..5_u64 {
        let serve = plant.serve().await;
        let address = address(&serve);
        let halves = [begin(&address, 0.5).await, begin(&address, 0.99).await];
        eventually(PATIENCE, "files are coming in", async || {
            (files(&plant).0.len() >= 2).then_some(())
        })
        .await;
        // Whole ones come and are filed at the moment of the kill.
        let uploads: Vec<_> = (0..4)
            .map(|_| {
                let address = address.clone();
                tokio::spawn(async move {
                    let mut filed = 0;
                    for _ in 0..6 {
                        filed += usize::from(file(&address).await);
                    }
                    filed
                })
            })
            .collect();
        let before = rows(&plant).await.len();
        eventually(PATIENCE, "some are filed", async || {
            (rows(&plant).await.len() > before + round as usize).then_some(())
        })
        .await;
        serve.process.kill9();
        for upload in uploads {
            promised += upload.await.expect("no panic");
        }
        drop(halves);
        let (_, stored) = files(&plant);
        let known = rows(&plant).await;
        for id in &known {
            assert!(
                stored.iter().any(|path| path.ends_with(id)),
                "the row {id} has its file"
            );
        }
        assert!(
            known.len() >= promised,
            "what was promised is there: {promised}, {}",
            known.len()
        );
    }
    let (coming, stored) = files(&plant);
    assert!(coming.len() >= 2, "the kill left halves: {coming:?}");
    age(&[coming, stored].concat());
    let _serve = plant.serve().await;
    let known = rows(&plant).await.len();
    eventually(
        PATIENCE,
        "the sweep leaves the rows' files and nothing else",
        async || {
            let (coming, stored) = files(&plant);
            (coming.is_empty() && stored.len() == known).then_some(())
        },
    )
    .await;
    plant.close().await;
}
