//! The files that people attach: taken in as a stream, checked, put in their place, served, and swept.
//!
//! A file lies at `DATA_DIR/attachments/<installation>/<id>`: the installation is the database's own name, so that two
//! databases with one folder never sweep each other's files. An upload grows in the folder `incoming` beside them; it
//! is moved to its place, and the move made durable, before the transaction that writes its row. So a row always has
//! its file; a file without a row (a crash in between, an aborted upload) is swept.

mod text;
mod upload;

use std::{
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use nix::sys::statvfs::statvfs;
use tokio::fs::{File, OpenOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use upload::{Staged, Upload};

use crate::{
    domain::{
        attachment::{self, Attachment},
        report::{Fault, FieldFault, ReportField},
    },
    store::{Store, StoreError},
};

/// A file without a row that is older than any request can last belongs to nobody.
const ORPHAN_AFTER: Duration = Duration::from_secs(480);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
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
        };
        let (_, used) = attachments.files().await?;
        attachments.used_bytes.store(used, Ordering::Relaxed);
        Ok(attachments)
    }

    /// Begins to take in the file that its sender calls `name`. Dropped unfinished, it leaves nothing.
    ///
    /// Errors: `Refused` at once for a name whose type is not taken, and when the store is full.
    pub async fn begin(&self, name: &str) -> Result<Upload, AttachmentError> {
        let name = attachment::clean_name(name);
        if !attachment::is_taken(&name) {
            return Err(fault(Fault::FileType, &name).into());
        }
        self.check_room(0, &name)?;
        Ok(Upload::begin(self.clone(), name).await?)
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

    /// Deletes what belongs to nobody: half uploads and files without a row, once they are eight minutes old as of
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

    /// Sweeps each minute until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.sweep(SystemTime::now()).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "deleted files that belong to nobody"),
                Err(error) => {
                    tracing::warn!(%error, "the folder of attachments can't be swept; trying again")
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
    }

    fn place(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.simple().to_string())
    }

    /// Whether `more` bytes still fit, into our own quota and beside the database's reserve.
    fn check_room(&self, more: u64, name: &str) -> Result<(), AttachmentError> {
        let disk = statvfs(&*self.folder).map_err(io::Error::from)?;
        let size = disk.blocks() * disk.fragment_size();
        let free = disk.blocks_available() * disk.fragment_size();
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
