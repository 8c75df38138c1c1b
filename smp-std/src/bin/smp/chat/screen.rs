//! The terminal of an interactive session: a line that is typed, and texts that appear above it meanwhile.

use std::io::{BufReader, IsTerminal as _, Write as _, stdin, stdout};

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter as _};
use tokio::sync::mpsc;

use super::input::{self, Input};
use crate::failure::{Failure, OTHER};

/// What was typed are messages: they are remembered as long as the program runs, and nowhere on disk.
const REMEMBERED_LINES: usize = 500;

/// Takes lines from a person.
pub(crate) struct Screen {
    lines: mpsc::Receiver<Input>,
    /// Where the editor waits for its next prompt; `None` without a terminal.
    prompts: Option<std::sync::mpsc::Sender<String>>,
    _restore: Option<Restore>,
}

/// Prints texts.
pub(crate) type Printer = Box<dyn FnMut(String) + Send>;

impl Screen {
    /// With line editing if standard input and output are a terminal; line by line if not.
    pub(crate) fn open() -> Result<(Self, Printer), Failure> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            let lines = input::lines(BufReader::new(stdin()));
            let printer = |text: String| crate::progress::result(format_args!("{text}"));
            return Ok((Self { lines, prompts: None, _restore: None }, Box::new(printer)));
        }
        let failed = |error: ReadlineError| Failure::new(OTHER, format_args!("the terminal: {error}"));
        let restore = Restore::remember();
        let config = Config::builder().max_history_size(REMEMBERED_LINES).map_err(failed)?.build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::<(), MemHistory>::with_history(config, history).map_err(failed)?;
        // A terminal that can do nothing gets texts as they come.
        let mut above = editor.create_external_printer().ok();
        let printer = move |mut text: String| {
            text.push('\n');
            let printed = above.as_mut().is_some_and(|above| above.print(text.clone()).is_ok());
            if !printed {
                let mut out = stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        };
        let (lines, receiver) = mpsc::channel(1);
        let (prompts, wanted) = std::sync::mpsc::channel::<String>();
        std::thread::spawn(move || {
            while let Ok(prompt) = wanted.recv() {
                let line = match editor.readline(&prompt) {
                    Ok(line) => line,
                    // Ctrl-C empties the line; Ctrl-D on an empty line ends.
                    Err(ReadlineError::Interrupted) => String::new(),
                    Err(_) => return,
                };
                let _ = editor.add_history_entry(line.as_str());
                if lines.blocking_send(Input::Line(line)).is_err() {
                    return;
                }
            }
        });
        Ok((Self { lines: receiver, prompts: Some(prompts), _restore: restore }, Box::new(printer)))
    }

    /// Whether somebody sees what stands in front of a line.
    pub(crate) const fn shows_prompts(&self) -> bool {
        self.prompts.is_some()
    }

    /// Asks for the next line. Whatever the last one did is printed by then.
    pub(crate) fn prompt(&self, prompt: String) {
        if let Some(prompts) = &self.prompts {
            // Nobody is there when the line editor has ended: then `line` tells so.
            let _ = prompts.send(prompt);
        }
    }

    /// The next line; `None` when there are no more. May be given up and called again.
    pub(crate) async fn line(&mut self) -> Option<Input> {
        self.lines.recv().await
    }
}

/// Puts the terminal back to how it was, also when a line was being typed.
struct Restore(rustix::termios::Termios);

impl Restore {
    fn remember() -> Option<Self> {
        rustix::termios::tcgetattr(stdin()).ok().map(Self)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}
