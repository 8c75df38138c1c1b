//! What keeps one address, or everybody together, from filling the relay with queues.

use std::time::Duration;

use smp_proto::smp::error::{ErrorText, SmpError};
use smp_proto::version::SmpVersion;
use tokio::time::{Instant, sleep_until};

use super::{Answer, Executor, Outcome};

impl Executor<'_> {
    /// Whether a queue may be created, and how long its creator has to wait for the answer.
    pub(super) fn admit_queue(&self) -> Result<Duration, SmpError<'static>> {
        let (relay, config) = (self.relay, self.relay.config());
        let counters = &relay.stats.limits;
        if relay.store.counts().queues >= config.max_queues() {
            counters.queues_total.one();
            return Err(self.no_room("the relay has as many queues as it may have"));
        }
        if !relay.has_room_for_queues() {
            counters.queues_disk.one();
            return Err(self.no_room("the relay has no room for new queues"));
        }
        let rates = &config.rates;
        relay.queue_rates.take(self.address, rates.queues(), rates.queues_patience()).ok_or_else(|| {
            counters.queues_rate.one();
            self.no_room("too many new queues")
        })
    }

    /// Whether a queue may come to take more of the disk: link data, keys, a notifier.
    pub(super) fn admit_growth(&self) -> Result<(), SmpError<'static>> {
        if self.relay.has_room_for_queues() {
            return Ok(());
        }
        self.relay.stats.limits.queues_disk.one();
        Err(self.no_room("the relay has no room"))
    }

    /// Clients take STORE as something that passes; those before services may not know it.
    fn no_room(&self, text: &'static str) -> SmpError<'static> {
        if self.version >= SmpVersion::SERVICES {
            SmpError::Store(ErrorText(text.as_bytes()))
        } else {
            SmpError::Internal
        }
    }
}

/// Gives an answer after a time, and not before what it waits for is done. The time runs from now: answers wait for those
/// before them, and if it ran from when they are looked at, their times would add up.
pub(super) fn delayed(answer: Answer, wait: Duration) -> Answer {
    if wait.is_zero() {
        return answer;
    }
    let until = Instant::now() + wait;
    Answer::Later(Box::pin(async move {
        let outcome = match answer {
            Answer::Now(body) => Outcome::from(body),
            Answer::Later(outcome) => outcome.await,
        };
        sleep_until(until).await;
        outcome
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::reply::Body;

    #[tokio::test(start_paused = true)]
    async fn the_times_of_answers_that_wait_for_each_other_do_not_add_up() {
        let seconds = Duration::from_secs;
        let begun = Instant::now();
        let answers = [1, 2, 3].map(|wait| delayed(Answer::Now(Body::Ok), seconds(wait)));
        for (answer, expected) in answers.into_iter().zip(1..) {
            let Answer::Later(answer) = answer else { panic!("it does not wait") };
            assert!(matches!(answer.await.body, Body::Ok));
            assert_eq!(begun.elapsed().as_secs(), expected);
        }
    }
}
