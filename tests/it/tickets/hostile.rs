//! Forms that no browser sends: each is answered at once, and leaves nothing.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    http::{Request, header},
};
use futures_util::stream;

use super::{
    stored_files,
    visitor::{BOUNDARY, Form, Visitor, location},
};
use crate::support::site::{Answer, TestSite};

const AT_ONCE: Duration = Duration::from_secs(5);

async fn ripe(visitor: &Visitor<'_>) -> Form {
    let seal = visitor.seal().await;
    visitor.site.store.clock.advance(Duration::from_secs(4));
    Form::default()
        .text("seal", &seal)
        .text("subject", "Hostile")
        .text("description", "Very.")
}

/// Sends `pieces` as they are, one after the other; after the last one the connection breaks, or the body ends.
async fn send_pieces(site: &TestSite, pieces: Vec<Bytes>, broken: bool) -> Answer {
    let end = broken.then(|| Err(std::io::Error::other("the connection broke")));
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok).chain(end)));
    let request = Request::post("/report")
        .header(
            header::CONTENT_TYPE,
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body)
        .expect("a request");
    site.send(request).await
}

#[tokio::test]
async fn a_malformed_form_is_refused_at_once_and_leaves_nothing() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let many: Form = (0..10_000).fold(Form::default(), |form, _| form.text("subject", "x"));
    let unknown: Form = (0..39).fold(Form::default(), |form, _| form.file("a.txt", b""));
    let huge_head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"subject\"; x=\"{}\"\r\n\r\nx\r\n",
        "y".repeat(40_000_000)
    );
    let no_boundary = "z".repeat(40_000_000);
    for (what, body, status) in [
        ("10,000 parts", many.end(), 400),
        (
            "a field twice",
            Form::default().text("subject", "a").text("subject", "b").end(),
            400,
        ),
        (
            "an unknown field",
            Form::default().text("status", "closed").end(),
            400,
        ),
        ("no last boundary", Form::default().text("subject", "a").0, 400),
        ("nothing", Vec::new(), 400),
        ("39 empty files", unknown.end(), 422),
        ("a head without end", huge_head.into_bytes(), 400),
        ("no boundary at all", no_boundary.into_bytes(), 400),
        (
            "a text of 100 MB",
            Form::default()
                .text("description", &"w".repeat(100_000_000))
                .end(),
            413,
        ),
        (
            "no UTF-8",
            Form::default()
                .text("subject", "Q")
                .end()
                .iter()
                .map(|byte| if *byte == b'Q' { 0xff } else { *byte })
                .collect(),
            400,
        ),
        (
            "a name with NUL",
            Form::default().file("x.txt\0.png", b"x").end(),
            400,
        ),
    ] {
        let began = Instant::now();
        let answer = visitor.post_bytes("/report", body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
        assert!(began.elapsed() < AT_ONCE, "{what} took {:?}", began.elapsed());
    }
    assert_eq!(stored_files(site.data_dir.path()), Vec::<String>::new());
    site.close().await;
}

#[tokio::test]
async fn a_form_of_another_kind_is_refused() {
    let site = TestSite::sqlite().await;
    let fields: &[(&str, &str)] = &[
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/plain"),
        ("content-type", "multipart/form-data"),
        ("content-type", "multipart/mixed; boundary=x"),
    ];
    for (name, value) in fields {
        let request = Request::post("/report")
            .header(*name, *value)
            .body(Body::from("subject=x"));
        let answer = site.send(request.expect("a request")).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 415),
            "{value}: {}",
            answer.status
        );
    }
    let packed = Request::post("/report")
        .header(
            header::CONTENT_TYPE,
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .header(header::CONTENT_ENCODING, "gzip")
        .body(Body::from(vec![0x1f, 0x8b, 8, 0]));
    assert_eq!(site.send(packed.expect("a request")).await.status, 415);
    site.close().await;
}

#[tokio::test]
async fn a_file_that_lies_about_itself_is_refused_and_the_texts_come_back() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let gif_html = b"GIF89a/*<script>alert(1)</script>*/".as_slice();
    let pdf_zip = b"%PDF-1.4\nPK\x03\x04".as_slice();
    for (name, bytes, said) in [
        (
            "page.png",
            b"<!doctype html><script>alert(1)</script>".as_slice(),
            "not what its name says",
        ),
        ("pic.svg", b"<svg onload=alert(1)>", "not taken"),
        ("gif.png", gif_html, "not what its name says"),
        ("pdf.zip", pdf_zip, "not what its name says"),
        ("run.exe", b"MZ\x90\0", "not taken"),
        ("big.log", &vec![b'x'; 11_000_000], "larger than 10 MB"),
    ] {
        let form = ripe(&visitor).await.file(name, bytes);
        let answer = visitor.post_form("/report", form).await;
        let text = answer.text();
        assert_eq!(answer.status, 422, "{name}: {text}");
        assert!(text.contains(said) && text.contains("Hostile"), "{name}: {text}");
    }
    let six: Form = (0..6).fold(ripe(&visitor).await, |form, n| {
        form.file(&format!("{n}.txt"), b"x")
    });
    assert!(
        visitor
            .post_form("/report", six)
            .await
            .text()
            .contains("At most 5 files")
    );
    assert_eq!(stored_files(site.data_dir.path()), Vec::<String>::new());
    site.close().await;
}

#[tokio::test]
async fn any_name_is_only_a_name() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let mut long = "n".repeat(10_000);
    long.push_str(".txt");
    for name in [
        "../../../etc/cron.d/x.txt",
        "..%2f..%2fx.txt",
        "C:\\Windows\\CON.txt",
        "\u{202e}gpj.txt",
        "😀😀.txt",
        "<img src=x onerror=alert(1)>.txt",
        long.as_str(),
    ] {
        let form = ripe(&visitor).await.file(name, b"x");
        let address = location(&visitor.post_form("/report", form).await);
        let page = visitor.get(&address).await.text();
        assert!(
            !page.contains("<img src=x") && !page.contains("../"),
            "{name}: {page}"
        );
    }
    let stored = stored_files(site.data_dir.path());
    assert_eq!(stored.len(), 7);
    assert!(
        stored
            .iter()
            .all(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    );
    site.close().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let site = TestSite::sqlite().await;
    let whole = Form::default()
        .text("subject", "Broken")
        .file("a.log", &[b'x'; 900_000])
        .end();
    for cut in [100, 300, 100_000, whole.len() - 60, whole.len() - 1] {
        for broken in [true, false] {
            let pieces = whole[..cut].chunks(3000).map(Bytes::copy_from_slice).collect();
            let answer = send_pieces(&site, pieces, broken).await;
            let complete = cut == whole.len() - 1 && !broken;
            assert!(
                complete || answer.status == 400,
                "cut at {cut}: {}",
                answer.text()
            );
        }
    }
    assert_eq!(stored_files(site.data_dir.path()), Vec::<String>::new());
    site.close().await;
}

#[tokio::test]
async fn a_form_in_single_bytes_is_read_like_any_other() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let whole = ripe(&visitor).await.file("a.log", &[b'x'; 2000]).end();
    let answer = send_pieces(
        &site,
        whole.chunks(1).map(Bytes::copy_from_slice).collect(),
        false,
    )
    .await;
    location(&answer);
    assert_eq!(stored_files(site.data_dir.path()).len(), 1);
    site.close().await;
}
