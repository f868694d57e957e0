//! Forms with files, read as a stream: every part, every byte and every name is bounded, and nothing is unpacked.
//!
//! axum's `Multipart` takes in whatever the connection has before it looks at it, so its source is slowed down here to
//! one piece at a time, and stopped when it grows without giving a part: a request costs kilobytes of memory, whatever
//! it sends.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::Field},
    http::header,
};
use futures_util::Stream;

use super::error::{AppError, Problem};
use crate::{
    domain::{
        attachment::{FILES_PER_MESSAGE, clean_name},
        report::{Fault, FieldFault, ReportField},
    },
    services::{
        attachments::{AttachmentError, Staged},
        report_limits::Caller,
        ticketing::Ticketing,
    },
};

/// The name of the form's field for files.
const FILES: &str = "attachments";
/// Far more parts than any of our forms has.
const PARTS_MAX: usize = 40;
/// The longest text of one field, in bytes: 20,000 characters of the widest sort.
const TEXT_MAX_BYTES: usize = 128 * 1024;
/// The largest body that is read at all. What is too large but below that is read and dropped, so that the sender
/// gets an answer instead of a broken connection.
const BODY_MAX_BYTES: u64 = 128 * 1024 * 1024;
/// The largest piece that is handed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// How much may come without giving a part or a piece of one: the head of a part is at most so long.
const UNREAD_MAX_BYTES: u64 = 64 * 1024;
/// How many uploaded bytes are counted at once against the caller's quota.
const COUNTED_BYTES: usize = 64 * 1024;

/// A form that was read to its end. Its files are stored, and go away with it unless they are filed.
#[derive(Debug)]
pub(crate) struct Form {
    texts: HashMap<&'static str, String>,
    pub(crate) files: Vec<Staged>,
    /// What was wrong with files; they were read and dropped.
    pub(crate) faults: Vec<FieldFault>,
}

impl Form {
    /// The text of a field, as it was sent; empty when it was not.
    pub(crate) fn take(&mut self, field: &str) -> String {
        self.texts.remove(field).unwrap_or_default()
    }

    /// Whether the sender chose any file.
    pub(crate) fn had_files(&self) -> bool {
        !self.files.is_empty() || !self.faults.is_empty()
    }
}

/// Reads a form whose text fields are `fields`, and stores its files.
///
/// Errors: 415 for another content type or a packed body, 400 for a malformed form, an unknown or repeated field and
/// more parts than a form has, 413 for too long a text or body. A file that is refused is no error: see `Form::faults`.
pub(crate) async fn read(
    request: Request,
    fields: &[&'static str],
    desk: &Ticketing,
    caller: &Caller,
) -> Result<Form, AppError> {
    let gauge = Arc::new(Gauge::default());
    let mut parts = open(request, gauge.clone()).await?;
    let mut form = Form {
        texts: HashMap::new(),
        files: Vec::new(),
        faults: Vec::new(),
    };
    let mut seen = 0;
    while let Some(mut part) = parts.next_field().await.map_err(|_| gauge.refusal())? {
        gauge.unread.store(0, Relaxed);
        seen += 1;
        if seen > PARTS_MAX {
            return Err(malformed("the form has more fields than any of ours"));
        }
        let name = part.name().unwrap_or_default();
        if name == FILES {
            let stored = take_file(&mut part, &gauge, form.files.len(), desk, caller).await?;
            match stored {
                Taken::Stored(staged) => form.files.push(staged),
                Taken::Refused(fault) if !form.faults.contains(&fault) => form.faults.push(fault),
                Taken::Refused(_) | Taken::Nothing => {}
            }
            continue;
        }
        let Some(field) = fields.iter().copied().find(|field| *field == name) else {
            return Err(malformed("the form has a field that this page does not know"));
        };
        let text = read_text(&mut part, &gauge).await?;
        if form.texts.insert(field, text).is_some() {
            return Err(malformed("the form has a field twice"));
        }
    }
    Ok(form)
}

/// The parts of a multipart request, from a slowed-down body.
async fn open(request: Request, gauge: Arc<Gauge>) -> Result<Multipart, AppError> {
    let (parts, body) = request.into_parts();
    let packed = parts
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if packed {
        return Err(
            AppError::new(Problem::MediaType).detail("the body must be sent without a Content-Encoding")
        );
    }
    let kind = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        return Err(AppError::new(Problem::MediaType).detail("the form must be sent as multipart/form-data"));
    }
    let piecewise = Piecewise {
        body: body.into_data_stream(),
        rest: Bytes::new(),
        rested: true,
        gauge,
    };
    let mut request = Request::from_parts(parts, Body::from_stream(piecewise));
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &())
        .await
        .map_err(|_| malformed("the form's boundary is missing"))
}

async fn read_text(part: &mut Field<'_>, gauge: &Gauge) -> Result<String, AppError> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(part, gauge).await? {
        if bytes.len() + piece.len() > TEXT_MAX_BYTES {
            return Err(AppError::new(Problem::TooLarge).detail("a text of the form is too long"));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| malformed("a text of the form is not UTF-8"))
}

enum Taken {
    Stored(Staged),
    Refused(FieldFault),
    /// The field was left empty.
    Nothing,
}

/// Stores the file of one part. What is refused is read to its end all the same.
async fn take_file(
    part: &mut Field<'_>,
    gauge: &Gauge,
    stored: usize,
    desk: &Ticketing,
    caller: &Caller,
) -> Result<Taken, AppError> {
    let name = part.file_name().unwrap_or_default().to_owned();
    let mut piece = next_piece(part, gauge).await?;
    if name.is_empty() && piece.as_ref().is_none_or(Bytes::is_empty) {
        return Ok(Taken::Nothing);
    }
    let over_quota =
        || FieldFault::new(ReportField::Attachments, Fault::UploadQuota).file(&clean_name(&name));
    let mut upload = if stored >= FILES_PER_MESSAGE {
        let fault = FieldFault::new(ReportField::Attachments, Fault::TooManyFiles);
        Err(fault.limit(FILES_PER_MESSAGE as u64))
    } else {
        refused_or(desk.attachments.begin(&name).await)?
    };
    let mut uncounted = 0;
    while let Some(bytes) = piece {
        uncounted += bytes.len();
        if uncounted >= COUNTED_BYTES {
            if desk.limits.admit_upload(caller, uncounted).is_err() {
                upload = Err(over_quota());
            }
            uncounted = 0;
        }
        if let Ok(open) = &mut upload
            && let Err(fault) = refused_or(open.write(&bytes).await)?
        {
            upload = Err(fault);
        }
        piece = next_piece(part, gauge).await?;
    }
    if desk.limits.admit_upload(caller, uncounted).is_err() && upload.is_ok() {
        upload = Err(over_quota());
    }
    match upload {
        Err(fault) => Ok(Taken::Refused(fault)),
        Ok(upload) => Ok(match refused_or(upload.finish().await)? {
            Ok(staged) => Taken::Stored(staged),
            Err(fault) => Taken::Refused(fault),
        }),
    }
}

/// What the sender can mend, apart from what nobody can.
fn refused_or<T>(result: Result<T, AttachmentError>) -> Result<Result<T, FieldFault>, AppError> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(AttachmentError::Refused(fault)) => Ok(Err(fault)),
        Err(error) => Err(error.into()),
    }
}

async fn next_piece(part: &mut Field<'_>, gauge: &Gauge) -> Result<Option<Bytes>, AppError> {
    let piece = part.chunk().await.map_err(|_| gauge.refusal())?;
    gauge.unread.store(0, Relaxed);
    Ok(piece)
}

fn malformed(detail: &'static str) -> AppError {
    AppError::new(Problem::BadRequest).detail(detail)
}

impl From<AttachmentError> for AppError {
    fn from(error: AttachmentError) -> Self {
        match error {
            AttachmentError::Refused(fault) => Self::new(Problem::Invalid).detail(fault.to_string()),
            AttachmentError::Store(error) => error.into(),
            AttachmentError::Broken(error) => {
                tracing::error!(error = %error, "the store of attachments failed");
                Self::new(Problem::Unavailable)
            }
        }
    }
}

/// What has come of a body. `Multipart` hides why its source failed, so it is noted here.
#[derive(Default)]
struct Gauge {
    /// Bytes since the last part or piece of one.
    unread: AtomicU64,
    total: AtomicU64,
}

impl Gauge {
    /// Counts bytes that came; false when it must end here.
    fn take(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let unread = self.unread.fetch_add(bytes, Relaxed) + bytes;
        let total = self.total.fetch_add(bytes, Relaxed) + bytes;
        unread <= UNREAD_MAX_BYTES && total <= BODY_MAX_BYTES
    }

    /// Why the form could not be read on.
    fn refusal(&self) -> AppError {
        if self.total.load(Relaxed) > BODY_MAX_BYTES {
            AppError::new(Problem::TooLarge).detail("the form is far too large")
        } else if self.unread.load(Relaxed) > UNREAD_MAX_BYTES {
            malformed("a field of the form has too long a head")
        } else {
            malformed("the form is malformed or was cut short")
        }
    }
}

/// A body in pieces, with a rest after each: so that whoever reads it looks at a piece before the next one comes.
struct Piecewise {
    body: BodyDataStream,
    rest: Bytes,
    rested: bool,
    gauge: Arc<Gauge>,
}

impl Stream for Piecewise {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.rested {
            self.rested = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => return Poll::Ready(None),
            }
        }
        let most = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(most);
        if !self.gauge.take(piece.len()) {
            return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
        }
        self.rested = false;
        Poll::Ready(Some(Ok(piece)))
    }
}
