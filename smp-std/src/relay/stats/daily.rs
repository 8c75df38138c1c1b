//! The sums of each day, as lines of comma separated values in the columns of the reference relay (wire reference,
//! section 14.8, and section 9 of the changes for version 20), so that its operators can keep their files and tools.

use super::calendar::{begun, date_text};
use super::{ActiveQueues, Period, Stats, Sums};

/// How much a relay holds at a moment, for the last columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Queues.
    pub queues: u64,
    /// Messages.
    pub messages: u64,
    /// Queues with a notifier.
    pub notifiers: u64,
    /// Notifications that wait for their notifiers.
    pub notifications: u64,
    /// Services that receive.
    pub recipient_services: u64,
    /// Services that notify.
    pub notifier_services: u64,
    /// Queues of services that receive.
    pub recipient_service_queues: u64,
    /// Queues of services that notify.
    pub notifier_service_queues: u64,
}

/// What a column holds.
enum Column {
    /// A counter of the day.
    Counter(&'static str),
    /// The sum of two counters.
    Both(&'static str, &'static str),
    /// Queues used in a period that ends with the day.
    Active(Period),
    /// As [`Self::Active`], of those with notifications.
    ActiveNotified(Period),
    /// What there is at the end of the day.
    Held(fn(&Held) -> u64),
    /// No longer counted by the reference relay.
    Unused,
}

use Column::{Active, ActiveNotified, Both, Counter, Held as Holds, Unused};

/// The columns behind the date.
#[rustfmt::skip]
const COLUMNS: [Column; 100] = [
    Counter("queues.queues_created"),
    Counter("queues.queues_secured"),
    Both("queues.queues_deleted_new", "queues.queues_deleted_secured"),
    Counter("queues.messages_sent"),
    Counter("queues.messages_received"),
    Active(Period::Day), Active(Period::Week), Active(Period::Month),
    Counter("queues.messages_sent_notified"),
    Counter("queues.messages_received_notified"),
    ActiveNotified(Period::Day), ActiveNotified(Period::Week), ActiveNotified(Period::Month),
    Holds(|held| held.queues),
    Holds(|held| held.messages),
    Counter("queues.messages_expired"),
    Counter("queues.queues_deleted_new"),
    Counter("queues.queues_deleted_secured"),
    Counter("proxy_sessions.requests"), Counter("proxy_sessions.successes"), Counter("proxy_sessions.connect_errors"),
    Counter("proxy_sessions.version_errors"), Counter("proxy_sessions.other_errors"),
    Counter("proxy_sessions_own.requests"), Counter("proxy_sessions_own.successes"),
    Counter("proxy_sessions_own.connect_errors"), Counter("proxy_sessions_own.version_errors"),
    Counter("proxy_sessions_own.other_errors"),
    Counter("proxy_forwards.requests"), Counter("proxy_forwards.successes"), Counter("proxy_forwards.connect_errors"),
    Counter("proxy_forwards.version_errors"), Counter("proxy_forwards.other_errors"),
    Counter("proxy_forwards_own.requests"), Counter("proxy_forwards_own.successes"),
    Counter("proxy_forwards_own.connect_errors"), Counter("proxy_forwards_own.version_errors"),
    Counter("proxy_forwards_own.other_errors"),
    Counter("forwards.received"),
    Counter("queues.subscribed"),
    Counter("queues.subscribed_auth"),
    Counter("queues.subscribed_again"),
    Counter("queues.subscribed_prohibited"),
    Counter("queues.messages_sent_auth"),
    Counter("queues.messages_sent_quota"),
    Counter("queues.messages_sent_large"),
    Counter("queues.notifications"),
    Counter("queues.notifications_unsubscribed"),
    Counter("queues.notifications_lost"),
    Unused,
    Counter("queues.messages_received_get"),
    Counter("queues.messages_got"),
    Counter("queues.messages_got_none"),
    Counter("queues.messages_got_auth"),
    Counter("queues.messages_got_again"),
    Counter("queues.messages_got_prohibited"),
    Unused, Unused, Unused,
    Holds(|held| held.queues),
    Counter("queues.notifiers_created"),
    Counter("queues.notifiers_deleted"),
    Counter("queues.notifiers_subscribed"),
    Counter("queues.notifiers_subscribed_auth"),
    Counter("queues.notifiers_subscribed_again"),
    Holds(|held| held.notifiers),
    Counter("queues.queues_deleted_batches"),
    Counter("queues.subscribed_batches"),
    Counter("queues.subscriptions_ended"),
    Counter("queues.subscriptions_ended_batches"),
    Counter("queues.notifiers_deleted_batches"),
    Counter("queues.notifiers_subscribed_batches"),
    Counter("queues.notifications_batches"),
    Counter("queues.notifications_expired"),
    Holds(|held| held.notifications),
    Holds(|held| held.recipient_services),
    Holds(|held| held.notifier_services),
    Holds(|held| held.recipient_service_queues),
    Holds(|held| held.notifier_service_queues),
    Counter("recipient_services.associated"), Counter("recipient_services.associated_before"),
    Counter("recipient_services.moved"), Counter("recipient_services.left"),
    Counter("recipient_services.subscriptions"), Counter("recipient_services.repeated_subscriptions"),
    Counter("recipient_services.subscribed_queues"), Counter("recipient_services.ended"),
    Counter("notifier_services.associated"), Counter("notifier_services.associated_before"),
    Counter("notifier_services.moved"), Counter("notifier_services.left"),
    Counter("notifier_services.subscriptions"), Counter("notifier_services.repeated_subscriptions"),
    Counter("notifier_services.subscribed_queues"), Counter("notifier_services.ended"),
    Counter("names.requests"), Counter("names.successes"), Counter("names.not_found"),
    Counter("names.resolver_errors"), Counter("names.disabled"),
];

/// The line of a day that was followed by `next`, the day on which the relay noticed.
fn line(day: u32, next: u32, sums: &Sums, stats: &Stats, held: &Held) -> String {
    let active = |active: &ActiveQueues, period| match begun(period, day, next) {
        true => active.count(period).to_string(),
        false => String::new(),
    };
    let mut line = date_text(day);
    for column in &COLUMNS {
        line.push(',');
        line.push_str(&match column {
            Counter(name) => sums.get(name).to_string(),
            Both(first, second) => sums.get(first).saturating_add(sums.get(second)).to_string(),
            Active(period) => active(&stats.active, *period),
            ActiveNotified(period) => active(&stats.active_notified, *period),
            Holds(value) => value(held).to_string(),
            Unused => "0".to_owned(),
        });
    }
    line
}

/// Keeps the sums of the running day apart from those of the days before, over restarts.
#[derive(Debug)]
pub(super) struct DayBook {
    day: u32,
    /// The counters when the day began, or the relay.
    before: Sums,
    /// What the relay counted on this day before it was restarted.
    carried: Sums,
    /// Lines of days that are over and may not be in the file yet, the oldest first.
    pub(super) unwritten: Vec<String>,
}

impl DayBook {
    /// Goes on with `day`, of which `carried` was counted before.
    pub(super) fn new(day: u32, carried: Sums, stats: &Stats) -> Self {
        Self { day, before: stats.sums(), carried, unwritten: Vec::new() }
    }

    /// The running day.
    pub(super) const fn day(&self) -> u32 {
        self.day
    }

    /// What was counted on the running day.
    pub(super) fn sums(&self, stats: &Stats) -> Sums {
        stats.sums().since(&self.before).plus(&self.carried)
    }

    /// If the day is over, ends it: returns its line, and begins the periods that begin with `today`. A clock that goes
    /// back ends no day.
    pub(super) fn turn(&mut self, today: u32, stats: &Stats, held: &Held) -> Option<String> {
        if today <= self.day {
            return None;
        }
        let now = stats.sums();
        let sums = now.clone().since(&self.before).plus(&self.carried);
        let line = line(self.day, today, &sums, stats, held);
        for period in [Period::Day, Period::Week, Period::Month] {
            if begun(period, self.day, today) {
                stats.active.begin(period);
                stats.active_notified.begin(period);
            }
        }
        (self.day, self.before, self.carried) = (today, now, Sums::default());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, a Sunday.
    const SUNDAY: u32 = 20_779;

    const HELD: Held = Held {
        queues: 1,
        messages: 2,
        notifiers: 3,
        notifications: 4,
        recipient_services: 5,
        notifier_services: 6,
        recipient_service_queues: 7,
        notifier_service_queues: 8,
    };

    fn columns(line: &str) -> Vec<&str> {
        line.split(',').collect()
    }

    #[test]
    fn every_counter_of_a_column_exists() {
        let sums = Stats::default().sums();
        let known: Vec<&str> = sums.iter().map(|(name, _)| name).collect();
        for column in &COLUMNS {
            match column {
                Counter(name) => assert!(known.contains(name), "{name}"),
                Both(first, second) => assert!(known.contains(first) && known.contains(second)),
                _ => {}
            }
        }
    }

    #[test]
    fn columns_stand_where_the_reference_has_them() {
        let stats = Stats::default();
        let mut book = DayBook::new(SUNDAY, Sums::default(), &stats);
        stats.queues.queues_created.add(11);
        stats.queues.queues_deleted_new.add(2);
        stats.queues.queues_deleted_secured.add(3);
        stats.message_sent(&[1; 24], false);
        stats.message_sent(&[2; 24], true);
        stats.proxy_sessions.requests.add(21);
        stats.forwards_received.add(22);
        stats.queues.notifiers_subscribed_again.add(23);
        stats.recipient_services.associated.add(24);
        stats.notifier_services.ended.add(25);
        stats.names.disabled.add(26);
        let line = book.turn(SUNDAY + 1, &stats, &HELD).unwrap();
        let columns = columns(&line);
        assert_eq!(columns.len(), 101);
        // 2026-11-23 is a Monday and not the first of its month.
        assert_eq!(columns[..14], ["2026-11-22", "11", "0", "5", "2", "0", "2", "2", "", "1", "0", "1", "1", ""]);
        assert_eq!(columns[14..19], ["1", "2", "0", "2", "3"]);
        assert_eq!([columns[19], columns[39], columns[50]], ["21", "22", "0"]);
        assert_eq!(columns[57..61], ["0", "0", "0", "1"]);
        assert_eq!(columns[65..67], ["23", "3"]);
        assert_eq!(columns[75..81], ["4", "5", "6", "7", "8", "24"]);
        assert_eq!([columns[95], columns[100]], ["25", "26"]);
    }

    #[test]
    fn a_day_begins_at_nothing() {
        let stats = Stats::default();
        let mut book = DayBook::new(SUNDAY, Sums::default(), &stats);
        stats.message_sent(&[1; 24], false);
        assert_eq!(book.turn(SUNDAY, &stats, &HELD), None);
        assert_eq!(book.turn(SUNDAY - 1, &stats, &HELD), None, "a clock that goes back");
        assert!(book.turn(SUNDAY + 1, &stats, &HELD).is_some());
        assert_eq!(book.sums(&stats).get("queues.messages_sent"), 0);
        stats.message_sent(&[1; 24], false);
        let line = book.turn(SUNDAY + 2, &stats, &HELD).unwrap();
        // Tuesday: no value for the week, which goes on, nor for the month.
        assert_eq!(columns(&line)[..9], ["2026-11-23", "0", "0", "0", "1", "0", "1", "", ""]);
        let line = book.turn(SUNDAY + 9, &stats, &HELD).unwrap();
        // Back on Tuesday, December 1: both were ended in between.
        assert_eq!(columns(&line)[..9], ["2026-11-24", "0", "0", "0", "0", "0", "0", "1", "1"]);
        assert_eq!([Period::Day, Period::Week, Period::Month].map(|period| stats.active.count(period)), [0; 3]);
    }

    #[test]
    fn a_restart_does_not_lose_the_day() {
        let stats = Stats::default();
        let book = DayBook::new(SUNDAY, Sums::default(), &stats);
        stats.queues.messages_sent.add(5);
        let carried = book.sums(&stats);
        let restarted = Stats::default();
        let book = DayBook::new(SUNDAY, carried, &restarted);
        restarted.queues.messages_sent.add(2);
        assert_eq!(book.sums(&restarted).get("queues.messages_sent"), 7);
    }
}
