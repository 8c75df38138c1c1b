//! Where the passphrase comes from.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use smp_std::agent::store::Passphrase;
use zeroize::Zeroizing;

use crate::failure::{Context, Failure, STATE, USAGE};

/// The environment variable with the passphrase.
pub(crate) const VARIABLE: &str = "SMP_CHAT_PASSPHRASE";

/// The passphrase that the data folder is encrypted with.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Unlock {
    /// Take the passphrase from the first line of FILE. Without it, it is that of the environment variable
    /// SMP_CHAT_PASSPHRASE, or asked for.
    #[arg(long, value_name = "FILE", help_heading = "Passphrase", global = true)]
    passphrase_file: Option<PathBuf>,
    /// There is no passphrase: whoever gets hold of the data folder can read everything, and write in your name.
    #[arg(long, conflicts_with = "passphrase_file", global = true, help_heading = "Passphrase")]
    no_passphrase: bool,
}

/// What the passphrase is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be set: asked for twice.
    New,
    /// To be tried.
    Existing,
}

impl Unlock {
    pub(crate) fn passphrase(&self, purpose: Purpose) -> Result<Passphrase, Failure> {
        if self.no_passphrase {
            return Ok(Passphrase::empty());
        }
        let text = match (&self.passphrase_file, std::env::var(VARIABLE)) {
            (Some(file), _) => from_file(file)?,
            (None, Ok(text)) => Zeroizing::new(text),
            (None, Err(std::env::VarError::NotUnicode(_))) => {
                return Err(Failure::new(USAGE, format_args!("{VARIABLE} is not UTF-8")));
            }
            (None, Err(std::env::VarError::NotPresent)) => ask(purpose)?,
        };
        if text.is_empty() {
            return Err(Failure::new(USAGE, "the passphrase is empty; --no-passphrase does without one"));
        }
        Passphrase::new(&text).map_err(|error| Failure::new(STATE, error))
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = std::fs::read_to_string(path).context("the passphrase's file").map(Zeroizing::new)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn ask(purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        let ways = format!("use --passphrase-file or {VARIABLE}, or --no-passphrase if there is none");
        return Err(Failure::new(USAGE, format_args!("nobody can be asked for the passphrase: {ways}")));
    }
    let prompt = |text: &str| rpassword::prompt_password(text).map(Zeroizing::new).context("asking for the passphrase");
    let text = prompt("Passphrase: ")?;
    if purpose == Purpose::New && *prompt("Once more: ")? != *text {
        return Err(Failure::new(USAGE, "these are two different passphrases"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_it_on_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        for (content, text) in [("secret words\n", "secret words"), ("a\r\nb\n", "a"), ("x ", "x "), ("", "")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(*from_file(&path).unwrap(), text);
        }
        std::fs::write(&path, "\n").unwrap();
        let unlock = Unlock { passphrase_file: Some(path.clone()), no_passphrase: false };
        assert_eq!(unlock.passphrase(Purpose::New).unwrap_err().code(), USAGE);
        std::fs::remove_file(&path).unwrap();
        assert!(unlock.passphrase(Purpose::New).is_err());
    }
}
