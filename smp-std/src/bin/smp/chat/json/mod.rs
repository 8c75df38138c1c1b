//! `smp chat --json`: for programs. One JSON object on a line in both directions; `docs/chat-json.md` describes them.

mod event;
mod request;
mod words;

use std::collections::HashMap;

use serde_json::{Value, json};
use smp_agent::policy::server::ServerList;
use smp_agent::storage::Storage;
use smp_agent::{Command, ConnectionId, ConnectionOptions, Event, EventKind, Refusal, Reply};
use tokio::sync::mpsc;

use super::backend::{Commands, Events, Rejection};
use super::book::{Batch, Book};
use super::content;
use super::input::Input;
use super::settings::Settings;
use crate::failure::{Failure, OTHER};
use request::{Action, Configure, Problem};

/// The version of the lines. Within a version commands, events and members are only added.
pub(crate) const VERSION: u32 = 1;

/// What is done without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Automatic {
    pub(crate) acknowledge: bool,
    pub(crate) receipt: bool,
    pub(crate) allow: bool,
    pub(crate) accept: bool,
}

impl Automatic {
    /// Nothing: the other program does everything by hand.
    pub(crate) const NOTHING: Self = Self { acknowledge: false, receipt: false, allow: false, accept: false };

    /// What the settings say.
    pub(crate) const fn of(settings: &Settings) -> Self {
        Self { acknowledge: true, receipt: settings.receipts, allow: settings.auto_allow, accept: settings.auto_accept }
    }

    fn configure(&mut self, configure: Configure) {
        self.acknowledge = configure.auto_acknowledge.unwrap_or(self.acknowledge);
        self.receipt = configure.auto_receipt.unwrap_or(self.receipt);
        self.allow = configure.auto_allow.unwrap_or(self.allow);
        self.accept = configure.auto_accept.unwrap_or(self.accept);
    }
}

/// A session with another program.
pub(crate) struct Session<C, S, W> {
    commands: C,
    book: Book<S>,
    settings: Settings,
    automatic: Automatic,
    /// Invitations with a choice of their own, until the program ends.
    allow: HashMap<ConnectionId, bool>,
    /// Takes each line, and waits until it is written; fails when nobody reads any more.
    write: W,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

impl<C, S, W> Session<C, S, W>
where
    C: Commands,
    S: Storage,
    W: AsyncFnMut(&Value) -> Result<(), Failure>,
{
    pub(crate) fn new(commands: C, book: Book<S>, settings: Settings, automatic: Automatic, write: W) -> Self {
        Self { commands, book, settings, automatic, allow: HashMap::new(), write }
    }

    /// Takes the relays of the settings, and receives if it shall.
    pub(crate) async fn begin(&mut self, servers: ServerList, subscribe: bool) -> Result<(), Failure> {
        // From now on the other program hears what becomes of messages.
        self.book.forget_drafts()?;
        let commands =
            [Some(Command::SetServers { user: super::USER, servers }), subscribe.then_some(Command::SubscribeAll)];
        for command in commands.into_iter().flatten() {
            self.commands.command(command).await.map_err(|rejection| Failure::new(OTHER, rejection))?;
        }
        Ok(())
    }

    /// Takes lines and tells events until the lines end, the other program says `stop`, or the agent stops.
    pub(crate) async fn run(
        &mut self,
        lines: &mut mpsc::Receiver<Input>,
        events: &mut impl Events,
    ) -> Result<(), Failure> {
        let release = env!("CARGO_PKG_VERSION");
        (self.write)(&json!({ "event": "hello", "version": VERSION, "program": "smp chat", "release": release }))
            .await?;
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    None => return Ok(()),
                    Some(line) => if self.line(line).await? == Flow::Stop {
                        return Ok(());
                    },
                },
                event = events.next() => match event {
                    Some(event) => self.event(&event).await?,
                    None => return Err(Failure::new(OTHER, "the agent stopped")),
                },
            }
        }
    }

    async fn line(&mut self, line: Input) -> Result<Flow, Failure> {
        let line = match line {
            Input::Line(line) if line.trim().is_empty() => return Ok(Flow::Continue),
            Input::Line(line) => line,
            Input::Unreadable => {
                self.answer(None, Err(Problem::new("bad_line", "the line is too long, or not UTF-8").into())).await?;
                return Ok(Flow::Continue);
            }
        };
        let profile = content::encode_profile(&self.settings.name);
        let (id, action) = request::read(&line, &profile);
        let (answer, flow) = match action {
            Err(problem) => (Err(problem.into()), Flow::Continue),
            Ok(Action::Stop) => (Ok(json!({ "reply": "done" })), Flow::Stop),
            Ok(action) => (self.act(action).await, Flow::Continue),
        };
        self.answer(id, answer).await?;
        Ok(flow)
    }

    async fn act(&mut self, action: Action) -> Result<Value, Refused> {
        match action {
            Action::Command(command) => Ok(reply(self.commands.command(command).await?)),
            Action::Invite(command, allow) => {
                let answer = self.commands.command(command).await?;
                if let (Reply::Connection(connection), Some(allow)) = (answer, allow) {
                    self.allow.insert(connection, allow);
                }
                Ok(reply(answer))
            }
            Action::SetServers(command, user, servers) => {
                let answer = self.commands.command(command).await?;
                if user == super::USER {
                    self.settings.servers = servers;
                    let mut batch = Batch::default();
                    batch.settings(&self.settings);
                    self.book.commit(batch).map_err(|failure| Problem::new("storage", failure.message()))?;
                }
                Ok(reply(answer))
            }
            Action::Configure(configure) => {
                self.automatic.configure(configure);
                Ok(json!({ "reply": "done" }))
            }
            Action::VerificationCode(connection) => {
                let code = self.commands.verification_code(connection).await?;
                let code = code.map(|code| words::base64(&code));
                Ok(json!({ "reply": "verification_code", "code_base64": code }))
            }
            Action::Connections => {
                let connections = self.commands.connections().await?;
                let names: Vec<String> = connections.iter().map(ToString::to_string).collect();
                Ok(json!({ "reply": "connections", "connections": names }))
            }
            Action::Connection(connection) => match self.commands.connection(connection).await? {
                Some(summary) => Ok(words::summary(&summary)),
                None => Err(Rejection::Refused(Refusal::NoConnection).into()),
            },
            Action::Stop => Ok(json!({ "reply": "done" })),
        }
    }

    async fn answer(&mut self, id: Option<Value>, answer: Result<Value, Refused>) -> Result<(), Failure> {
        let mut line = answer.unwrap_or_else(|Refused(error)| json!({ "error": error }));
        if let Some(id) = id {
            line["id"] = id;
        }
        (self.write)(&line).await
    }

    async fn event(&mut self, event: &Event) -> Result<(), Failure> {
        (self.write)(&event::event(event)).await?;
        let info = content::encode_profile(&self.settings.name);
        match &event.kind {
            EventKind::Confirmation { connection, .. }
                if self.allow.get(connection).copied().unwrap_or(self.automatic.allow) =>
            {
                self.by_itself("allow", event, Command::Allow { connection: *connection, info }).await?;
            }
            EventKind::Request { invitation, .. } if self.automatic.accept => {
                let options = ConnectionOptions::default();
                let command = Command::Accept { invitation: *invitation, info, options };
                self.by_itself("accept", event, command).await?;
            }
            _ => {}
        }
        if let Some(id) = event.id
            && self.automatic.acknowledge
        {
            let is_message = matches!(event.kind, EventKind::Message { .. });
            let receipt = (is_message && self.automatic.receipt).then(Vec::new);
            self.by_itself("acknowledge", event, Command::Acknowledge { event: id, receipt }).await?;
        }
        Ok(())
    }

    /// Does what nobody asked for, and tells what came of it.
    async fn by_itself(&mut self, name: &str, event: &Event, command: Command) -> Result<(), Failure> {
        let mut line = match self.commands.command(command).await {
            // An acknowledgement is no news.
            Ok(Reply::Done) if name == "acknowledge" => return Ok(()),
            Ok(answer) => reply(answer),
            Err(rejection) => json!({ "error": Refused::from(rejection).0 }),
        };
        line["automatic"] = name.into();
        line["event_id"] = event.id.map(|id| id.0).into();
        (self.write)(&line).await
    }
}

/// An error object.
struct Refused(Value);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(json!({ "code": problem.code, "message": problem.message }))
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(match rejection {
            Rejection::Refused(refusal) => words::refusal(&refusal),
            Rejection::Stopped(why) => json!({ "code": "stopped", "message": why }),
        })
    }
}

fn reply(reply: Reply) -> Value {
    match reply {
        Reply::Connection(connection) => json!({ "reply": "connection", "connection": connection.to_string() }),
        Reply::Message(message) => json!({ "reply": "message", "message": message.0 }),
        // Done, and what a later agent may answer in addition.
        _ => json!({ "reply": "done" }),
    }
}

#[cfg(test)]
mod tests;
