//! The control socket: a unix socket that only its owner can use.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name inside the relay's directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Addresses of unix sockets are at most 107 bytes long.
const LONGEST_PATH: usize = 100;

/// The socket's path, however long the directory's is, and what must be kept open while it is used.
fn path(directory: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = directory.join(SOCKET_NAME);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path, None));
    }
    let folder = File::open(directory)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET_NAME), Some(folder)))
}

/// Listens at the socket in `directory`, which no other process serves.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (path, _folder) = path(directory)?;
    remove(directory);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&path)?)?;
    // Before anybody can connect.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// Removes the socket of a relay that ended.
pub(super) fn remove(directory: &Path) {
    let _ = fs::remove_file(directory.join(SOCKET_NAME));
}

/// Connects to the relay that runs in `directory`.
///
/// # Errors
/// Of the system: [`io::ErrorKind::NotFound`] or [`io::ErrorKind::ConnectionRefused`] when no relay runs there.
pub async fn connect(directory: &Path) -> io::Result<UnixStream> {
    let (path, _folder) = path(directory)?;
    UnixStream::connect(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_connects_and_the_path_may_be_long() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("d".repeat(60)).join("e".repeat(60));
        fs::create_dir_all(&long).unwrap();
        for directory in [directory.path(), &long] {
            assert_eq!(connect(directory).await.unwrap_err().kind(), io::ErrorKind::NotFound);
            // The second time over what a crash left behind.
            for _ in 0..2 {
                let listener = listen(directory).unwrap();
                let mode = fs::metadata(directory.join(SOCKET_NAME)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                let (_client, accepted) = tokio::join!(connect(directory), listener.accept());
                accepted.unwrap();
            }
            assert_eq!(connect(directory).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
