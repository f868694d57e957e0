//! The files that people attach: taken in as a stream, checked, put in their place, served, and swept.
//!
//! A file lies at `DATA_DIR/attachments/<installation>/<id>`: the installation is the database's own name, so that two
//! databases with one folder never sweep each other's files. An upload grows in the folder `incoming` beside them; it
//! is moved to its place, and the move made durable, before the transaction that writes its row. So a row always has
//! its file; a file without a row (a crash in between, an aborted upload) is swept.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use nix::sys::statvfs::statvfs;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use uuid::Uuid;

use crate::{
    domain::{
        attachment::{self, Attachment, FILE_MAX_BYTES, Shown},
        ticket::{Fault, FieldFault, ReportField},
    },
    store::{Store, StoreError, tickets::NewFile},
};

/// What a file's type is known by lies within so many first bytes.
const HEAD_BYTES: usize = 8 * 1024;
/// How often, in written bytes, the free space is looked at.
const LOOK_EVERY_BYTES: u64 = 1024 * 1024;
/// How many uploads are written at once; further ones wait, unread.
const UPLOADS_AT_ONCE: usize = 8;
/// A file without a row that is older than any request can last belongs to nobody.
const ORPHAN_AFTER: Duration = Duration::from_secs(300);
/// How many files one question to the database is about.
const SWEEP_BATCH: usize = 500;

/// How much the store of files may take.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// All files together.
    pub total_bytes: u64,
    /// What stays free on the disk for the database: a tenth of it, but no more than so much.
    pub reserve_bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            total_bytes: 10 * 1024 * 1024 * 1024,
            reserve_bytes: 5 * 1024 * 1024 * 1024,
        }
    }
}

/// Why a file could not be taken in or given out.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// The sender can do something about it, or wait.
    #[error(transparent)]
    Refused(#[from] FieldFault),
    /// The folder or the disk failed.
    #[error("the store of attachments failed")]
    Broken(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store of files. Cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    store: Store,
    folder: Arc<Path>,
    quota: Quota,
    /// The bytes of all files, as of the last sweep and what came since.
    used_bytes: Arc<AtomicU64>,
    uploads: Arc<Semaphore>,
}

impl Attachments {
    /// Opens the folder below `data_dir`, making it (for its owner alone) when it is missing.
    ///
    /// Errors: `Broken` when it can't be made or written.
    pub async fn open(store: Store, data_dir: &Path, quota: Quota) -> Result<Self, AttachmentError> {
        let installation = store.secret("installation").await?;
        let name: String = installation.chars().take(16).collect();
        let folder: Arc<Path> = data_dir.join("attachments").join(name).into();
        let incoming = folder.join("incoming");
        let made = tokio::task::spawn_blocking(move || {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(incoming)
        });
        made.await.map_err(io::Error::other)??;
        let attachments = Self {
            store,
            folder,
            quota,
            used_bytes: Arc::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
        };
        let (_, used) = attachments.files().await?;
        attachments.used_bytes.store(used, Ordering::Relaxed);
        Ok(attachments)
    }

    /// Begins to take in the file that its sender calls `name`. Dropped unfinished, it leaves nothing.
    ///
    /// Waits while others upload. Errors: `Refused` at once for a name whose type is not taken.
    pub async fn begin(&self, name: &str) -> Result<Upload, AttachmentError> {
        let name = attachment::clean_name(name);
        if !attachment::is_taken(&name) {
            return Err(fault(Fault::FileType, &name).into());
        }
        let permit = self
            .uploads
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        self.check_room(0, &name)?;
        let id = Uuid::new_v4();
        let path = self.folder.join("incoming").join(id.simple().to_string());
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&path).await?;
        Ok(Upload {
            attachments: self.clone(),
            id,
            name,
            file,
            kept: Kept(Some(path)),
            hash: Sha256::new(),
            head: Vec::new(),
            text: Utf8Check::default(),
            size_bytes: 0,
            _permit: permit,
        })
    }

    /// Opens a stored file for reading; `None` when its row is there and it is not (a folder restored without it).
    pub async fn read(&self, attachment: &Attachment) -> Result<Option<File>, AttachmentError> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW);
        match options.open(self.place(attachment.id)).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes what belongs to nobody: half uploads and files without a row, once they are five minutes old as of
    /// `now` (the machine's clock, like the files' times). Returns how many.
    pub async fn sweep(&self, now: SystemTime) -> Result<usize, AttachmentError> {
        let (files, used) = self.files().await?;
        self.used_bytes.store(used, Ordering::Relaxed);
        let old = |file: &Found| {
            now.duration_since(file.modified)
                .is_ok_and(|age| age > ORPHAN_AFTER)
        };
        let old: Vec<Found> = files.into_iter().filter(old).collect();
        let mut orphans: Vec<PathBuf> = Vec::new();
        for batch in old.chunks(SWEEP_BATCH) {
            let ids: Vec<Uuid> = batch.iter().filter_map(|file| file.id).collect();
            let known = self.store.known_attachments(&ids).await?;
            let unknown = batch
                .iter()
                .filter(|file| file.id.is_none_or(|id| !known.contains(&id)));
            orphans.extend(unknown.map(|file| file.path.clone()));
        }
        let swept = orphans.len();
        for path in orphans {
            remove(&path).await?;
        }
        Ok(swept)
    }

    fn place(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.simple().to_string())
    }

    /// Whether `more` bytes still fit, into our own quota and beside the database's reserve.
    fn check_room(&self, more: u64, name: &str) -> Result<(), AttachmentError> {
        let disk = statvfs(&*self.folder).map_err(io::Error::from)?;
        let size = u64::from(disk.blocks()) * u64::from(disk.fragment_size());
        let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size());
        let reserve = (size / 10).min(self.quota.reserve_bytes);
        let used = self.used_bytes.load(Ordering::Relaxed).saturating_add(more);
        if used > self.quota.total_bytes || free < reserve {
            return Err(fault(Fault::StorageFull, name).into());
        }
        Ok(())
    }

    /// Every file there is, and the bytes of those in their place.
    async fn files(&self) -> Result<(Vec<Found>, u64), AttachmentError> {
        let folder = self.folder.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let mut files = list(&folder.join("incoming"))?;
            for file in &mut files {
                file.id = None;
            }
            let stored = list(&folder)?;
            let used = stored.iter().map(|file| file.size_bytes).sum();
            files.extend(stored);
            Ok::<_, io::Error>((files, used))
        });
        Ok(listed.await.map_err(io::Error::other)??)
    }
}

/// A file in the folder; `id` is none for what no row can name.
struct Found {
    path: PathBuf,
    id: Option<Uuid>,
    modified: SystemTime,
    size_bytes: u64,
}

fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Gone since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if meta.is_file() {
            let id = entry
                .file_name()
                .to_str()
                .and_then(|name| Uuid::try_parse(name).ok());
            files.push(Found {
                path: entry.path(),
                id,
                modified: meta.modified()?,
                size_bytes: meta.len(),
            });
        }
    }
    Ok(files)
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn fault(fault: Fault, name: &str) -> FieldFault {
    FieldFault::new(ReportField::Attachments, fault).file(name)
}

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
    _permit: OwnedSemaphorePermit,
}

impl Upload {
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

/// Whether a stream of bytes is UTF-8 text without NUL, wherever it is cut.
#[derive(Default)]
struct Utf8Check {
    /// The start of a character that the next bytes must complete: at most three bytes.
    open: Vec<u8>,
    wrong: bool,
}

impl Utf8Check {
    fn add(&mut self, bytes: &[u8]) {
        if self.wrong {
            return;
        }
        if bytes.contains(&0) {
            self.wrong = true;
            return;
        }
        let joined;
        let bytes = if self.open.is_empty() {
            bytes
        } else {
            joined = [self.open.as_slice(), bytes].concat();
            &joined
        };
        let open = match std::str::from_utf8(bytes) {
            Ok(_) => &[],
            Err(error) if error.error_len().is_none() => &bytes[error.valid_up_to()..],
            Err(_) => {
                self.wrong = true;
                &[]
            }
        };
        self.open = open.to_vec();
    }

    fn is_text(&self) -> bool {
        !self.wrong && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_the_stream_is_cut() {
        let text = "naïve 报告 \u{1F600} end".as_bytes();
        for step in 1..=text.len() {
            let mut check = Utf8Check::default();
            text.chunks(step).for_each(|chunk| check.add(chunk));
            assert!(check.is_text(), "in steps of {step}");
        }
    }

    #[test]
    fn what_is_cut_short_or_holds_a_nul_is_no_text() {
        for bytes in [
            &b"a\xe6\x8a"[..],
            b"a\0b",
            b"\xff\xfea",
            b"a\xc0\xafb",
            b"\xed\xa0\x80",
        ] {
            let mut check = Utf8Check::default();
            bytes.chunks(1).for_each(|chunk| check.add(chunk));
            assert!(!check.is_text(), "{bytes:?}");
        }
    }
}
