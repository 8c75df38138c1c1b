//! Files that only the owner may read.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

/// Makes a file that does not exist yet, readable by its owner only.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder and those above it, for their owner only.
pub(super) fn create_folders(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes everything that was written below a folder survive a power cut.
pub(super) fn sync_below(path: &Path) -> io::Result<()> {
    // All of its file system, which is quicker than file by file where there are many.
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(File::open(path)?)?);
    #[cfg(not(target_os = "linux"))]
    {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                sync_below(&entry.path())?
            } else {
                File::open(entry.path())?.sync_all()?
            }
        }
        sync_folder(path)
    }
}

/// Makes what was created or renamed in a folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
