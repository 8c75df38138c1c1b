//! Why an agent does not start, does not do as it is told, or ends.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use smp_agent::{Error as AgentError, Refusal};

/// What ended an agent before it was stopped. Nothing that was committed is lost: start another one from the storage, when
/// the storage works again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AgentFailure {
    /// The storage failed.
    Storage(Arc<dyn Error + Send + Sync>),
    /// A record of the storage cannot be read: it is damaged, or of a later release.
    Record,
}

/// Why an agent does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The storage cannot be read.
    Failed(AgentFailure),
    /// There is no tokio runtime for its connections.
    NoRuntime,
    /// The operating system gives no randomness.
    Random,
    /// The agent's thread cannot be started.
    Thread(io::Error),
}

/// Why an agent does not do as it is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CommandError {
    /// The command is refused; nothing changed.
    Refused(Refusal),
    /// The agent ended with a failure.
    Failed(AgentFailure),
    /// The agent was stopped.
    Stopped,
}

impl CommandError {
    /// Sorts an error of the state machine.
    pub(super) fn new<E: Error + Send + Sync + 'static>(error: AgentError<E>) -> Self {
        match error {
            AgentError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Failed(AgentFailure::new(error)),
        }
    }
}

impl AgentFailure {
    /// Keeps an error that ends the state machine.
    pub(super) fn new<E: Error + Send + Sync + 'static>(error: AgentError<E>) -> Self {
        match error {
            AgentError::Storage(error) => Self::Storage(Arc::new(error)),
            _ => Self::Record,
        }
    }
}

impl fmt::Display for AgentFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the agent's storage failed: {error}"),
            Self::Record => {
                f.write_str("a record of the agent's storage cannot be read: it is damaged, or of a later release")
            }
        }
    }
}

impl Error for AgentFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Storage(error) => error.source(),
            Self::Record => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::NoRuntime => f.write_str("an agent has to be started within a tokio runtime"),
            Self::Random => f.write_str("the operating system gives no randomness"),
            Self::Thread(error) => write!(f, "the agent's thread cannot be started: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => failure.source(),
            Self::Thread(error) => error.source(),
            Self::NoRuntime | Self::Random => None,
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Stopped => f.write_str("the agent was stopped"),
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => failure.source(),
            Self::Refused(_) | Self::Stopped => None,
        }
    }
}
