//! What can be wrong with an identity, and what to do about it.

use smp_crypto::certificate::ChainError;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// What is wrong with a file of an identity, or with making it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The file exists: there is an identity, or a part of one, and it is not overwritten.
    Exists,
    /// The file is missing.
    Missing,
    /// The operating system does not let it be read or written.
    Io(io::Error),
    /// There is no PEM certificate in it.
    NoCertificate,
    /// There is no PEM private key (PKCS#8, not encrypted) in it.
    NoKey,
    /// The key is not that of the certificate in `server.crt`, or not of Ed25519 or Ed448.
    OtherKey,
    /// The certificates do not make a chain that clients accept.
    Chain(ChainError),
    /// The fingerprint is not that of the first certificate in `ca.crt`.
    Fingerprint,
    /// The host name does not fit into a certificate.
    Host,
    /// The operating system has no random numbers.
    Random,
    /// A key or certificate could not be written as text.
    Encoding,
}

impl Problem {
    /// The error that says where the problem is.
    pub(super) fn at(self, directory: &Path, name: &str) -> IdentityError {
        IdentityError { file: Some(directory.join(name)), problem: self }
    }
}

/// A server's identity cannot be made or used. The text says which file, what is wrong and what to do.
#[derive(Debug)]
pub struct IdentityError {
    file: Option<PathBuf>,
    problem: Problem,
}

impl IdentityError {
    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The file it is wrong with.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) const fn random() -> Self {
        Self { file: None, problem: Problem::Random }
    }

    pub(super) const fn encoding() -> Self {
        Self { file: None, problem: Problem::Encoding }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{}: ", file.display())?;
        }
        match &self.problem {
            Problem::Exists => out.write_str(
                "exists already; an identity is never overwritten: clients know the server by it. \
                 Use another directory, or move the old files away",
            ),
            Problem::Missing => {
                out.write_str("missing; restore it from a backup, or run `init` in an empty directory for a new identity")
            }
            Problem::Io(error) => write!(out, "{error}"),
            Problem::NoCertificate => {
                out.write_str("holds no readable certificate; it must be a PEM file with BEGIN CERTIFICATE in it")
            }
            Problem::NoKey => out.write_str(
                "holds no readable private key; it must be an unencrypted PKCS#8 PEM file with BEGIN PRIVATE KEY in it",
            ),
            Problem::OtherKey => out.write_str(
                "is not the key of the certificate in server.crt (or of another algorithm than Ed25519 and Ed448); \
                 put back the pair that was made together",
            ),
            Problem::Chain(error) => {
                write!(out, "with ca.crt makes no chain that clients accept: {error}; put back the files made together")
            }
            Problem::Fingerprint => out.write_str(
                "does not fit the first certificate in ca.crt. If ca.crt was replaced on purpose the server has another \
                 address now, and this file must hold the new fingerprint; if not, put back the old ca.crt",
            ),
            Problem::Host => out.write_str("the host name must have 1 to 255 bytes"),
            Problem::Random => out.write_str("the operating system gives no random numbers"),
            Problem::Encoding => out.write_str("a new key or certificate could not be written as text"),
        }
    }
}

impl std::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Io(error) => Some(error),
            Problem::Chain(error) => Some(error),
            _ => None,
        }
    }
}
