//! Why there is no web site.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why the web site cannot be served: a file that cannot be used.
#[derive(Debug)]
pub struct WebError {
    path: PathBuf,
    reason: String,
}

impl WebError {
    pub(super) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the web site cannot use {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for WebError {}
