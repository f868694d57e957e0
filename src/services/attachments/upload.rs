//! One file on its way in, until its row is written.

use std::{io, path::PathBuf, sync::atomic::Ordering};

use sha2::{Digest, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt,
};
use uuid::Uuid;

use super::{AttachmentError, Attachments, fault, text::Utf8Check};
use crate::{
    domain::{
        attachment::{self, FILE_MAX_BYTES, Shown},
        report::Fault,
    },
    store::tickets::NewFile,
};

/// What a file's type is known by lies within so many first bytes.
const HEAD_BYTES: usize = 8 * 1024;
/// How often, in written bytes, the free space is looked at.
const LOOK_EVERY_BYTES: u64 = 1024 * 1024;

/// A file that is coming in.
pub struct Upload {
    attachments: Attachments,
    id: Uuid,
    name: String,
    file: File,
    kept: Kept,
    hash: Sha256,
    head: Vec<u8>,
    text: Utf8Check,
    size_bytes: u64,
}

impl Upload {
    pub(super) async fn begin(attachments: Attachments, name: String) -> io::Result<Self> {
        let id = Uuid::new_v4();
        let path = attachments.folder.join("incoming").join(id.simple().to_string());
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&path).await?;
        Ok(Self {
            attachments,
            id,
            name,
            file,
            kept: Kept(Some(path)),
            hash: Sha256::new(),
            head: Vec::new(),
            text: Utf8Check::default(),
            size_bytes: 0,
        })
    }

    /// Adds the next bytes. Errors: `Refused` past 10 MB, and when the disk or the quota is full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), AttachmentError> {
        let before = self.size_bytes;
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > FILE_MAX_BYTES {
            return Err(fault(Fault::FileTooLarge, &self.name)
                .limit(FILE_MAX_BYTES)
                .into());
        }
        if before / LOOK_EVERY_BYTES != self.size_bytes / LOOK_EVERY_BYTES {
            self.attachments.check_room(self.size_bytes, &self.name)?;
        }
        let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        self.hash.update(bytes);
        self.text.add(bytes);
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| full_or_broken(error, &self.name))
    }

    /// Checks the whole file and puts it in its place, durably. Until its row is written it belongs to nobody:
    /// dropped, it is deleted.
    ///
    /// Errors: `Refused` for an empty file, and for one whose content is not what its name says.
    pub async fn finish(mut self) -> Result<Staged, AttachmentError> {
        if self.size_bytes == 0 {
            return Err(fault(Fault::FileEmpty, &self.name).into());
        }
        let magic = infer::get(&self.head).map(|kind| kind.mime_type());
        let shown = Shown {
            magic,
            text: self.text.is_text(),
        };
        let content_type =
            attachment::content_type(&self.name, shown).map_err(|wrong| fault(wrong, &self.name))?;
        self.attachments.check_room(self.size_bytes, &self.name)?;
        self.file
            .flush()
            .await
            .map_err(|error| full_or_broken(error, &self.name))?;
        self.file
            .sync_all()
            .await
            .map_err(|error| full_or_broken(error, &self.name))?;
        let place = self.attachments.place(self.id);
        if let Some(from) = &self.kept.0 {
            tokio::fs::rename(from, &place).await?;
        }
        self.kept.0 = Some(place);
        // The new name itself must be on the disk before a row tells of it.
        File::open(&*self.attachments.folder).await?.sync_all().await?;
        self.attachments
            .used_bytes
            .fetch_add(self.size_bytes, Ordering::Relaxed);
        let sha256 = self
            .hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Staged {
            file: NewFile {
                id: self.id,
                name: self.name,
                content_type: content_type.to_owned(),
                size_bytes: self.size_bytes,
                sha256,
            },
            kept: self.kept,
        })
    }
}

/// A full disk is no defect.
fn full_or_broken(error: io::Error, name: &str) -> AttachmentError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => fault(Fault::StorageFull, name).into(),
        _ => error.into(),
    }
}

/// A file in its place, without a row yet.
#[derive(Debug)]
pub struct Staged {
    pub file: NewFile,
    kept: Kept,
}

impl Staged {
    /// Leaves the file where it is: its row was written, or may have been, and the sweep decides.
    pub fn keep(mut self) {
        self.kept.0 = None;
    }
}

/// Deletes its file when dropped, unless it was taken out. What a crash leaves, the sweep finds.
#[derive(Debug)]
struct Kept(Option<PathBuf>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "an attachment that nobody wants could not be deleted");
        }
    }
}
