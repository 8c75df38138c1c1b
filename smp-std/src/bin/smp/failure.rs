//! Why a command failed, in words and as an exit code (see the help of the program for the codes).

use std::fmt;
use std::process::ExitCode;

use smp_std::client::{ClientError, HandshakeFailure, ProxyFailure, QueueError};

/// A failure with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What was being done, outermost first, and why it failed.
    message: String,
}

/// For everything that has no code of its own.
pub(crate) const OTHER: u8 = 1;
/// The command line is wrong; also clap's code.
pub(crate) const USAGE: u8 = 2;
/// The relay cannot be reached or does not answer.
pub(crate) const UNREACHABLE: u8 = 3;
/// The relay is not the right one.
pub(crate) const WRONG_RELAY: u8 = 4;
/// The relay refused.
pub(crate) const REFUSED: u8 = 5;
/// The queue is full.
pub(crate) const FULL: u8 = 6;
/// A state file cannot be read or written.
pub(crate) const STATE: u8 = 7;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

impl Failure {
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The same failure with what was being done in front.
    pub(crate) fn context(self, what: impl fmt::Display) -> Self {
        Self { code: self.code, message: format!("{what}: {}", self.message) }
    }

    /// The failure in words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints the failure; gives its code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            crate::progress::note(&self.message);
        }
        ExitCode::from(self.code)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = code_of(&error);
        Self::new(code, error)
    }
}

fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Identity
        | ClientError::NoFingerprint
        | ClientError::NoUsableHost
        | ClientError::Handshake(HandshakeFailure::Session | HandshakeFailure::Version(_)) => WRONG_RELAY,
        error if error.is_quota() => FULL,
        ClientError::Relay(_) => REFUSED,
        ClientError::Proxy(failure) => match failure {
            ProxyFailure::Connection(error) => code_of(error),
            ProxyFailure::WrongRelay
            | ProxyFailure::Forged
            | ProxyFailure::NoUsableHost
            | ProxyFailure::NoCommonVersion
            | ProxyFailure::TooOld => WRONG_RELAY,
            failure if failure.is_temporary() => UNREACHABLE,
            _ => REFUSED,
        },
        ClientError::NoProxy => USAGE,
        error if error.is_temporary() => UNREACHABLE,
        _ => OTHER,
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::new(OTHER, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(OTHER, error)
    }
}

/// Adds what was being done to a failure.
pub(crate) trait Context<T> {
    /// Puts `what` in front of the message.
    fn context(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().context(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_proto::smp::SmpError;
    use smp_std::client::RelayError;

    #[test]
    fn codes_tell_what_to_do() {
        let relay = |error: SmpError<'_>| ClientError::Relay(RelayError::new(&error));
        for (error, code) in [
            (ClientError::Timeout, UNREACHABLE),
            (ClientError::Closed, UNREACHABLE),
            (ClientError::Identity, WRONG_RELAY),
            (ClientError::NoFingerprint, WRONG_RELAY),
            (ClientError::Handshake(HandshakeFailure::Session), WRONG_RELAY),
            (relay(SmpError::Auth), REFUSED),
            (relay(SmpError::Quota), FULL),
            (ClientError::Proxy(ProxyFailure::WrongRelay), WRONG_RELAY),
            (ClientError::Proxy(ProxyFailure::Network), UNREACHABLE),
            (ClientError::Proxy(ProxyFailure::Password), REFUSED),
            (ClientError::Proxy(ProxyFailure::Connection(Box::new(ClientError::Identity))), WRONG_RELAY),
            (ClientError::NoProxy, USAGE),
            (ClientError::TooLarge(1), OTHER),
        ] {
            assert_eq!(Failure::from(error.clone()).code(), code, "{error}");
        }
    }

    #[test]
    fn context_comes_first() {
        let failed: Result<(), _> = Err(ClientError::Timeout);
        let failure = failed.context("connecting").unwrap_err();
        assert_eq!(failure.message, "connecting: no answer in time");
        assert_eq!(failure.code(), UNREACHABLE);
    }
}
