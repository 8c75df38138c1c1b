//! `smp-server control`: talks to the relay that runs in a directory.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use smp_std::relay::control::connect;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A conversation with a relay.
pub(crate) struct Conversation {
    stream: BufReader<UnixStream>,
}

impl Conversation {
    /// Connects; `None` when no relay runs in the directory.
    pub(crate) async fn open(directory: &Path) -> Result<Option<Self>> {
        let stream = match connect(directory).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot reach the relay in {}", directory.display()));
            }
        };
        let mut conversation = Self { stream: BufReader::new(stream) };
        conversation.line().await.context("the relay takes no more operators; try again later")?;
        Ok(Some(conversation))
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the relay ended the conversation");
        }
        Ok(line)
    }

    /// Says a command and prints what is answered. Fails in the relay's words.
    pub(crate) async fn command(&mut self, command: &str) -> Result<()> {
        self.stream.get_mut().write_all(format!("{command}\n").as_bytes()).await?;
        let mut stdout = io::stdout();
        loop {
            let line = self.line().await?;
            if let Some(problem) = line.strip_prefix("error") {
                bail!("{}", problem.trim_start_matches(':').trim());
            }
            if line.starts_with("ok") {
                return Ok(());
            }
            stdout.write_all(line.as_bytes()).context("cannot write to stdout")?;
        }
    }
}

/// Runs one command, or those that come on stdin when there is none.
pub(crate) fn control(directory: &Path, words: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let Some(mut conversation) = Conversation::open(directory).await? else {
            bail!("no relay runs in {} (see --dir), or its control socket is switched off", directory.display());
        };
        if !words.is_empty() {
            return conversation.command(&command_line(words)?).await;
        }
        let (prompt, mut failed) = (io::stdin().is_terminal(), false);
        loop {
            if prompt {
                let _ = write!(io::stderr(), "> ");
            }
            let mut line = String::new();
            if io::stdin().lock().read_line(&mut line).context("cannot read commands")? == 0 {
                break;
            }
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match words.first().map(String::as_str) {
                None => continue,
                Some("quit" | "exit") => break,
                Some(_) => {}
            }
            if let Err(error) = conversation.command(&command_line(&words)?).await {
                super::tell(format_args!("error: {error:#}"));
                failed = true;
            }
        }
        if failed && !prompt { bail!("a command failed") } else { Ok(()) }
    })
}

/// The command as one line. The relay has another current directory, so paths are made whole here.
fn command_line(words: &[String]) -> Result<String> {
    let mut words = words.to_vec();
    if let [command, path, ..] = words.as_mut_slice()
        && command == "backup"
    {
        *path = absolute(&PathBuf::from(&*path))?;
    }
    let line = words.join(" ");
    if line.contains(['\n', '\r']) {
        bail!("a command is one line");
    }
    Ok(line)
}

/// A path that means the same in every directory, as text.
pub(crate) fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()))?;
    path.into_os_string().into_string().map_err(|_| anyhow::anyhow!("the path must be text"))
}
