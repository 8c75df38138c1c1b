//! How long things last and how many go at once (wire reference of the agent, section 24). All times are milliseconds.
//! The delays between attempts are in [`back_off`](super::back_off).

/// A second.
pub const SECOND: u64 = 1_000;
/// A minute.
pub const MINUTE: u64 = 60 * SECOND;
/// An hour.
pub const HOUR: u64 = 60 * MINUTE;
/// A day.
pub const DAY: u64 = 24 * HOUR;

/// A message that could not be delivered for so long is given up; greetings (HELLO) are messages, too.
pub const MESSAGE_EXPIRY: u64 = 2 * DAY;
/// The same for a message whose queue is full.
pub const QUOTA_EXPIRY: u64 = 7 * DAY;
/// How long a connection that is deleted waits for what it has still to deliver, where that is asked for.
pub const DELETION_DELIVERY: u64 = 2 * DAY;
/// How long hashes of received messages, records of sent ones and hashes of processed ratchet keys are kept.
pub const HASHES_KEPT: u64 = 21 * DAY;

/// From the start to the first cleanup.
pub const FIRST_CLEANUP: u64 = 30 * SECOND;
/// Between cleanups.
pub const CLEANUP_INTERVAL: u64 = 5 * MINUTE;
/// How many records of a kind one cleanup deletes.
pub const CLEANUP_ROWS: usize = 10_000;

/// How many subscriptions one batch has.
pub const SUBSCRIPTION_BATCH: usize = 1_350;
/// How often a queue is tried to be deleted, before the agent forgets it.
pub const DELETION_ATTEMPTS: u32 = 10;
/// How often a message that the application did not acknowledge is delivered to it again.
pub const REDELIVERY_ATTEMPTS: u32 = 8;
/// How long after it came a message that the application did not acknowledge is delivered to it again.
pub const REDELIVERY_EXPIRY: u64 = DAY;

/// A connection that failed is not tried again so soon by anybody else.
pub const FAILED_CONNECTION_KEPT: u64 = 3 * SECOND;
/// After so much silence a connection with subscriptions is tested.
pub const PING_INTERVAL: u64 = 600 * SECOND;
/// A connection is given up after so many tests without an answer in a row, if [`SILENCE_LIMIT`] has passed, too.
pub const PING_TIMEOUTS: u32 = 3;
/// A connection is given up when nothing came for longer than this, after [`PING_TIMEOUTS`] tests.
pub const SILENCE_LIMIT: u64 = 15 * MINUTE;
/// News that the network is gone are ignored so soon after news that it is there.
pub const OFFLINE_IGNORED: u64 = 2 * SECOND;
/// While the network is gone, sending waits so long for it, and then tries all the same.
pub const OFFLINE_WAIT: u64 = 30 * MINUTE;

/// Until there is a connection.
pub const CONNECT: Timeout = Timeout { background: 45 * SECOND, interactive: 15 * SECOND };
/// Until a command is answered.
pub const RESPONSE: Timeout = Timeout { background: 30 * SECOND, interactive: 10 * SECOND };

/// Who waits for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Urgency {
    /// Nobody in particular.
    Background,
    /// A user, who has tried so often before: each time, up to the third, more time is given.
    Interactive {
        /// The attempts before this one.
        retries: u32,
    },
}

/// How long to wait for something, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// When nobody waits for it in particular.
    pub background: u64,
    /// When a user waits for it, for the first time.
    pub interactive: u64,
}

impl Timeout {
    /// The time for a command, half as long again on a slow network: a cellular one, or none as the system says.
    #[must_use]
    pub const fn of(&self, urgency: Urgency, slow: bool) -> u64 {
        let (base, retries) = match urgency {
            Urgency::Background => (self.background, 0),
            Urgency::Interactive { retries } => (self.interactive, retries),
        };
        let base = if slow { base.saturating_mul(3) / 2 } else { base };
        match retries {
            0 => base,
            1 => base.saturating_mul(3) / 2,
            2 => base.saturating_mul(9) / 4,
            _ => base.saturating_mul(27) / 8,
        }
    }

    /// The time for a command that a proxy forwards.
    #[must_use]
    pub const fn forwarded(&self, urgency: Urgency, slow: bool) -> u64 {
        self.of(urgency, slow).saturating_mul(2)
    }
}

/// The time for a session with a relay behind a proxy, which has to connect to it first.
#[must_use]
pub const fn proxy_session(urgency: Urgency, slow: bool) -> u64 {
    CONNECT.of(urgency, slow).saturating_add(RESPONSE.of(urgency, slow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_given_more_time_with_each_attempt() {
        let of =
            |timeout: Timeout, slow| [0, 1, 2, 3, 4].map(|retries| timeout.of(Urgency::Interactive { retries }, slow));
        assert_eq!(of(RESPONSE, false), [10_000, 15_000, 22_500, 33_750, 33_750]);
        assert_eq!(of(RESPONSE, true), [15_000, 22_500, 33_750, 50_625, 50_625]);
        assert_eq!(of(CONNECT, false), [15_000, 22_500, 33_750, 50_625, 50_625]);
    }

    #[test]
    fn background_commands_have_one_time() {
        assert_eq!(CONNECT.of(Urgency::Background, false), 45_000);
        assert_eq!(CONNECT.of(Urgency::Background, true), 67_500);
        assert_eq!(RESPONSE.of(Urgency::Background, false), 30_000);
        assert_eq!(RESPONSE.forwarded(Urgency::Background, false), 60_000);
        assert_eq!(proxy_session(Urgency::Background, false), 75_000);
        assert_eq!(proxy_session(Urgency::Interactive { retries: 0 }, false), 25_000);
    }
}
