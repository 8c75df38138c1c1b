//! Files that are there completely or not at all, with the right mode from their first byte on.

use super::{IdentityError, Problem};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Who may read a file.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Owner,
    Everybody,
}

/// A file to be made.
pub(super) struct NewFile {
    name: &'static str,
    content: Zeroizing<String>,
    access: Access,
}

impl NewFile {
    pub(super) fn new(name: &'static str, content: Zeroizing<String>, access: Access) -> Self {
        Self { name, content, access }
    }

    fn temporary_name(&self) -> String {
        format!(".{}.new", self.name)
    }
}

/// Makes `files` in `directory`: first all under other names, then each renamed in turn, everything synced.
pub(super) fn create<const N: usize>(directory: &Path, files: [NewFile; N]) -> Result<(), IdentityError> {
    fs::create_dir_all(directory).map_err(|error| Problem::Io(error).at(directory, ""))?;
    for file in &files {
        write_temporary(directory, file).map_err(|error| Problem::Io(error).at(directory, file.name))?;
    }
    for file in &files {
        fs::rename(directory.join(file.temporary_name()), directory.join(file.name))
            .map_err(|error| Problem::Io(error).at(directory, file.name))?;
    }
    sync_directory(directory).map_err(|error| Problem::Io(error).at(directory, ""))
}

fn write_temporary(directory: &Path, new: &NewFile) -> io::Result<()> {
    let path = directory.join(new.temporary_name());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        match new.access {
            Access::Owner => 0o600,
            Access::Everybody => 0o644,
        },
    );
    let mut file = options.open(path)?;
    file.write_all(new.content.as_bytes())?;
    file.sync_all()
}

/// Makes the renames in `directory` survive a power cut.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    // Other systems than Unix cannot open a directory and do not need to.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The content of a file.
pub(super) fn read(directory: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    match fs::read(directory.join(name)) {
        Ok(content) => Ok(Zeroizing::new(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::Missing.at(directory, name)),
        Err(error) => Err(Problem::Io(error).at(directory, name)),
    }
}

/// Warns about private files that other users of the machine can read.
pub(super) fn warn_if_readable_by_others(directory: &Path, names: &[&str]) {
    #[cfg(unix)]
    for name in names {
        let mode =
            fs::metadata(directory.join(name)).map(|data| std::os::unix::fs::PermissionsExt::mode(&data.permissions()));
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            tracing::warn!("{name} can be read by other users of this machine; run: chmod 600 {name}");
        }
    }
    #[cfg(not(unix))]
    let _ = (directory, names);
}
