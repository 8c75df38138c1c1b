//! The agent as this program sees it, so that tests can play its part.

use std::fmt;

use smp_agent::{Command, ConnectionId, ConnectionSummary, Event, Refusal, Reply};

/// Why a command was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The agent refuses it; nothing changed.
    Refused(Refusal),
    /// The agent has stopped, for this reason.
    Stopped(String),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Stopped(why) => write!(f, "stopped: {why}"),
        }
    }
}

/// Takes commands.
pub(crate) trait Commands {
    async fn command(&mut self, command: Command) -> Result<Reply, Rejection>;

    /// What both sides can compare to know that nobody is between them; `None` as long as there is nothing to compare.
    async fn verification_code(&mut self, connection: ConnectionId) -> Result<Option<[u8; 32]>, Rejection>;

    async fn connections(&mut self) -> Result<Vec<ConnectionId>, Rejection>;

    async fn connection(&mut self, connection: ConnectionId) -> Result<Option<ConnectionSummary>, Rejection>;
}

/// Tells events.
pub(crate) trait Events {
    /// The next one, as soon as there is one; `None` when the agent has stopped. May be given up and called again.
    async fn next(&mut self) -> Option<Event>;
}

/// An agent that answers what a test wants.
#[cfg(test)]
pub(crate) mod double {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::mpsc;

    use super::super::input::Input;
    use super::*;

    /// The answers to come; after the last one everything is done.
    pub(crate) type Script = VecDeque<Result<Reply, Rejection>>;

    /// What was asked for.
    #[derive(Clone, Default)]
    pub(crate) struct Log(Arc<Mutex<Vec<Command>>>);

    impl Log {
        /// Everything since the last time.
        pub(crate) fn take(&self) -> Vec<Command> {
            std::mem::take(&mut self.0.lock())
        }
    }

    pub(crate) struct Answers {
        script: Script,
        log: Log,
    }

    pub(crate) fn commands(script: Script) -> (Answers, Log) {
        let log = Log::default();
        (Answers { script, log: log.clone() }, log)
    }

    impl Commands for Answers {
        async fn command(&mut self, command: Command) -> Result<Reply, Rejection> {
            self.log.0.lock().push(command);
            self.script.pop_front().unwrap_or(Ok(Reply::Done))
        }

        async fn verification_code(&mut self, _connection: ConnectionId) -> Result<Option<[u8; 32]>, Rejection> {
            Ok(Some([1; 32]))
        }

        async fn connections(&mut self) -> Result<Vec<ConnectionId>, Rejection> {
            Ok(vec![ConnectionId::from_bytes([1; 12])])
        }

        async fn connection(&mut self, _connection: ConnectionId) -> Result<Option<ConnectionSummary>, Rejection> {
            Ok(None)
        }
    }

    /// Tells these events when all lines were read, and then ends the input.
    pub(crate) struct Told {
        events: VecDeque<Event>,
        input: Option<mpsc::Sender<Input>>,
    }

    pub(crate) fn events(events: Vec<Event>, input: mpsc::Sender<Input>) -> Told {
        Told { events: events.into(), input: Some(input) }
    }

    impl Events for Told {
        async fn next(&mut self) -> Option<Event> {
            while self.input.as_ref().is_some_and(|input| input.capacity() < input.max_capacity()) {
                tokio::task::yield_now().await;
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            self.input = None;
            std::future::pending().await
        }
    }
}
