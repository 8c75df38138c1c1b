//! The agent itself, over relays.

use smp_agent::{Command, ConnectionId, ConnectionSummary, Event, Reply};
use smp_std::agent::store::SqliteStorage;
use smp_std::agent::{Agent, AgentOptions, CommandError, Events as AgentEvents, StartError};

use super::backend::{Commands, Events, Rejection};
use super::settings::Settings;
use super::tuning::Tuning;
use crate::failure::{Failure, OTHER, STATE};
use crate::progress::note;

/// A running agent. Clones are handles of the same one.
#[derive(Clone)]
pub(crate) struct Live(Agent);

/// What it tells.
pub(crate) struct LiveEvents(AgentEvents);

impl Live {
    /// Starts the agent with the records of a data folder.
    pub(crate) fn start(
        storage: SqliteStorage,
        settings: &Settings,
        tuning: &Tuning,
    ) -> Result<(Self, LiveEvents), Failure> {
        let mut options = AgentOptions::default();
        tuning.apply(&mut options);
        options.client.network.web_port.clone_from(&settings.web_port);
        let start = || Agent::start(storage, options);
        let (agent, events) = tokio::task::block_in_place(start).map_err(|error| match error {
            StartError::Failed(failure) => Failure::new(STATE, failure),
            error => Failure::new(OTHER, error),
        })?;
        Ok((Self(agent), LiveEvents(events)))
    }

    /// Stops in order: what is under way may end, the rest is taken up by the next run.
    pub(crate) async fn stop(self) {
        if let Err(failure) = self.0.stop().await {
            note(failure);
        }
    }
}

impl From<CommandError> for Rejection {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Stopped(error.to_string()),
        }
    }
}

impl Commands for Live {
    async fn command(&mut self, command: Command) -> Result<Reply, Rejection> {
        Ok(self.0.command(command).await?)
    }

    async fn verification_code(&mut self, connection: ConnectionId) -> Result<Option<[u8; 32]>, Rejection> {
        Ok(self.0.verification_code(connection).await?)
    }

    async fn connections(&mut self) -> Result<Vec<ConnectionId>, Rejection> {
        Ok(self.0.connections().await?.into_iter().map(|(connection, _)| connection).collect())
    }

    async fn connection(&mut self, connection: ConnectionId) -> Result<Option<ConnectionSummary>, Rejection> {
        Ok(self.0.connection(connection).await?)
    }
}

impl Events for LiveEvents {
    async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }
}
