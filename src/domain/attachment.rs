//! Files that people attach: which are taken, and what they are called. Nothing here opens a file.

use uuid::Uuid;

use super::{report::Fault, time::Time};

/// The most files of one message, and of one ticket.
pub const FILES_PER_MESSAGE: usize = 5;
pub const FILES_PER_TICKET: usize = 30;
/// The largest file, in bytes.
pub const FILE_MAX_BYTES: u64 = 10 * 1024 * 1024;
/// The longest name that is kept, in characters.
const NAME_MAX: usize = 120;

/// A stored file. Its content lies under its id, never under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub id: Uuid,
    /// The message that it came with.
    pub message_id: Uuid,
    /// As the sender called it, cleaned: for showing and for the download's name.
    pub name: String,
    pub content_type: String,
    pub size_bytes: i64,
    pub created_at: Time,
}

/// A type of file that is taken.
struct Kind {
    extensions: &'static [&'static str],
    content_type: &'static str,
    /// The content types that its first bytes may show (as `infer` names them); none for text.
    shows_as: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        extensions: &["txt", "log"],
        content_type: "text/plain",
        shows_as: &[],
    },
    Kind {
        extensions: &["csv"],
        content_type: "text/csv",
        shows_as: &[],
    },
    Kind {
        extensions: &["json"],
        content_type: "application/json",
        shows_as: &[],
    },
    Kind {
        extensions: &["png"],
        content_type: "image/png",
        shows_as: &["image/png"],
    },
    Kind {
        extensions: &["jpg", "jpeg"],
        content_type: "image/jpeg",
        shows_as: &["image/jpeg"],
    },
    Kind {
        extensions: &["gif"],
        content_type: "image/gif",
        shows_as: &["image/gif"],
    },
    Kind {
        extensions: &["webp"],
        content_type: "image/webp",
        shows_as: &["image/webp"],
    },
    Kind {
        extensions: &["pdf"],
        content_type: "application/pdf",
        shows_as: &["application/pdf"],
    },
    Kind {
        extensions: &["zip"],
        content_type: "application/zip",
        shows_as: &["application/zip"],
    },
    Kind {
        extensions: &["gz", "tgz"],
        content_type: "application/gzip",
        shows_as: &["application/gzip"],
    },
    Kind {
        extensions: &["mp4"],
        content_type: "video/mp4",
        shows_as: &["video/mp4"],
    },
    Kind {
        extensions: &["webm"],
        content_type: "video/webm",
        shows_as: &["video/webm", "video/x-matroska"],
    },
];

/// Every extension that is taken, for the form's file chooser and the texts.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.extensions.iter().copied())
}

/// What a file's bytes have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The type that its first bytes are known for, when they are.
    pub magic: Option<&'a str>,
    /// Whether all of it is UTF-8 without NUL.
    pub text: bool,
}

/// The content type of a file: its name's extension must be one that is taken, and its content must agree.
///
/// Errors: `FileType` for an extension that is not taken, `FileMismatch` for content of another type.
pub fn content_type(name: &str, shown: Shown<'_>) -> Result<&'static str, Fault> {
    let kind = kind_of(name).ok_or(Fault::FileType)?;
    let agrees = match (kind.shows_as, shown.magic) {
        ([], _) => shown.text,
        (allowed, Some(magic)) => allowed.contains(&magic),
        (_, None) => false,
    };
    if agrees {
        Ok(kind.content_type)
    } else {
        Err(Fault::FileMismatch)
    }
}

/// Whether a file of this name could be taken at all: known before its content is.
pub fn is_taken(name: &str) -> bool {
    kind_of(name).is_some()
}

fn kind_of(name: &str) -> Option<&'static Kind> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|kind| kind.extensions.contains(&extension.as_str()))
}

/// The name as it is kept and shown: the last part of a path, one line, without control and direction characters,
/// shortened before its extension. Never empty.
pub fn clean_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|char| !char.is_control() && !is_invisible(*char))
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .take(20_000)
        .collect();
    let plain = plain.trim_matches([' ', '.']);
    if plain.is_empty() {
        return "file".to_owned();
    }
    if plain.chars().count() <= NAME_MAX {
        return plain.to_owned();
    }
    let (stem, extension) = match plain.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= 10 => (stem, format!(".{extension}")),
        _ => (plain, String::new()),
    };
    let keep = NAME_MAX - 1 - extension.chars().count();
    format!("{}…{extension}", stem.chars().take(keep).collect::<String>())
}

/// Direction marks and zero-width characters: they make `gpj.exe` of `exe.jpg`.
const fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(magic: Option<&str>, text: bool) -> Shown<'_> {
        Shown { magic, text }
    }

    #[test]
    fn extension_and_content_must_agree() {
        for (name, magic, text, is) in [
            ("a.png", Some("image/png"), false, Ok("image/png")),
            ("A.PNG", Some("image/png"), false, Ok("image/png")),
            ("a.txt", None, true, Ok("text/plain")),
            ("page.log", Some("text/html"), true, Ok("text/plain")),
            ("a.json", None, true, Ok("application/json")),
            ("a.png", Some("text/html"), true, Err(Fault::FileMismatch)),
            ("a.png", None, true, Err(Fault::FileMismatch)),
            ("a.jpg", Some("image/png"), false, Err(Fault::FileMismatch)),
            (
                "a.txt",
                Some("application/x-executable"),
                false,
                Err(Fault::FileMismatch),
            ),
            ("a.html", Some("text/html"), true, Err(Fault::FileType)),
            ("a.svg", Some("text/xml"), true, Err(Fault::FileType)),
            ("a.png.exe", Some("image/png"), false, Err(Fault::FileType)),
            ("png", Some("image/png"), false, Err(Fault::FileType)),
            ("", None, true, Err(Fault::FileType)),
        ] {
            assert_eq!(
                content_type(name, shown(magic, text)),
                is,
                "{name} {magic:?} {text}"
            );
        }
    }

    #[test]
    fn a_name_is_only_a_name() {
        for (given, is) in [
            ("a.png", "a.png"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\Users\\a\\log.txt", "log.txt"),
            ("..", "file"),
            ("", "file"),
            ("/", "file"),
            (" .log. ", "log"),
            ("a\0b\r\nSet-Cookie: x.txt", "abSet-Cookie: x.txt"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("报告 一.csv", "报告 一.csv"),
            ("..%2f..%2fx.log", "%2f..%2fx.log"),
        ] {
            assert_eq!(clean_name(given), is, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = clean_name(&format!("{}.json", "长".repeat(10_000)));
        assert_eq!(name.chars().count(), NAME_MAX);
        assert!(name.ends_with("….json"), "{name}");
        assert_eq!(
            clean_name(&format!("a.{}", "b".repeat(10_000))).chars().count(),
            NAME_MAX
        );
    }
}
