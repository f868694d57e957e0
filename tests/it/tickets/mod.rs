//! Problem reports, tickets, attachments, the webhook and retention.

mod api;
mod desk;
mod files;
mod hostile;
mod public;
mod retention;
mod staff;
mod visitor;
mod webhook;

use std::path::Path;

use unstuck::{
    domain::report::ReportForm,
    services::{
        attachments::{Attachments, Quota, Staged},
        report_limits::ReportLimits,
        ticketing::{Incoming, Sending, Ticketing},
    },
    store::Store,
};

use crate::support::site::no_limits;

async fn desk(store: &Store, data_dir: &Path, quota: Quota) -> Ticketing {
    let attachments = Attachments::open(store.clone(), data_dir, quota)
        .await
        .expect("a folder");
    Ticketing::open(store.clone(), attachments, ReportLimits::new(no_limits()))
        .await
        .expect("a desk")
}

fn form(subject: &str) -> ReportForm {
    ReportForm {
        subject: subject.into(),
        description: "It stands still since noon.".into(),
        email: "a@b.example".into(),
        task_id: String::new(),
    }
}

fn incoming(form: ReportForm, sending: Sending, files: Vec<Staged>) -> Incoming {
    Incoming {
        form,
        files,
        sending,
        lang: Some("en".into()),
        user_agent: Some("test".into()),
    }
}

/// A file taken in whole.
async fn staged(desk: &Ticketing, name: &str, bytes: &[u8]) -> Staged {
    let mut upload = desk.attachments.begin(name).await.expect("taken");
    for chunk in bytes.chunks(7000) {
        upload.write(chunk).await.expect("written");
    }
    upload.finish().await.expect("fine")
}

/// The names in the folder of attachments, those still coming in too, without the folders' own.
fn stored_files(data_dir: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                walk(&entry.path(), found);
            } else {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(data_dir, &mut found);
    found
}
