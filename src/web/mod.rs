//! Shows: the only module that names `axum` and `askama`.
