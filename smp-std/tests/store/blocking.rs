//! Queues an operator blocks.

use smp_std::relay::store::{
    AppendOutcome, Blocked, Blocking, BlockingReason, Notice, QueueName, QueueStatus, Side, Suspension, Unblocking,
};

use crate::{Engine, Fixture, for_every_engine, id, link_data, message, queue};

for_every_engine!(
    a_queue_is_blocked_by_any_of_its_names,
    a_block_takes_nothing_away_from_the_recipient,
    what_an_operator_is_told,
);

const SPAM: Blocked = Blocked { reason: BlockingReason::Spam, notice: None };
const CONTENT: Blocked = Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(3600) }) };

impl Fixture {
    async fn block(&self, queue: QueueName, blocked: Blocked) -> Blocking {
        self.store().block_queue(queue, blocked).await.unwrap().await.unwrap()
    }

    async fn unblock(&self, queue: QueueName) -> Unblocking {
        self.store().unblock_queue(queue).await.unwrap().await.unwrap()
    }

    fn status(&self, number: u64) -> QueueStatus {
        self.store().queue_by_recipient(&id(number)).unwrap().unwrap().status
    }
}

async fn a_queue_is_blocked_by_any_of_its_names(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut record = queue(1);
    record.link_id = Some(id(50));
    fixture.store().create_queue_with_link(record.into(), Some(link_data(1, 1))).await.unwrap().await.unwrap();
    let names = [
        QueueName::Recipient(id(1)),
        QueueName::Side(Side::Sender, queue(1).sender_id),
        QueueName::Side(Side::Link, id(50)),
    ];
    for name in names {
        let expected = Blocking::Blocked { recipient_id: id(1), before: QueueStatus::Active };
        assert_eq!(fixture.block(name, CONTENT).await, expected);
        fixture.reopen();
        assert_eq!(fixture.append(message(1, 1)).await.outcome, AppendOutcome::Blocked(CONTENT));
        assert_eq!(fixture.status(1), QueueStatus::Blocked { blocked: CONTENT, suspended: false });
        let expected = Unblocking::Unblocked { blocked: CONTENT, now: QueueStatus::Active };
        assert_eq!(fixture.unblock(name).await, expected);
        fixture.reopen();
        assert!(matches!(fixture.append(message(1, 1)).await.outcome, AppendOutcome::Stored { .. }));
    }
    for unknown in [QueueName::Recipient(id(50)), QueueName::Side(Side::Link, id(1))] {
        assert_eq!(fixture.block(unknown, SPAM).await, Blocking::NotFound);
        assert_eq!(fixture.unblock(unknown).await, Unblocking::NotFound);
    }
    assert_eq!(fixture.store().link(&id(1)).unwrap(), Some(link_data(1, 1)), "the link data stays");
}

async fn a_block_takes_nothing_away_from_the_recipient(engine: Engine) {
    let fixture = Fixture::new(engine);
    let name = QueueName::Recipient(id(1));
    let suspend = async || fixture.store().suspend_queue(id(1)).await.unwrap().await.unwrap();
    fixture.create(queue(1)).await;
    fixture.append(message(1, 1)).await;
    fixture.block(name, SPAM).await;
    // What waited can still be handed over once it is unblocked, and a suspension meanwhile is not forgotten.
    assert_eq!(suspend().await, Suspension::Suspended);
    assert_eq!(fixture.append(message(1, 2)).await.outcome, AppendOutcome::Suspended);
    assert_eq!(fixture.status(1).blocked(), Some(SPAM), "suspending a queue does not unblock it");
    assert_eq!(suspend().await, Suspension::Suspended);
    let expected = Unblocking::Unblocked { blocked: SPAM, now: QueueStatus::Suspended };
    assert_eq!(fixture.unblock(name).await, expected);
    assert_eq!(fixture.status(1), QueueStatus::Suspended);
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().id, id(1));
}

async fn what_an_operator_is_told(engine: Engine) {
    let fixture = Fixture::new(engine);
    let name = QueueName::Recipient(id(1));
    let told = |before| Blocking::Blocked { recipient_id: id(1), before };
    fixture.create(queue(1)).await;
    assert_eq!(fixture.unblock(name).await, Unblocking::NotBlocked(QueueStatus::Active));
    assert_eq!(fixture.block(name, SPAM).await, told(QueueStatus::Active));
    let before = QueueStatus::Blocked { blocked: SPAM, suspended: false };
    assert_eq!(fixture.block(name, CONTENT).await, told(before));
    assert_eq!(fixture.status(1).blocked(), Some(CONTENT), "the later reason counts");
    fixture.unblock(name).await;
    fixture.store().suspend_queue(id(1)).await.unwrap().await.unwrap();
    assert_eq!(fixture.unblock(name).await, Unblocking::NotBlocked(QueueStatus::Suspended));
    assert_eq!(fixture.block(name, SPAM).await, told(QueueStatus::Suspended));
    assert_eq!(fixture.status(1), QueueStatus::Blocked { blocked: SPAM, suspended: true });
}
