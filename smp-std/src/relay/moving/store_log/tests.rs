use super::*;
use crate::relay::store::{BlockingReason, Notice};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");

fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{VECTORS}/{path}/smp-server-store.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_line_of_the_reference_is_read_and_written_as_it_is() {
    let mut count = 0;
    for path in ["memory/var", "memory/var-after-restart", "journal/var", "journal/var-after-restart"] {
        for line in lines(path) {
            let read = StoreLogLine::parse(line.as_bytes()).unwrap();
            assert_eq!(read.to_line(), line);
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

const QUEUE: &str = "CREATE rid=M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx \
    rk=MCowBQYDK2VwAyEAP7KnV_tncNiHDmaAsJCpTM8idDFgCKL58SKj8p4sayI= \
    rdh=tGmC5YGZnX-ZSBdJeE8dL2iAz1AHE0T8iP66zGWGzHI= sid=EH35yyguZZaSPPVkjtMNvMKbOtc1JP75 sk=";

const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const ID: &str = "S5IOkcrA2Q8UFh5pUH70mBoO26a5tE2y";

fn queue(rest: &str) -> LoggedQueue {
    match StoreLogLine::parse(format!("{QUEUE}{rest}").as_bytes()) {
        Ok(StoreLogLine::Create(queue)) => *queue,
        other => panic!("{rest}: {other:?}"),
    }
}

#[test]
fn old_and_rare_forms_of_queues_are_read() {
    assert_eq!(queue("").record.mode, QueueMode::Unknown);
    assert_eq!(queue(" sndSecure=T").record.mode, QueueMode::Messaging);
    assert_eq!(queue(" sndSecure=F").record.mode, QueueMode::Contact);
    assert_eq!(queue(" queue_mode=C").record.mode, QueueMode::Contact);
    assert_eq!(queue(" updated_at=86399").record.activity_day, 0);
    assert_eq!(queue(" updated_at=86400").record.activity_day, 1);
    assert_eq!(queue(" status=active").record.status, QueueStatus::Active);
    assert_eq!(queue(" status=off").record.status, QueueStatus::Suspended);
    let blocked = |reason, notice| QueueStatus::Blocked { blocked: Blocked { reason, notice }, suspended: false };
    assert_eq!(queue(" status=blocked,reason=spam").record.status, blocked(BlockingReason::Spam, None));
    let with_service = queue(&format!(" status=blocked,reason=content rsrv={ID}"));
    assert_eq!(with_service.record.status, blocked(BlockingReason::Content, None));
    assert!(with_service.record.recipient_service.is_some());
    // A notice reaches to the end of the line.
    let notice = queue(" status=blocked,reason=spam,notice={\"ttl\": 1, \"a\": \"b c\"}");
    assert_eq!(notice.record.status, blocked(BlockingReason::Spam, Some(Notice { ttl: Some(1) })));
    assert_eq!(
        queue(" status=blocked,reason=spam,notice={}").record.status.blocked().unwrap().notice.unwrap().ttl,
        None
    );
}

/// All the kinds of lines the samples do not have.
#[test]
fn all_changes_come_back() {
    let key = "MCowBQYDK2VwAyEAP7KnV_tncNiHDmaAsJCpTM8idDFgCKL58SKj8p4sayI=";
    for line in [
        format!("LINK {ID} {ID} AAA= _-8="),
        format!("LDELETE {ID}"),
        format!("UNBLOCK {ID}"),
        format!("BLOCK {ID} reason=spam"),
        format!("BLOCK {ID} reason=content,notice={{}}"),
        format!("TIME {ID} 1795219200"),
        format!("QUEUE_SERVICE {ID} R {ID}"),
        format!("QUEUE_SERVICE {ID} R "),
        format!("QUEUE_SERVICE {ID} N "),
        format!("NOTIFIER {ID} {ID} {key} tGmC5YGZnX-ZSBdJeE8dL2iAz1AHE0T8iP66zGWGzHI= nsrv={ID}"),
        format!("NEW_SERVICE service_id={ID} role=M cert=AAA=,_-8= cert_hash={HASH} created_at=1795219200"),
        format!("NEW_SERVICE service_id={ID} role=N cert=AAA= cert_hash={HASH} created_at=0"),
        format!("NEW_SERVICE service_id={ID} role=P cert=AAA= cert_hash={HASH} created_at=0"),
    ] {
        assert_eq!(StoreLogLine::parse(line.as_bytes()).unwrap().to_line(), line);
    }
}

#[test]
fn damaged_lines_are_told_by_their_field() {
    let long =
        format!("KEYS {ID} {}", vec!["MCowBQYDK2VwAyEAP7KnV_tncNiHDmaAsJCpTM8idDFgCKL58SKj8p4sayI="; 256].join(","));
    for (line, reason) in [
        (String::new(), Reason::UnknownKind),
        ("CREATED x".into(), Reason::UnknownKind),
        ("create x".into(), Reason::UnknownKind),
        ("SUSPEND".into(), Reason::Field("recipient id")),
        ("SUSPEND AAAA".into(), Reason::Field("recipient id")),
        (format!("SUSPEND {ID}A"), Reason::Field("recipient id")),
        (format!("SUSPEND {ID} "), Reason::Trailing),
        (format!("SUSPEND {ID}\r"), Reason::Field("recipient id")),
        (format!("SECURE {ID} AAAA"), Reason::Field("sender key")),
        // X448 keys authorize nothing.
        (format!("KEYS {ID} "), Reason::Field("recipient keys")),
        (long, Reason::Field("recipient keys")),
        (format!("LINK {ID} {ID} AAA="), Reason::Field("link data")),
        (format!("TIME {ID} -1"), Reason::Field("time")),
        (format!("TIME {ID} +1"), Reason::Field("time")),
        (format!("TIME {ID} 999999999999999"), Reason::Field("time")),
        (format!("BLOCK {ID} reason=bad"), Reason::Field("blocking")),
        (format!("BLOCK {ID} reason=spam,notice={{"), Reason::Field("blocking")),
        (format!("QUEUE_SERVICE {ID} P "), Reason::Field("party")),
        (format!("{QUEUE} queue_mode=X"), Reason::Field("queue mode")),
        (format!("{QUEUE} status=gone"), Reason::Field("status")),
        (format!("{QUEUE} later=1"), Reason::Trailing),
        // The order of fields is fixed.
        (format!("{QUEUE} updated_at=1 queue_mode=M"), Reason::Trailing),
        (QUEUE[..QUEUE.len() - 4].into(), Reason::Field("sender key")),
        (QUEUE.replace("rdh=t", "rdh="), Reason::Field("delivery secret")),
    ] {
        assert_eq!(StoreLogLine::parse(line.as_bytes()).map(drop), Err(reason), "{line}");
    }
}
