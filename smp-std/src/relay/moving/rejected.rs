//! Lines that were not taken: counted by reason, kept aside with where they stood.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Reason;

/// The name of the file they are kept in.
pub const REJECTED_FILE: &str = "import-rejected.log";

/// How many places a report names; the file has them all.
const NAMED: usize = 20;

/// Keeps lines aside.
pub(super) struct Rejected {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    pub(super) counts: BTreeMap<(String, Reason), u64>,
    pub(super) places: Vec<(String, Reason)>,
}

impl Rejected {
    /// Will write to a file in `folder` once there is something to write.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join(REJECTED_FILE), file: None, counts: BTreeMap::new(), places: Vec::new() }
    }

    /// Keeps a line aside. `file` is the group it is counted in, `place` where it stood.
    pub(super) fn add(&mut self, group: &str, place: String, reason: Reason, line: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(super::files::create_private(&self.path)?)),
        };
        writeln!(file, "# {place}: {reason}")?;
        file.write_all(line)?;
        file.write_all(b"\n")?;
        let count = self.counts.entry((group.to_owned(), reason)).or_default();
        *count = count.saturating_add(1);
        if self.places.len() < NAMED {
            self.places.push((place, reason));
        }
        Ok(())
    }

    /// Makes the file durable.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(file) => file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all(),
            None => Ok(()),
        }
    }
}
