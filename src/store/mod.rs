//! Keeps: the only module that names `sqlx`.
