use super::*;
use smp_proto::id::{CorrelationId as WireId, EntityId, MessageId};
use smp_proto::smp::SmpError;
use smp_proto::smp::recipient::EncryptedMessage;
use smp_proto::transport::transmission::encode_unauthorized;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

const SESSION: [u8; SESSION_IDENTIFIER_SIZE] = [9; SESSION_IDENTIFIER_SIZE];
const TIME_OUT: Duration = Duration::from_secs(30);

fn multiplexer(version: u16, now: Instant) -> Multiplexer {
    let limits = Limits {
        in_flight: 100,
        events: 4,
        ping_interval: Duration::from_secs(600),
        ping_unsubscribed: true,
        ping_time_out: TIME_OUT,
        ping_count: 3,
    };
    Multiplexer::new(SmpVersion(version), SESSION, limits, now)
}

fn id(number: u8) -> Id {
    Id::new(&[number; 24]).unwrap()
}

/// Submits a command about queue `queue` with the correlation id of 24 bytes `number`.
fn submit(
    multiplexer: &mut Multiplexer,
    number: u8,
    queue: Id,
    kind: Kind,
    length: usize,
) -> oneshot::Receiver<Response> {
    let (responder, response) = oneshot::channel();
    multiplexer.submit(Request {
        correlation_id: [number; 24],
        entity: queue,
        kind,
        transmission: vec![number; length].into(),
        time_out: TIME_OUT,
        responder: Some(responder),
    });
    response
}

/// The first bytes of the transmissions of the next block.
fn pack(multiplexer: &mut Multiplexer, now: Instant) -> Vec<u8> {
    let mut block = vec![0; 16_384];
    let mut writer = BatchWriter::new(&mut block).unwrap();
    multiplexer.pack(&mut writer, now);
    let Some(content) = writer.finish() else { return Vec::new() };
    Batch::decode(content).unwrap().iter().map(|transmission| transmission[0]).collect()
}

/// The content of a block from the relay.
fn block(version: u16, transmissions: &[(&[u8], &Id, BrokerMessage<'_>)]) -> Vec<u8> {
    let mut block = vec![0; 16_384];
    let mut writer = BatchWriter::new(&mut block).unwrap();
    for (correlation_id, entity, message) in transmissions {
        writer
            .push(|writer| {
                encode_unauthorized(
                    writer,
                    SmpVersion(version),
                    SessionId::new(&SESSION)?,
                    WireId::new(correlation_id)?,
                    EntityId::new(entity.as_bytes())?,
                    |writer| message.encode(writer, SmpVersion(version)),
                )
            })
            .unwrap();
    }
    writer.finish().unwrap().to_vec()
}

fn message(number: u8) -> BrokerMessage<'static> {
    static IDS: [[u8; 24]; 2] = [[0; 24], [1; 24]];
    BrokerMessage::Message(EncryptedMessage {
        message_id: MessageId::from_array(&IDS[usize::from(number)]),
        body: b"body",
    })
}

fn ok(response: &mut oneshot::Receiver<Response>) -> bool {
    matches!(response.try_recv(), Ok(Ok(_)))
}

#[test]
fn responses_find_their_commands_in_any_order() {
    let now = Instant::now();
    for version in [6, 7, 16, 20] {
        let mut multiplexer = multiplexer(version, now);
        let mut responses: Vec<_> =
            (1..=5).map(|number| submit(&mut multiplexer, number, id(number), Kind::Plain, 100)).collect();
        assert_eq!(pack(&mut multiplexer, now), [1, 2, 3, 4, 5], "one block");
        assert!(!multiplexer.wants_to_send());
        for number in [4, 1, 5, 3] {
            let refused = BrokerMessage::Error(SmpError::Quota);
            let answer = if number == 5 { refused } else { BrokerMessage::Ok };
            let content = block(version, &[(&[number; 24], &id(number), answer)]);
            multiplexer.receive(&content, now).unwrap();
        }
        for number in [1, 3, 4] {
            assert_eq!(&*responses[number - 1].try_recv().unwrap().unwrap(), b"OK");
        }
        assert!(responses[4].try_recv().unwrap().unwrap_err().is_quota());
        assert!(matches!(responses[1].try_recv(), Err(TryRecvError::Empty)));
        assert_eq!(multiplexer.outstanding(), 1);
        assert_eq!(multiplexer.anomalies(), Anomalies::default());
    }
}

#[test]
fn commands_about_one_queue_never_share_a_block() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let queues = [(1, 1), (2, 2), (3, 1), (4, 3)];
    let _responses: Vec<_> =
        queues.iter().map(|(number, queue)| submit(&mut multiplexer, *number, id(*queue), Kind::Plain, 10)).collect();
    assert_eq!(pack(&mut multiplexer, now), [1, 2]);
    assert_eq!(pack(&mut multiplexer, now), [3, 4]);
    // Commands about no queue may.
    let _responses: Vec<_> =
        (5..8).map(|number| submit(&mut multiplexer, number, Id::EMPTY, Kind::Plain, 10)).collect();
    assert_eq!(pack(&mut multiplexer, now), [5, 6, 7]);
}

#[test]
fn a_block_is_filled_and_the_rest_waits() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let lengths = [16_000, 300, 16_363, 16_363, 5];
    let _responses: Vec<_> = (1..)
        .zip(lengths)
        .map(|(number, length)| submit(&mut multiplexer, number, id(number), Kind::Plain, length))
        .collect();
    assert_eq!(pack(&mut multiplexer, now), [1, 2]);
    assert_eq!(pack(&mut multiplexer, now), [3]);
    assert_eq!(pack(&mut multiplexer, now), [4]);
    assert_eq!(pack(&mut multiplexer, now), [5]);
    assert!(pack(&mut multiplexer, now).is_empty());
}

#[test]
fn a_command_that_fits_no_block_fails_alone() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut large = submit(&mut multiplexer, 1, id(1), Kind::Plain, 16_364);
    let _small = submit(&mut multiplexer, 2, id(2), Kind::Plain, 10);
    assert_eq!(pack(&mut multiplexer, now), [2]);
    assert!(matches!(large.try_recv(), Ok(Err(ClientError::TooLarge(_)))));
}

#[test]
fn room_is_limited() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut responses = Vec::new();
    while multiplexer.has_room() {
        responses.push(submit(&mut multiplexer, 0, id(0), Kind::Plain, 16_000));
    }
    assert_eq!(responses.len(), 5, "bytes");
    while multiplexer.wants_to_send() {
        pack(&mut multiplexer, now);
    }
    let mut multiplexer = self::multiplexer(20, now);
    for number in 0..100 {
        assert!(multiplexer.has_room());
        responses.push(submit(&mut multiplexer, number, id(number), Kind::Plain, 10));
        pack(&mut multiplexer, now);
    }
    assert!(!multiplexer.has_room(), "in flight");
}

#[test]
fn commands_time_out_and_late_responses_are_known_as_such() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut first = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    let later = now + Duration::from_secs(10);
    let mut second = submit(&mut multiplexer, 2, id(2), Kind::Plain, 10);
    pack(&mut multiplexer, later);
    assert_eq!(multiplexer.next_deadline(), now + TIME_OUT);
    assert_eq!(multiplexer.tick(now + TIME_OUT), Tick::Nothing);
    assert!(matches!(first.try_recv(), Ok(Err(ClientError::Timeout))));
    assert!(matches!(second.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(multiplexer.next_deadline(), later + TIME_OUT);
    let content = block(20, &[(&[1; 24], &id(1), BrokerMessage::Ok), (&[2; 24], &id(2), BrokerMessage::Ok)]);
    multiplexer.receive(&content, later).unwrap();
    assert!(ok(&mut second));
    assert_eq!(multiplexer.anomalies(), Anomalies { late: 1, ..Anomalies::default() });
    assert!(!multiplexer.has_events());
}

#[test]
fn a_message_in_a_late_response_is_not_lost() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut subscribed = submit(&mut multiplexer, 1, id(1), Kind::Subscribe, 10);
    pack(&mut multiplexer, now);
    multiplexer.receive(&block(20, &[(&[1; 24], &id(1), BrokerMessage::Subscribed(None))]), now).unwrap();
    assert!(ok(&mut subscribed));
    let mut acknowledged = submit(&mut multiplexer, 2, id(1), Kind::Acknowledge, 10);
    pack(&mut multiplexer, now);
    multiplexer.tick(now + TIME_OUT);
    assert!(matches!(acknowledged.try_recv(), Ok(Err(ClientError::Timeout))));
    multiplexer.receive(&block(20, &[(&[2; 24], &id(1), message(1))]), now + TIME_OUT).unwrap();
    assert!(matches!(multiplexer.next_event(), Some(Event::Message(delivery)) if delivery.queue == id(1)));
    // But not what answers a command that never was.
    multiplexer.receive(&block(20, &[(&[3; 24], &id(1), message(1))]), now + TIME_OUT).unwrap();
    assert!(multiplexer.next_event().is_none());
    assert_eq!(multiplexer.anomalies(), Anomalies { late: 1, unexpected: 1, malformed: 0 });
}

#[test]
fn messages_in_responses_become_events() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(9, now);
    for (number, kind) in [(1, Kind::Subscribe), (2, Kind::Acknowledge)] {
        let mut response = submit(&mut multiplexer, number, id(1), kind, 10);
        pack(&mut multiplexer, now);
        multiplexer.receive(&block(9, &[(&[number; 24], &id(1), message(0))]), now).unwrap();
        assert!(ok(&mut response));
        assert!(matches!(multiplexer.next_event(), Some(Event::Message(_))), "{kind:?}");
    }
    // The answer to GET is for whoever asked.
    let mut response = submit(&mut multiplexer, 3, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    multiplexer.receive(&block(9, &[(&[3; 24], &id(1), message(0))]), now).unwrap();
    assert!(response.try_recv().unwrap().unwrap().starts_with(b"MSG "));
    assert!(!multiplexer.has_events());
}

#[test]
fn responses_that_do_not_fit_their_command_are_refused() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut other_queue = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    let mut unreadable = submit(&mut multiplexer, 2, id(2), Kind::Plain, 10);
    let mut no_queue = submit(&mut multiplexer, 3, id(3), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    multiplexer.receive(&block(20, &[(&[1; 24], &id(2), BrokerMessage::Ok)]), now).unwrap();
    assert!(matches!(other_queue.try_recv(), Ok(Err(ClientError::Unexpected))));
    let mut content = block(20, &[(&[2; 24], &id(2), BrokerMessage::Ok)]);
    *content.last_mut().unwrap() = b'!';
    multiplexer.receive(&content, now).unwrap();
    assert!(matches!(unreadable.try_recv(), Ok(Err(ClientError::Malformed))));
    let error = BrokerMessage::Error(SmpError::Block);
    multiplexer.receive(&block(20, &[(&[3; 24], &Id::EMPTY, error)]), now).unwrap();
    assert!(matches!(no_queue.try_recv(), Ok(Err(ClientError::Relay(error))) if error.get() == SmpError::Block));
    assert_eq!(multiplexer.anomalies(), Anomalies { unexpected: 1, malformed: 1, late: 0 });
}

#[test]
fn malformed_blocks_end_the_connection_and_malformed_entries_do_not() {
    let now = Instant::now();
    let good = block(20, &[(&[1; 24], &id(1), BrokerMessage::Ok)]);
    for end in 0..good.len() {
        let mut multiplexer = multiplexer(20, now);
        assert!(matches!(multiplexer.receive(&good[..end], now), Err(ClientError::Malformed)), "{end}");
    }
    for (position, byte) in good.iter().enumerate().skip(3) {
        let mut multiplexer = multiplexer(20, now);
        let mut response = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
        pack(&mut multiplexer, now);
        let mut bad = good.clone();
        bad[position] = byte ^ 0x80;
        multiplexer.receive(&bad, now).unwrap();
        assert!(!ok(&mut response), "{position}");
        assert_ne!(multiplexer.anomalies(), Anomalies::default(), "{position}");
    }
}

#[test]
fn another_session_at_version_6_is_no_answer() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(6, now);
    let mut response = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    let mut content = block(6, &[(&[1; 24], &id(1), BrokerMessage::Ok)]);
    let at = content.windows(32).position(|window| window == SESSION).unwrap();
    content[at] ^= 1;
    multiplexer.receive(&content, now).unwrap();
    assert!(!ok(&mut response));
    assert_eq!(multiplexer.anomalies().malformed, 1);
}

#[test]
fn events_are_sorted_by_what_they_say() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let content = block(
        20,
        &[
            (&[], &id(1), BrokerMessage::End),
            (&[], &id(2), BrokerMessage::Deleted),
            (&[], &id(3), message(0)),
            (&[], &id(4), BrokerMessage::Error(SmpError::Auth)),
            (&[], &Id::EMPTY, BrokerMessage::Error(SmpError::Block)),
            (&[], &id(5), BrokerMessage::Ok),
            (&[], &Id::EMPTY, BrokerMessage::End),
        ],
    );
    multiplexer.receive(&content, now).unwrap();
    assert!(matches!(multiplexer.next_event(), Some(Event::SubscriptionEnded(queue)) if queue == id(1)));
    assert!(matches!(multiplexer.next_event(), Some(Event::QueueDeleted(queue)) if queue == id(2)));
    assert!(matches!(multiplexer.next_event(), Some(Event::Message(delivery)) if delivery.queue == id(3)));
    assert!(matches!(multiplexer.next_event(), Some(Event::Error(Some(queue), _)) if queue == id(4)));
    assert!(matches!(multiplexer.next_event(), Some(Event::Error(None, _))));
    assert!(multiplexer.next_event().is_none());
    assert_eq!(multiplexer.anomalies().unexpected, 2);
}

#[test]
fn reading_pauses_when_events_wait_and_no_command_does() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    for number in 0..4 {
        assert!(multiplexer.may_read());
        multiplexer.receive(&block(20, &[(&[], &id(number), message(0))]), now).unwrap();
    }
    assert!(!multiplexer.may_read());
    let _response = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    assert!(multiplexer.may_read(), "a response is due");
    multiplexer.receive(&block(20, &[(&[1; 24], &id(1), BrokerMessage::Ok)]), now).unwrap();
    assert!(!multiplexer.may_read());
    multiplexer.next_event();
    assert!(multiplexer.may_read());
}

#[test]
fn a_relay_that_floods_is_cut_off() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let _response = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    let flood = block(20, &[(&[], &id(1), message(0))]);
    let taken = (0..1000).take_while(|_| multiplexer.receive(&flood, now).is_ok()).count();
    assert_eq!(taken, 4 + SPARE_EVENTS);
}

/// Another device that takes over all queues of this one, as after an export.
#[test]
fn a_relay_may_end_all_subscriptions_at_once() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let queue = |number: u16| Id::new(&[&number.to_be_bytes()[..], &[7; 22]].concat()).unwrap();
    for number in 0..1000 {
        let _response = submit(&mut multiplexer, 1, queue(number), Kind::Subscribe, 10);
        pack(&mut multiplexer, now);
        multiplexer.receive(&block(20, &[(&[1; 24], &queue(number), BrokerMessage::Ok)]), now).unwrap();
    }
    let _response = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    for number in 0..1000 {
        multiplexer.receive(&block(20, &[(&[], &queue(number), BrokerMessage::End)]), now).unwrap();
    }
    // No more than that.
    let more = block(20, &[(&[], &queue(1), BrokerMessage::End)]);
    let taken = (0..1000).take_while(|_| multiplexer.receive(&more, now).is_ok()).count();
    assert_eq!(taken, 4 + SPARE_EVENTS);
    for number in 0..1000 {
        assert!(matches!(multiplexer.next_event(), Some(Event::SubscriptionEnded(ended)) if ended == queue(number)));
    }
}

fn ping(multiplexer: &mut Multiplexer, number: u8, now: Instant) {
    multiplexer.submit_ping(Request {
        correlation_id: [number; 24],
        entity: Id::EMPTY,
        kind: Kind::Plain,
        transmission: vec![number; 60].into(),
        time_out: TIME_OUT,
        responder: None,
    });
    assert_eq!(pack(multiplexer, now), [number]);
}

#[test]
fn silence_is_met_with_pings_and_three_without_an_answer_end_it() {
    let mut now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    assert_eq!(multiplexer.tick(now + Duration::from_secs(599)), Tick::Nothing);
    // An answered ping.
    now = multiplexer.next_deadline();
    assert_eq!(multiplexer.tick(now), Tick::Ping);
    ping(&mut multiplexer, 1, now);
    assert_eq!(multiplexer.tick(now), Tick::Nothing, "one at a time");
    multiplexer.receive(&block(20, &[(&[1; 24], &Id::EMPTY, BrokerMessage::Pong)]), now).unwrap();
    // Three that are not.
    for number in 2..5 {
        now = multiplexer.next_deadline();
        assert_eq!(multiplexer.tick(now), Tick::Ping, "{number}");
        ping(&mut multiplexer, number, now);
        now = multiplexer.next_deadline();
        let expected = if number == 4 { Tick::GiveUp } else { Tick::Nothing };
        assert_eq!(multiplexer.tick(now), expected, "{number}");
    }
}

#[test]
fn who_receives_nothing_may_be_left_alone() {
    let start = Instant::now();
    let mut multiplexer = multiplexer(20, start);
    multiplexer.limits.ping_unsubscribed = false;
    let subscriptions = multiplexer.subscriptions();
    let later = start + Duration::from_secs(900);
    assert!(multiplexer.next_deadline() > later);
    assert_eq!(multiplexer.tick(later), Tick::Nothing);
    let mut response = submit(&mut multiplexer, 1, id(1), Kind::Subscribe, 10);
    pack(&mut multiplexer, later);
    multiplexer.receive(&block(20, &[(&[1; 24], &id(1), BrokerMessage::Ok)]), later).unwrap();
    assert!(response.try_recv().unwrap().is_ok());
    assert_eq!(subscriptions.load(Ordering::Relaxed), 1);
    assert_eq!(multiplexer.next_deadline(), later + Duration::from_secs(600));
    assert_eq!(multiplexer.tick(later + Duration::from_secs(600)), Tick::Ping);
    multiplexer.receive(&block(20, &[(&[], &id(1), BrokerMessage::End)]), later).unwrap();
    assert_eq!(subscriptions.load(Ordering::Relaxed), 0);
    assert_eq!(multiplexer.tick(later + Duration::from_secs(600)), Tick::Nothing);
}

/// As when the network has changed below the connection: whoever only sends must not go on for ever with what nobody hears.
#[test]
fn a_relay_that_answers_no_command_is_given_up_by_who_receives_nothing_too() {
    let mut now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    multiplexer.limits.ping_unsubscribed = false;
    let command = |multiplexer: &mut Multiplexer, number: u8, now: Instant| {
        let response = submit(multiplexer, number, id(number), Kind::Plain, 10);
        assert_eq!(pack(multiplexer, now), [number]);
        response
    };
    // A relay that says something else meanwhile is there.
    let mut response = command(&mut multiplexer, 1, now);
    multiplexer.receive(&block(20, &[(&[], &id(9), message(0))]), now + Duration::from_secs(1)).unwrap();
    now = multiplexer.next_deadline();
    assert_eq!((now, multiplexer.tick(now)), (now, Tick::Nothing));
    assert!(matches!(response.try_recv(), Ok(Err(ClientError::Timeout))));
    // One that answers a ping is, too.
    let mut response = command(&mut multiplexer, 2, now);
    now = multiplexer.next_deadline();
    assert_eq!(multiplexer.tick(now), Tick::Ping);
    assert!(matches!(response.try_recv(), Ok(Err(ClientError::Timeout))));
    ping(&mut multiplexer, 3, now);
    multiplexer.receive(&block(20, &[(&[3; 24], &Id::EMPTY, BrokerMessage::Pong)]), now).unwrap();
    assert_eq!(multiplexer.tick(now + Duration::from_secs(900)), Tick::Nothing);
    // One that answers nothing is not, however often it is asked meanwhile.
    now += Duration::from_secs(900);
    let silent = now;
    let _response = command(&mut multiplexer, 4, now);
    now = multiplexer.next_deadline();
    assert_eq!(multiplexer.tick(now), Tick::Ping);
    for number in 5..8 {
        ping(&mut multiplexer, number, now);
        let _response = command(&mut multiplexer, number + 10, now);
        now = multiplexer.next_deadline();
        assert_eq!(multiplexer.tick(now), if number == 7 { Tick::GiveUp } else { Tick::Ping }, "{number}");
    }
    assert_eq!(now, silent + 4 * TIME_OUT);
}

#[test]
fn commands_without_an_answer_are_silence_too() {
    let start = Instant::now();
    let mut multiplexer = multiplexer(20, start);
    for (number, seconds) in [(1, 200), (2, 400), (3, 599)] {
        let now = start + Duration::from_secs(seconds);
        let _ = multiplexer.tick(now);
        let _response = submit(&mut multiplexer, number, id(number), Kind::Plain, 10);
        assert_eq!(pack(&mut multiplexer, now), [number]);
    }
    assert_eq!(multiplexer.next_deadline(), start + Duration::from_secs(600));
    assert_eq!(multiplexer.tick(start + Duration::from_secs(600)), Tick::Ping);
}

#[test]
fn everybody_learns_why_a_connection_ended() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let mut sent = submit(&mut multiplexer, 1, id(1), Kind::Plain, 10);
    pack(&mut multiplexer, now);
    let mut waiting = submit(&mut multiplexer, 2, id(2), Kind::Plain, 10);
    multiplexer.fail_all(&ClientError::Unresponsive);
    for response in [&mut sent, &mut waiting] {
        assert!(matches!(response.try_recv(), Ok(Err(ClientError::Unresponsive))));
    }
    assert_eq!(multiplexer.outstanding(), 0);
}

#[test]
fn notifications_are_bounded_and_end_no_connection() {
    let now = Instant::now();
    let mut multiplexer = multiplexer(20, now);
    let metadata = [7; 144];
    let notification = |nonce: &'static [u8; 24]| {
        BrokerMessage::Notification(smp_proto::smp::notifier::EncryptedNotification {
            nonce,
            metadata: smp_proto::wire::ShortString::new(&metadata).unwrap(),
        })
    };
    // A command in flight keeps the connection reading.
    let mut waiting = submit(&mut multiplexer, 1, id(1), Kind::Plain, 100);
    pack(&mut multiplexer, now);
    let notifier = id(9);
    for _ in 0..40 {
        let many: Vec<_> = (0..50).map(|_| (&[][..], &notifier, notification(&[3; 24]))).collect();
        multiplexer.receive(&block(20, &many), now).unwrap();
    }
    multiplexer.receive(&block(20, &[(&[1; 24], &id(1), BrokerMessage::Ok)]), now).unwrap();
    assert!(ok(&mut waiting));
    let mut count = 0;
    while let Some(event) = multiplexer.next_event() {
        let Event::Notification(found) = event else { panic!("{event:?}") };
        assert_eq!((&found.notifier_id, found.nonce, &found.metadata[..]), (&notifier, [3; 24], &metadata[..]));
        count += 1;
    }
    assert_eq!(count, 1024);
    multiplexer.receive(&block(20, &[(&[], &notifier, notification(&[4; 24]))]), now).unwrap();
    assert!(multiplexer.has_events());
    // A notification about nothing is none.
    multiplexer.receive(&block(20, &[(&[], &Id::EMPTY, notification(&[4; 24]))]), now).unwrap();
    assert_eq!(multiplexer.anomalies().unexpected, 1);
}
