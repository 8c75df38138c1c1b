//! Running other programs: shown before they run, with nothing on their standard input.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::family;

/// Why a chore could not be done, in words that say what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `what` went wrong because of `error`.
    pub(crate) fn because(what: &str, error: impl fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program to run, and the text a person would type for it.
pub(crate) struct Run {
    command: Command,
    folder: String,
    variables: Vec<String>,
    words: Vec<String>,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let words = vec![quoted(&program.to_string_lossy())];
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command, folder: String::new(), variables: Vec::new(), words }
    }

    /// The cargo that started this program, in its toolchain.
    pub(crate) fn cargo() -> Self {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut run = Self::new(program);
        run.words = vec!["cargo".to_owned()];
        // `cargo run` describes this package to it in variables. Build scripts that watch them (ring's does) would
        // run again for every cargo that inherits them.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let describes = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            if describes.iter().any(|prefix| name.starts_with(prefix)) {
                run.command.env_remove(&*name);
            }
        }
        run
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(quoted(&argument.as_ref().to_string_lossy()));
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push(format!("{name}={}", quoted(&value.as_ref().to_string_lossy())));
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it in a folder below the root, as a person would who stands there.
    pub(crate) fn inside(mut self, root: &Path, folder: &str) -> Self {
        self.folder = format!("cd {} && ", quoted(folder));
        self.command.current_dir(root.join(folder));
        self
    }

    /// The command as a person would type it.
    pub(crate) fn shown(&self) -> String {
        let all: Vec<&str> = self.variables.iter().chain(&self.words).map(String::as_str).collect();
        format!("{}{}", self.folder, all.join(" "))
    }

    /// Shows the command, runs it with its output passed on, and fails when it fails.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let status = self.command.status().map_err(|error| Failure::because(&shown, error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("this command ended with {status}:\n  {shown}")))
        }
    }

    /// Runs the command unseen and returns its standard output.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let shown = self.shown();
        let output = self.command.output().map_err(|error| Failure::because(&shown, error))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Failure::new(format!("this command ended with {}:\n  {shown}\n{}", output.status, said.trim_end())))
        }
    }

    /// Runs the command unseen and returns what it said on standard error; shows all of that when it fails.
    pub(crate) fn said(mut self) -> Result<String, Failure> {
        let shown = self.shown();
        let output = self.command.output().map_err(|error| Failure::because(&shown, error))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        println!("$ {shown}\n{said}");
        Err(Failure::new(format!("this command ended with {}:\n  {shown}", output.status)))
    }

    /// Runs the command, passes on what it says on standard error, and returns that too.
    pub(crate) fn followed(mut self) -> Result<String, Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let failed = |error| Failure::because(&shown, error);
        let mut child = self.command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
                eprintln!("{line}");
                said.push_str(&line);
                said.push('\n');
            }
        }
        let status = child.wait().map_err(failed)?;
        if status.success() {
            return Ok(said);
        }
        Err(Failure::new(format!("this command ended with {status}:\n  {shown}")))
    }

    /// Runs the command beside others: shows it when it starts, and again with all that it said when it has ended. One
    /// that takes longer than `limit` is killed, with everything it started: what it said tells what it hung in.
    pub(crate) fn heard(mut self, limit: Duration) -> Result<(), Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let failed = |error| Failure::because(&shown, error);
        // A file, not a pipe: a pipe would end only with the last program that the command left running.
        let mut said = nameless_file().map_err(failed)?;
        self.command.stdout(said.try_clone().map_err(failed)?).stderr(said.try_clone().map_err(failed)?);
        let mut child = self.command.spawn().map_err(failed)?;
        let status = family::wait(&mut child, limit).map_err(failed)?;
        let mut text = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut text)).map_err(failed)?;
        println!("--- {shown}\n{}", String::from_utf8_lossy(&text).trim_end());
        let how = match status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => format!("ended with {status}"),
            None => format!("took longer than {limit:?} and was killed"),
        };
        Err(Failure::new(format!("this command {how}:\n  {shown}")))
    }

    /// Whether the command, run unseen, succeeds.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

/// An empty file that is gone when it is closed.
fn nameless_file() -> io::Result<File> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("xtask-{}-{number}", std::process::id()));
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_typed() {
        let run = Run::new("echo").env("WORD", "two words").args(["-n", "it's"]);
        assert_eq!(run.shown(), "WORD='two words' echo -n 'it'\\''s'");
    }

    #[test]
    fn failures_name_the_command() {
        let failure = Run::new("sh").args(["-c", "echo why >&2; exit 3"]).output().unwrap_err().to_string();
        assert!(failure.contains("sh -c 'echo why >&2; exit 3'") && failure.ends_with("why"), "{failure}");
    }

    #[test]
    fn what_a_command_beside_others_ends_with_is_told() {
        let end = |script| Run::new("sh").args(["-c", script]).heard(Duration::from_secs(60));
        assert!(end("echo out; echo err >&2").is_ok());
        assert!(end("exit 3").is_err_and(|failure| failure.to_string().contains("ended with exit status: 3")));
    }

    #[test]
    fn what_takes_too_long_is_killed() {
        let failure = Run::new("sleep").arg("600").heard(Duration::ZERO).unwrap_err().to_string();
        assert!(failure.contains("took longer than 0ns and was killed:\n  sleep 600"), "{failure}");
    }

    #[test]
    fn missing_programs_fail() {
        assert!(!Run::new("no-such-program-here").succeeds());
    }
}
