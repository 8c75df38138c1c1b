//! Every number that a monitoring system gets, with its name and meaning. `docs/metrics.md` is made from it.

use super::text::{Family, Kind};
use crate::relay::gauges::Facts;
use crate::relay::stats::RANGES;

/// A counter without labels.
fn counter(name: &'static str, help: &'static str, sum: u64) -> Family {
    labelled_counter(name, help, [(String::new(), sum)])
}

/// A counter for each set of labels.
fn labelled_counter(name: &'static str, help: &'static str, sums: impl IntoIterator<Item = (String, u64)>) -> Family {
    let samples = sums.into_iter().map(|(labels, sum)| (labels, number(sum))).collect();
    Family { name, kind: Kind::Counter, help, samples }
}

/// A gauge without labels.
fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
    Family { name, kind: Kind::Gauge, help, samples: vec![(String::new(), value)] }
}

/// A gauge for each set of labels.
fn labelled_gauge(name: &'static str, help: &'static str, values: impl IntoIterator<Item = (String, u64)>) -> Family {
    let samples = values.into_iter().map(|(labels, value)| (labels, number(value))).collect();
    Family { name, kind: Kind::Gauge, help, samples }
}

/// The formats know no integers. Exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "the formats know no integers")]
fn number(value: u64) -> f64 {
    value as f64
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

/// All numbers.
pub(super) fn families(facts: &Facts) -> Vec<Family> {
    let mut all = queues(facts);
    all.extend(subscriptions(facts));
    all.extend(messages(facts));
    all.extend(notifications(facts));
    all.extend(forwarding(facts));
    all.extend(services(facts));
    all.extend(names(facts));
    all.extend(connections(facts));
    all.extend(process(facts));
    all
}

fn periods(values: [u64; 3]) -> impl Iterator<Item = (String, u64)> {
    ["day", "week", "month"].into_iter().zip(values).map(|(period, value)| (label("period", period), value))
}

fn queues(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("queues.{name}"));
    vec![
        labelled_gauge("smp_queues", "Queues.", [(String::new(), facts.held.queues)]),
        counter("smp_queues_created", "Queues created (NEW).", sum("queues_created")),
        counter("smp_queues_secured", "Queues whose sender's key was set (KEY, SKEY, LKEY).", sum("queues_secured")),
        labelled_counter(
            "smp_queues_deleted",
            "Queues deleted, by whether they had a sender's key.",
            [
                (label("state", "new"), sum("queues_deleted_new")),
                (label("state", "secured"), sum("queues_deleted_secured")),
            ],
        ),
        counter("smp_queue_delete_blocks", "Blocks with commands to delete queues.", sum("queues_deleted_batches")),
        counter("smp_queues_blocked", "Queues blocked by the operator.", sum("queues_blocked")),
        labelled_gauge(
            "smp_queues_active",
            "Queues with messages sent or received since the period began, within about 1 %.",
            periods(facts.active),
        ),
        labelled_gauge(
            "smp_queues_active_notified",
            "Queues with messages that asked for notifications since the period began, within about 1 %.",
            periods(facts.active_notified),
        ),
    ]
}

fn subscriptions(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("queues.{name}"));
    let results = |prefix: &str, names: &[(&str, &str)]| -> Vec<_> {
        let one = |(result, suffix): &(&str, &str)| (label("result", result), sum(&format!("{prefix}{suffix}")));
        names.iter().map(one).collect()
    };
    vec![
        labelled_gauge(
            "smp_subscriptions",
            "Queues and notifiers with a subscriber.",
            [
                (label("part", "recipient"), facts.recipient_subscriptions),
                (label("part", "notifier"), facts.notifier_subscriptions),
            ],
        ),
        labelled_counter(
            "smp_subscribe",
            "SUB commands, by result; prohibited is after GET in the same connection.",
            results(
                "subscribed",
                &[("new", ""), ("again", "_again"), ("prohibited", "_prohibited"), ("unauthorized", "_auth")],
            ),
        ),
        counter("smp_subscribe_blocks", "Blocks with SUB commands.", sum("subscribed_batches")),
        labelled_counter(
            "smp_notifier_subscribe",
            "NSUB commands, by result.",
            results("notifiers_subscribed", &[("new", ""), ("again", "_again"), ("unauthorized", "_auth")]),
        ),
        counter("smp_notifier_subscribe_blocks", "Blocks with NSUB commands.", sum("notifiers_subscribed_batches")),
        counter(
            "smp_subscriptions_ended",
            "Subscriptions that another connection took over or that ended with their queue (END, DELD).",
            sum("subscriptions_ended"),
        ),
        counter("smp_subscriptions_ended_blocks", "Blocks with END or DELD.", sum("subscriptions_ended_batches")),
    ]
}

fn messages(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("queues.{name}"));
    let fetched = sum("messages_received_get");
    let got = |result: &str, name: &str| (label("result", result), sum(name));
    vec![
        labelled_gauge(
            "smp_messages",
            "Messages that wait for their recipients.",
            [(String::new(), facts.held.messages)],
        ),
        counter("smp_messages_sent", "Messages accepted (SEND answered with OK).", sum("messages_sent")),
        labelled_counter(
            "smp_messages_refused",
            "SEND commands refused.",
            [
                (label("reason", "unauthorized"), sum("messages_sent_auth")),
                (label("reason", "quota"), sum("messages_sent_quota")),
                (label("reason", "large"), sum("messages_sent_large")),
                (label("reason", "blocked"), sum("messages_sent_blocked")),
            ],
        ),
        labelled_counter(
            "smp_messages_received",
            "Messages acknowledged by their recipients, by how they were delivered.",
            [
                (label("by", "subscription"), sum("messages_received").saturating_sub(fetched)),
                (label("by", "get"), fetched),
            ],
        ),
        acknowledgements(facts),
        labelled_gauge(
            "smp_messages_unacknowledged",
            "Messages that were delivered to a connection that has not acknowledged them yet.",
            [(String::new(), facts.deliveries.outstanding)],
        ),
        labelled_gauge(
            "smp_connections_unacknowledged",
            "Connections that have not acknowledged every message that was delivered to them.",
            [(String::new(), facts.deliveries.connections)],
        ),
        labelled_counter(
            "smp_get",
            "GET commands, by result; prohibited is after SUB in the same connection.",
            [
                got("message", "messages_got"),
                got("again", "messages_got_again"),
                got("empty", "messages_got_none"),
                got("prohibited", "messages_got_prohibited"),
                got("unauthorized", "messages_got_auth"),
            ],
        ),
        counter(
            "smp_messages_expired",
            "Messages dropped because nobody fetched them in time.",
            sum("messages_expired"),
        ),
        counter(
            "smp_messages_sent_notified",
            "Messages accepted that asked for a notification.",
            sum("messages_sent_notified"),
        ),
        counter(
            "smp_messages_received_notified",
            "Messages acknowledged that had asked for a notification.",
            sum("messages_received_notified"),
        ),
    ]
}

/// Times from delivery to acknowledgement.
fn acknowledgements(facts: &Facts) -> Family {
    let tenths = |tenths: u64| number(tenths) / 10.0;
    let ends = RANGES.iter().map(|end| format!("{:?}", tenths(u64::from(*end)))).chain(["+Inf".to_owned()]);
    Family {
        name: "smp_message_acknowledgement_seconds",
        kind: Kind::Histogram { sum: tenths(facts.deliveries.total) },
        help: "Seconds from the delivery of a message to a connection to its acknowledgement.",
        samples: ends.zip(facts.deliveries.within).map(|(end, count)| (label("le", &end), number(count))).collect(),
    }
}

fn notifications(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("queues.{name}"));
    let by = |by: &str, name: &str| (label("by", by), sum(name));
    vec![
        labelled_gauge("smp_notifiers", "Queues with a notifier.", [(String::new(), facts.held.notifiers)]),
        labelled_counter(
            "smp_notifiers_created",
            "Notifiers created, by NKEY or together with a queue by NEW.",
            [by("nkey", "notifiers_created"), by("new", "notifiers_created_with_queue")],
        ),
        counter("smp_notifiers_deleted", "Notifiers deleted (NDEL).", sum("notifiers_deleted")),
        counter("smp_notifier_delete_blocks", "Blocks with NDEL commands.", sum("notifiers_deleted_batches")),
        labelled_gauge(
            "smp_notifications_pending",
            "Notifications that wait for their notifiers.",
            [(String::new(), facts.held.notifications)],
        ),
        counter("smp_notifications", "Notifications delivered (NMSG).", sum("notifications")),
        counter("smp_notification_blocks", "Blocks with notifications.", sum("notifications_batches")),
        labelled_counter(
            "smp_notifications_undelivered",
            "Notifications that nobody was subscribed to when they came, that were dropped because there were too many, \
             and that expired.",
            [
                (label("reason", "unsubscribed"), sum("notifications_unsubscribed")),
                (label("reason", "lost"), sum("notifications_lost")),
                (label("reason", "expired"), sum("notifications_expired")),
            ],
        ),
    ]
}

fn forwarding(facts: &Facts) -> Vec<Family> {
    // What is counted for all relays includes those of the operator.
    let split = |group: &str, counter: &str| {
        let all = facts.sums.get(&format!("{group}.{counter}"));
        let own = facts.sums.get(&format!("{group}_own.{counter}"));
        [("own", own), ("other", all.saturating_sub(own))]
    };
    let requests = |group: &str| split(group, "requests").map(|(relay, sum)| (label("relay", relay), sum));
    let results = |group: &str| -> Vec<_> {
        let results = [
            ("success", "successes"),
            ("connect_error", "connect_errors"),
            ("version_error", "version_errors"),
            ("other_error", "other_errors"),
        ];
        let one = |(result, counter): &(&str, &str)| {
            let labels = |relay| format!("{},{}", label("relay", relay), label("result", result));
            split(group, counter).map(|(relay, sum)| (labels(relay), sum))
        };
        results.iter().flat_map(one).collect()
    };
    vec![
        labelled_counter(
            "smp_proxy_sessions",
            "Requests for sessions with other relays (PRXY), by whether the relay is the operator's own.",
            requests("proxy_sessions"),
        ),
        labelled_counter("smp_proxy_session_results", "What came of them.", results("proxy_sessions")),
        labelled_counter(
            "smp_proxy_forwards",
            "Commands to forward to other relays (PFWD), by whether the relay is the operator's own.",
            requests("proxy_forwards"),
        ),
        labelled_counter("smp_proxy_forward_results", "What came of them.", results("proxy_forwards")),
        labelled_gauge(
            "smp_proxy_connections",
            "Connections to other relays, those that are being made included.",
            [(String::new(), facts.upstream_connections)],
        ),
        labelled_gauge(
            "smp_proxy_forwards_in_flight",
            "Forwarded commands that clients wait for.",
            [(String::new(), facts.forwards_in_flight)],
        ),
        labelled_gauge(
            "smp_proxy_blocks",
            "Forwarded commands and responses that are held in memory, of 16 KiB each.",
            [(String::new(), facts.forwarded_blocks)],
        ),
        counter(
            "smp_forwards_received",
            "Commands that other relays forwarded to this one (RFWD).",
            facts.sums.get("forwards.received"),
        ),
    ]
}

fn services(facts: &Facts) -> Vec<Family> {
    let roles = [("recipient", "recipient_services"), ("notifier", "notifier_services")];
    let each = |label_name: &str, names: &[(&str, &str)]| -> Vec<(String, u64)> {
        let one = |(role, group): (&str, &str)| {
            let samples = names.iter().map(|(value, counter)| {
                let labels = format!("{},{}", label("role", role), label(label_name, value));
                (labels, facts.sums.get(&format!("{group}.{counter}")))
            });
            samples.collect::<Vec<_>>()
        };
        roles.into_iter().flat_map(one).collect()
    };
    let plain =
        |counter: &str| roles.map(|(role, group)| (label("role", role), facts.sums.get(&format!("{group}.{counter}"))));
    let held = |recipient, notifier| [(label("role", "recipient"), recipient), (label("role", "notifier"), notifier)];
    vec![
        labelled_gauge(
            "smp_services",
            "Services with queues.",
            held(facts.held.recipient_services, facts.held.notifier_services),
        ),
        labelled_gauge(
            "smp_service_queues",
            "Queues of services.",
            held(facts.held.recipient_service_queues, facts.held.notifier_service_queues),
        ),
        labelled_gauge(
            "smp_services_subscribed",
            "Services that a connection receives for.",
            [(String::new(), facts.services_subscribed)],
        ),
        labelled_counter(
            "smp_service_associations",
            "Queues that came to a service, were its already, moved to another or left.",
            each(
                "change",
                &[("new", "associated"), ("same", "associated_before"), ("moved", "moved"), ("left", "left")],
            ),
        ),
        labelled_counter(
            "smp_service_subscribe",
            "SUBS and NSUBS commands, by result.",
            each("result", &[("new", "subscriptions"), ("again", "repeated_subscriptions")]),
        ),
        labelled_counter(
            "smp_service_subscribed_queues",
            "Queues subscribed by SUBS and NSUBS.",
            plain("subscribed_queues"),
        ),
        labelled_counter(
            "smp_service_counts",
            "SUBS and NSUBS commands, by how the service's count and hash of its queues compare to the relay's: the relay \
             has the same queues, more, fewer, or as many others.",
            each(
                "relay_has",
                &[
                    ("same", "count_same"),
                    ("more", "count_more"),
                    ("fewer", "count_fewer"),
                    ("different", "hash_different"),
                ],
            ),
        ),
        labelled_counter(
            "smp_service_subscriptions_ended",
            "Subscriptions of services that ended (ENDS).",
            plain("ended"),
        ),
    ]
}

fn names(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("names.{name}"));
    vec![
        counter("smp_name_requests", "Requests for names (RSLV).", sum("requests")),
        labelled_counter(
            "smp_name_results",
            "What came of them.",
            [
                (label("result", "found"), sum("successes")),
                (label("result", "not_found"), sum("not_found")),
                (label("result", "resolver_error"), sum("resolver_errors")),
                (label("result", "disabled"), sum("disabled")),
            ],
        ),
    ]
}

fn connections(facts: &Facts) -> Vec<Family> {
    let sum = |name: &str| facts.sums.get(&format!("limits.{name}"));
    let refused = facts.sums.iter().filter_map(|(name, sum)| {
        let limit = name.strip_prefix("limits.")?;
        (limit != "handshakes_failed").then(|| (label("limit", limit), sum))
    });
    vec![
        labelled_gauge(
            "smp_connections",
            "Connections, those in their handshakes included.",
            [(String::new(), facts.connections)],
        ),
        labelled_gauge(
            "smp_connections_subscribed",
            "Connections with a subscription.",
            [(String::new(), facts.connections_subscribed)],
        ),
        counter(
            "smp_connections_accepted",
            "Connections accepted, those refused at once not included.",
            facts.sums.get("connections.accepted"),
        ),
        counter(
            "smp_connections_established",
            "Connections that finished their handshakes.",
            facts.sums.get("connections.established"),
        ),
        counter("smp_handshakes_failed", "Handshakes that failed or took too long.", sum("handshakes_failed")),
        labelled_counter(
            "smp_limited",
            "What was refused, ended or delayed to protect the relay, by limit; see [limits] of the configuration.",
            refused,
        ),
    ]
}

fn process(facts: &Facts) -> Vec<Family> {
    let process = &facts.process;
    let disk = |value: fn(&crate::relay::gauges::StoreDisk) -> u64| {
        facts.disk.as_ref().map(|disk| (String::new(), value(disk))).into_iter()
    };
    vec![
        labelled_gauge(
            "smp_store_bytes",
            "Bytes of the store's files on the disk; absent with the memory store.",
            disk(|disk| disk.store_bytes),
        ),
        labelled_gauge(
            "smp_store_free_bytes",
            "Bytes that are free on the store's disk; absent with the memory store.",
            disk(|disk| disk.free_bytes),
        ),
        #[allow(clippy::cast_precision_loss, reason = "seconds of any year")]
        Family {
            name: "smp_certificate_expiry_timestamp_seconds",
            kind: Kind::Gauge,
            help: "When the certificate expires, in seconds since 1970-01-01 UTC; absent for one that is not used.",
            samples: facts.certificates.iter().map(|(name, at)| (label("certificate", name), *at as f64)).collect(),
        },
        labelled_gauge(
            "smp_build_info",
            "Always 1; the label tells the program's version.",
            [(label("version", env!("CARGO_PKG_VERSION")), 1)],
        ),
        gauge("smp_uptime_seconds", "Seconds since the relay started.", facts.uptime.as_secs_f64()),
        #[allow(clippy::cast_precision_loss, reason = "seconds of any year")]
        gauge(
            "process_start_time_seconds",
            "When the relay started, in seconds since 1970-01-01 UTC.",
            facts.started as f64,
        ),
        Family {
            name: "process_cpu_seconds",
            kind: Kind::Counter,
            help: "Seconds of processor time used.",
            samples: vec![(String::new(), process.cpu_seconds)],
        },
        labelled_gauge(
            "process_resident_memory_bytes",
            "Bytes of memory in use.",
            [(String::new(), process.resident_bytes)],
        ),
        labelled_gauge(
            "process_virtual_memory_bytes",
            "Bytes of address space.",
            [(String::new(), process.virtual_bytes)],
        ),
        labelled_gauge("process_threads", "Threads.", [(String::new(), process.threads)]),
        labelled_gauge("process_open_fds", "Open files and connections.", [(String::new(), process.open_files)]),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;
    use crate::relay::gauges::StoreDisk;
    use crate::relay::stats::Stats;

    fn facts() -> Facts {
        let certificates = vec![("server", 1), ("web", 2)];
        Facts { sums: Stats::default().sums(), disk: Some(StoreDisk::default()), certificates, ..Facts::default() }
    }

    /// Every counter shows somewhere: each is given a value of its own, and the values are looked for.
    #[test]
    fn no_counter_is_forgotten() {
        let silent = families(&facts());
        for (name, _) in facts().sums.iter() {
            let text = format!("{{\"{name}\": 7}}");
            let facts = Facts { sums: serde_json::from_str(&text).unwrap(), ..facts() };
            let changed = families(&facts).iter().zip(&silent).any(|(now, before)| now.samples != before.samples);
            assert!(changed, "{name} is in no metric");
        }
    }

    #[test]
    fn names_are_as_the_field_has_them() {
        let mut seen = HashSet::new();
        for family in families(&facts()) {
            assert!(seen.insert(family.name), "{} twice", family.name);
            assert!(family.name.starts_with("smp_") || family.name.starts_with("process_"), "{}", family.name);
            assert!(family.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", family.name);
            assert!(!family.name.ends_with("_total"), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']), "{}", family.help);
            let labels: HashSet<&String> = family.samples.iter().map(|(labels, _)| labels).collect();
            assert_eq!(labels.len(), family.samples.len(), "{} has labels twice", family.name);
        }
    }

    /// The document's table, made from the catalogue.
    fn table() -> String {
        let mut table = "| name | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
        for family in families(&facts()) {
            let mut labels: Vec<(String, Vec<String>)> = Vec::new();
            for (text, _) in family.samples.iter().filter(|(text, _)| !text.is_empty()) {
                for pair in text.split(',') {
                    let (name, value) = pair.split_once('=').unwrap();
                    let value = match name {
                        "version" => "…".to_owned(),
                        _ => value.trim_matches('"').to_owned(),
                    };
                    match labels.iter_mut().find(|(known, _)| known == name) {
                        Some((_, values)) if values.contains(&value) => {}
                        Some((_, values)) => values.push(value),
                        None => labels.push((name.to_owned(), vec![value])),
                    }
                }
            }
            let labels: Vec<String> =
                labels.iter().map(|(name, values)| format!("`{name}`: {}", values.join(", "))).collect();
            let (name, kind) = (family.sample_name(), family.kind.name());
            table.push_str(&format!("| `{name}` | {kind} | {} | {} |\n", labels.join("; "), family.help));
        }
        table
    }

    #[test]
    fn the_document_has_every_metric() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, _) = text.split_once("| name |").unwrap();
        let expected = format!("{before}{}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).unwrap();
            return;
        }
        assert!(text == expected, "docs/metrics.md is not up to date; run this test with UPDATE_DOCS=1");
    }
}
