//! What strangers write: the fields of a report or a message, checked once and for all, and what is wrong with them.

use uuid::Uuid;

use super::words::words;

/// The longest texts, in characters.
pub const SUBJECT_MAX: usize = 200;
pub const BODY_MAX: usize = 20_000;
pub const EMAIL_MAX: usize = 254;

words! {
    /// The fields of a report, by the names in the form and in JSON.
    pub enum ReportField {
        Subject = "subject",
        Description = "description",
        Email = "email",
        TaskId = "task_id",
        /// The text of a message.
        Body = "body",
        Attachments = "attachments",
    }
}

words! {
    /// What is wrong with a field. The word names its text in the catalogue, `fault-…`.
    pub enum Fault {
        Missing = "missing",
        TooLong = "too-long",
        NoEmail = "no-email",
        NoTaskId = "no-task-id",
        TooManyFiles = "too-many-files",
        FileTooLarge = "file-too-large",
        FileEmpty = "file-empty",
        FileType = "file-type",
        /// Its name says one type and its content another.
        FileMismatch = "file-mismatch",
        /// This ticket holds as many files as one may.
        TicketFull = "ticket-full",
        /// The store of files is full.
        StorageFull = "storage-full",
        /// This caller has sent as much as one may for today.
        UploadQuota = "upload-quota",
    }
}

/// One wrong field. `limit` is the number that its text names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct FieldFault {
    pub field: ReportField,
    pub fault: Fault,
    pub limit: Option<u64>,
    /// The file that it is about.
    pub file: Option<String>,
}

impl FieldFault {
    pub const fn new(field: ReportField, fault: Fault) -> Self {
        Self {
            field,
            fault,
            limit: None,
            file: None,
        }
    }

    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    pub fn file(mut self, name: &str) -> Self {
        self.file = Some(name.to_owned());
        self
    }
}

/// A report as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportForm {
    pub subject: String,
    pub description: String,
    pub email: String,
    pub task_id: String,
}

/// A checked report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub subject: String,
    pub description: String,
    pub email: Option<String>,
    pub task_id: Option<Uuid>,
}

impl Report {
    /// Checks every field and names all that are wrong, in the form's order.
    ///
    /// A task id must be well formed, no more: whether there is such a task is nothing to tell a stranger.
    pub fn parse(form: &ReportForm) -> Result<Self, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut take = |result: Result<String, FieldFault>| match result {
            Ok(text) => text,
            Err(fault) => {
                faults.push(fault);
                String::new()
            }
        };
        let subject = take(text(ReportField::Subject, one_line(&form.subject), SUBJECT_MAX));
        let description = take(text(ReportField::Description, lines(&form.description), BODY_MAX));
        let email = one_line(&form.email);
        if !email.is_empty() && !is_email(&email) {
            faults.push(FieldFault::new(ReportField::Email, Fault::NoEmail));
        }
        let task_id = one_line(&form.task_id);
        let parsed = task_id.parse::<Uuid>().ok();
        if !task_id.is_empty() && parsed.is_none() {
            faults.push(FieldFault::new(ReportField::TaskId, Fault::NoTaskId));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            subject,
            description,
            email: (!email.is_empty()).then_some(email),
            task_id: parsed,
        })
    }
}

/// A checked message: never empty.
pub fn message_body(given: &str) -> Result<String, FieldFault> {
    text(ReportField::Body, lines(given), BODY_MAX)
}

fn text(field: ReportField, text: String, max: usize) -> Result<String, FieldFault> {
    if text.is_empty() {
        return Err(FieldFault::new(field, Fault::Missing));
    }
    if text.chars().count() > max {
        return Err(FieldFault::new(field, Fault::TooLong).limit(max as u64));
    }
    Ok(text)
}

/// The text on one line: runs of white space and control characters are one space, none at the ends.
pub fn one_line(text: &str) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text with `\n` line ends, without other control characters than tabs, and without white space at its end.
pub fn lines(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n");
    out.retain(|char| matches!(char, '\n' | '\t') || !char.is_control());
    let blank = out
        .lines()
        .take_while(|line| line.trim().is_empty())
        .map(|line| line.len() + 1)
        .sum::<usize>();
    out.get(blank..).unwrap_or_default().trim_end().to_owned()
}

/// Whether a text can be an address to write to. What really works, only a letter shows.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |char: char| !char.is_whitespace() && !char.is_control() && !"<>()[],;:\\\"".contains(char);
    text.chars().count() <= EMAIL_MAX
        && (1..=64).contains(&local.len())
        && !local.contains('@')
        && domain.split('.').count() >= 2
        && domain
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|char| char.is_alphanumeric() || char == '-'))
        && local.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let form = ReportForm {
            subject: " \n ".into(),
            description: "x".repeat(BODY_MAX + 1),
            email: "nobody".into(),
            task_id: "42".into(),
        };
        let faults = Report::parse(&form).expect_err("four faults");
        let named: Vec<_> = faults.iter().map(|fault| (fault.field, fault.fault)).collect();
        assert_eq!(
            named,
            [
                (ReportField::Subject, Fault::Missing),
                (ReportField::Description, Fault::TooLong),
                (ReportField::Email, Fault::NoEmail),
                (ReportField::TaskId, Fault::NoTaskId),
            ]
        );
    }

    #[test]
    fn what_was_written_is_kept_without_what_no_reader_sees() {
        let form = ReportForm {
            subject: "  Import\u{0} hangs\r\n since  noon ".into(),
            description: "\r\n  first\r\n\tsecond\u{1b}[31m\u{7}\r\n\r\n".into(),
            email: " a.b@c.example ".into(),
            task_id: " 0198A000-0000-7000-8000-000000000001 ".into(),
        };
        let report = Report::parse(&form).expect("a report");
        assert_eq!(report.subject, "Import hangs since noon");
        assert_eq!(report.description, "  first\n\tsecond[31m");
        assert_eq!(report.email.as_deref(), Some("a.b@c.example"));
        assert!(report.task_id.is_some());
    }

    #[test]
    fn an_address_that_no_letter_could_reach_is_refused() {
        for fine in ["a@b.example", "名字@例子.中国", "a+b.c@sub.b-c.example"] {
            assert!(is_email(fine), "{fine}");
        }
        for wrong in [
            "a",
            "@b.example",
            "a@",
            "a@b",
            "a@b..example",
            "a b@c.example",
            "a@b@c.example",
            "a@b.ex ample",
        ] {
            assert!(!is_email(wrong), "{wrong}");
        }
    }
}
