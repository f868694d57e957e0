//! What can go wrong with the database, as far as a caller does something different about it.

/// An error of the database. Its text names no path, no statement and no credentials.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Down, locked, full, or too slow. Nothing is known to have been written; trying again later is right.
    #[error("the database is not available: {cause}")]
    Unavailable {
        cause: Unavailable,
        #[source]
        source: Option<sqlx::Error>,
    },
    /// A row changed between its reading and its writing. Trying again at once is right.
    #[error("somebody else changed the same rows at the same time")]
    Conflict,
    /// What was asked for can't be: the URL, a file, an unknown schema.
    #[error("{0}")]
    Configuration(String),
    /// A defect, here or in the file: wrong types, a broken constraint, a damaged page.
    #[error("the database answered with an error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why the database is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    Unreachable,
    Busy,
    Full,
    TooSlow,
    ReadOnly,
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it can't be reached",
            Self::Busy => "it is busy",
            Self::Full => "its disk is full",
            Self::TooSlow => "it answers too slowly",
            Self::ReadOnly => "it is read-only",
        })
    }
}

impl StoreError {
    /// Whether waiting may help: the request itself was fine.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use Unavailable::*;
        let cause = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Unreachable),
            sqlx::Error::Protocol(_) => Some(Unreachable),
            sqlx::Error::PoolTimedOut => Some(Busy),
            sqlx::Error::Database(database) => {
                match (database.code().as_deref(), error_class(database.as_ref())) {
                    (Some("40001" | "40P01"), _) => return Self::Conflict,
                    (_, Some(cause)) => Some(cause),
                    _ => None,
                }
            }
            _ => None,
        };
        match cause {
            Some(cause) => Self::Unavailable {
                cause,
                source: Some(error),
            },
            None => Self::Internal(Box::new(error)),
        }
    }
}

/// SQLite's primary result code, or PostgreSQL's SQLSTATE class, as far as it means "not now".
fn error_class(error: &dyn sqlx::error::DatabaseError) -> Option<Unavailable> {
    let code = error.code()?;
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // Extended codes carry the primary code in their low byte (sqlite.org/rescode.html).
        return match code.parse::<i64>().ok()? & 0xff {
            5 | 6 => Some(Unavailable::Busy),
            8 => Some(Unavailable::ReadOnly),
            10 | 14 | 15 => Some(Unavailable::Unreachable),
            13 => Some(Unavailable::Full),
            _ => None,
        };
    }
    match code.as_ref() {
        "57014" | "55P03" | "25P03" => Some(Unavailable::TooSlow),
        "25006" => Some(Unavailable::ReadOnly),
        "53100" => Some(Unavailable::Full),
        "53300" | "53200" | "53000" => Some(Unavailable::Busy),
        code if code.starts_with("08")
            || code.starts_with("57P")
            || code.starts_with("58")
            || code.starts_with("28") =>
        {
            Some(Unavailable::Unreachable)
        }
        _ => None,
    }
}
