//! Moderation without looking inside: what an operator can do about a queue that somebody complained of (wire reference,
//! section 10.8). Who uses the queue is not known and not shown.

use std::sync::Arc;

use smp_proto::smp::error::{Blocked, BlockingReason};

use super::answer::Answer;
use super::command::Target;
use crate::relay::stats::calendar::date_text;
use crate::relay::store::{Blocking, Id, QueueMode, QueueName, QueueRecord, QueueStatus, Side, StoreError, Unblocking};
use crate::relay::{Relay, audit};

fn status_text(status: &QueueStatus) -> String {
    match status {
        QueueStatus::Active => "active".to_owned(),
        QueueStatus::Suspended => "suspended by its recipient".to_owned(),
        QueueStatus::Blocked { blocked, suspended } => {
            let suspended = if *suspended { ", suspended by its recipient" } else { "" };
            format!("blocked, {}{suspended}", reason_text(blocked))
        }
    }
}

fn reason_text(blocked: &Blocked) -> String {
    let mut buffer = [0; 64];
    let mut writer = smp_proto::wire::Writer::new(&mut buffer);
    let encoded = blocked.encode_info(&mut writer);
    let text = writer.written();
    encoded.map(|()| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

const fn reason_name(reason: BlockingReason) -> &'static str {
    match reason {
        BlockingReason::Spam => "spam",
        BlockingReason::Content => "content",
    }
}

impl Relay {
    /// The queue that an operator means.
    fn find(&self, target: &Target) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        match target {
            Target::Link(id) => self.store.queue_by_side(Side::Link, id),
            Target::Id(id) => self.queue_status(id),
        }
    }

    fn found(&self, target: &Target) -> Result<Arc<QueueRecord>, Answer> {
        match self.find(target) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(Answer::failed("no such queue")),
            Err(error) => Err(Answer::failed(error.to_string())),
        }
    }

    /// Status of a queue: nothing that tells who uses it.
    pub(super) async fn queue_lines(&self, target: &Target) -> Answer {
        let record = match self.found(target) {
            Ok(record) => record,
            Err(answer) => return answer,
        };
        let messages = self.store.queue_state(&record.recipient_id).map(|state| state.size());
        let mode = match record.mode {
            QueueMode::Unknown => "unknown",
            QueueMode::Messaging => "messaging",
            QueueMode::Contact => "contact",
        };
        let yes = |it| if it { "yes" } else { "no" };
        Answer::lines(format!(
            "status={}\nmode={mode}\nsecured={}\nnotifier={}\nlast_used={}\nmessages={}",
            status_text(&record.status),
            yes(record.sender_key.is_some()),
            yes(record.notifier.is_some()),
            date_text(record.activity_day),
            messages.map_or_else(|error| error.to_string(), |count| count.to_string()),
        ))
    }

    pub(super) async fn block_command(self: &Arc<Self>, target: &Target, blocked: Blocked) -> Answer {
        // One at a time, so that the quota holds.
        let _turn = self.moderating.lock().await;
        let quota = self.config().control.daily_block_quota;
        let answer = async {
            let record = self.found(target)?;
            if quota != 0 && self.stats.today().get("queues.queues_blocked") >= quota {
                return Err(Answer::failed(format!("{quota} queues were blocked today, which is the quota")));
            }
            match self.block_now(record.recipient_id, blocked).await {
                Ok(Some(QueueStatus::Active)) => Ok(Answer::lines(format!("blocked: {}", reason_text(&blocked)))),
                Ok(Some(before)) => Ok(Answer::lines(format!(
                    "blocked: {}; it took no messages before: {}",
                    reason_text(&blocked),
                    status_text(&before)
                ))),
                Ok(None) => Err(Answer::failed("no such queue")),
                Err(error) => Err(Answer::failed(error.to_string())),
            }
        };
        let details = format!("reason={}", reason_name(blocked.reason));
        let answer = answer.await;
        self.audited("block", Some(target), &details, answer).await
    }

    pub(super) async fn unblock_command(self: &Arc<Self>, target: &Target) -> Answer {
        let _turn = self.moderating.lock().await;
        let answer = async {
            let record = self.found(target)?;
            if record.status.blocked().is_none() {
                return Err(Answer::failed(format!("the queue is not blocked but {}", status_text(&record.status))));
            }
            match self.unblock_now(record.recipient_id).await {
                Ok(Some((blocked, now))) => Ok(Answer::lines(format!(
                    "unblocked, it was blocked for {}; now {}",
                    reason_text(&blocked),
                    status_text(&now)
                ))),
                Ok(None) => Err(Answer::failed("no such queue")),
                Err(error) => Err(Answer::failed(error.to_string())),
            }
        };
        let answer = answer.await;
        self.audited("unblock", Some(target), "", answer).await
    }

    pub(super) async fn delete_command(self: &Arc<Self>, target: &Target) -> Answer {
        let _turn = self.moderating.lock().await;
        let answer = async {
            let record = self.found(target)?;
            match self.delete_queue_by_operator(record.recipient_id).await {
                Ok(Some(messages)) => Ok(Answer::lines(format!("deleted with {messages} messages"))),
                Ok(None) => Err(Answer::failed("no such queue")),
                Err(error) => Err(Answer::failed(error.to_string())),
            }
        };
        let answer = answer.await;
        self.audited("delete", Some(target), "", answer).await
    }

    /// Writes an action into the audit log. What cannot be logged is an error, though it has been done.
    pub(super) async fn audited(
        self: &Arc<Self>,
        action: &'static str,
        target: Option<&Target>,
        details: &str,
        answer: Result<Answer, Answer>,
    ) -> Answer {
        let outcome = if answer.is_ok() { "ok" } else { "failed" };
        let answer = answer.unwrap_or_else(|failure| failure);
        let queue = target.map(|target| format!("queue={}", audit::queue_name(target.id())));
        let details = [queue.as_deref().unwrap_or_default(), details].join(" ");
        match self.audit(action, outcome, details.trim()).await {
            Ok(()) => answer,
            Err(error) => Answer::failed(format!("{outcome}, but the audit log cannot be written: {error}")),
        }
    }

    /// Blocks a queue. What it was before; `None` when there is no such queue.
    async fn block_now(&self, queue: Id, blocked: Blocked) -> Result<Option<QueueStatus>, StoreError> {
        match self.block(QueueName::Recipient(queue), blocked).await? {
            Blocking::Blocked { before, .. } => Ok(Some(before)),
            Blocking::NotFound => Ok(None),
        }
    }

    /// Unblocks a queue. Why it was blocked and what it is now; `None` when there is no such queue.
    async fn unblock_now(&self, queue: Id) -> Result<Option<(Blocked, QueueStatus)>, StoreError> {
        match self.unblock(QueueName::Recipient(queue)).await? {
            Unblocking::Unblocked { blocked, now } => Ok(Some((blocked, now))),
            Unblocking::NotBlocked(_) | Unblocking::NotFound => Ok(None),
        }
    }
}
