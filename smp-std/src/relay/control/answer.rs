//! What operators are told.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::command::{Command, HELP};
use crate::relay::Relay;

/// Lines, and whether the command succeeded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    lines: String,
    problem: Option<String>,
}

impl Answer {
    pub(super) fn lines(lines: impl Into<String>) -> Self {
        Self { lines: lines.into(), problem: None }
    }

    pub(super) fn failed(problem: impl Into<String>) -> Self {
        Self { lines: String::new(), problem: Some(problem.into()) }
    }

    /// As it is sent: only the last line begins with `ok` or `error`.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.lines.lines() {
            if line.starts_with("ok") || line.starts_with("error") {
                text.push(' ');
            }
            text.push_str(line);
            text.push('\n');
        }
        match &self.problem {
            None => text.push_str("ok\n"),
            Some(problem) => {
                text.push_str("error: ");
                text.extend(problem.chars().map(|it| if it.is_control() { ' ' } else { it }));
                text.push('\n');
            }
        }
        text
    }
}

impl Relay {
    /// Does what an operator says.
    pub(super) async fn carry_out(self: Arc<Self>, command: Command) -> Answer {
        match command {
            Command::Nothing | Command::Quit => Answer::default(),
            Command::Help => Answer::lines(HELP),
            Command::Stats => Answer::lines(self.stats_lines()),
            Command::Clients => Answer::lines(self.clients_lines()),
            Command::Sockets => Answer::lines(self.sockets_lines()),
            Command::Config => {
                self.config().to_toml().map_or_else(|error| Answer::failed(error.to_string()), Answer::lines)
            }
            Command::Queue(target) => self.queue_lines(&target).await,
            Command::Block(target, blocked) => self.block_command(&target, blocked).await,
            Command::Unblock(target) => self.unblock_command(&target).await,
            Command::Delete(target) => self.delete_command(&target).await,
            Command::Save => self.save().await,
            Command::Reload => {
                let relay = Arc::clone(&self);
                let reloaded = tokio::task::spawn_blocking(move || relay.reload_files()).await;
                let answer = match reloaded.unwrap_or_else(|_| Err("the reload failed".to_owned())) {
                    Ok(later) if later.is_empty() => Ok(Answer::default()),
                    Ok(later) => Ok(Answer::lines(format!("waits for the next start: {}", later.join(", ")))),
                    Err(problem) => Err(Answer::failed(problem)),
                };
                self.audited("reload", None, "by=control", answer).await
            }
            Command::Log(level) => match self.operator.get().and_then(|operator| operator.set_log.as_ref()) {
                Some(set) => set(&level).map_or_else(Answer::failed, |()| Answer::default()),
                None => Answer::failed("the log has no level to set"),
            },
            Command::Backup { folder, with_identity } => self.back_up(folder, with_identity).await,
        }
    }

    fn stats_lines(&self) -> String {
        let (total, today) = (self.stats.sums(), self.stats.today());
        let mut text = "name,since_start,today\n".to_owned();
        for (name, sum) in total.iter() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name},{sum},{}", today.get(name));
        }
        let facts = self.facts();
        for (name, value) in [
            ("now.queues", facts.held.queues),
            ("now.messages", facts.held.messages),
            ("now.connections", facts.connections),
            ("now.recipient_subscriptions", facts.recipient_subscriptions),
            ("now.notifier_subscriptions", facts.notifier_subscriptions),
            ("now.uptime_seconds", facts.uptime.as_secs()),
            ("now.resident_bytes", facts.process.resident_bytes),
            ("now.store_bytes", facts.disk.map_or(0, |disk| disk.store_bytes)),
            ("now.active_queues_day", facts.active[0]),
        ] {
            let _ = writeln!(text, "{name},{value},");
        }
        text
    }

    fn clients_lines(&self) -> String {
        let now = self.uptime();
        let mut text = "client,age_seconds,received_seconds_ago,sent_seconds_ago,subscriptions\n".to_owned();
        let mut peers: Vec<_> = self.peers.lock().iter().map(|(number, peer)| (*number, Arc::clone(peer))).collect();
        peers.sort_by_key(|(number, _)| *number);
        for (number, peer) in peers {
            let ago = |at: &std::sync::atomic::AtomicU64| now.saturating_sub(at.load(Ordering::Relaxed));
            let (age, received, sent) = (ago(&peer.connected), ago(&peer.last_received), ago(&peer.last_sent));
            let subscriptions = peer.subscriptions.load(Ordering::Relaxed);
            let _ = writeln!(text, "{number},{age},{received},{sent},{subscriptions}");
        }
        text
    }

    fn sockets_lines(&self) -> String {
        let (connections, limits) = (&self.stats.connections, &self.stats.limits);
        let accepted = connections.accepted.get();
        let open = self.connections() as u64;
        let mut text = "name,count\n".to_owned();
        for (name, count) in [
            ("accepted", accepted),
            ("refused", limits.connections_total.get().saturating_add(limits.connections_address.get())),
            ("established", connections.established.get()),
            ("failed", limits.handshakes_failed.get().saturating_add(limits.handshakes_evicted.get())),
            ("closed", accepted.saturating_sub(open)),
            ("open", open),
        ] {
            let _ = writeln!(text, "{name},{count}");
        }
        text
    }

    async fn save(self: &Arc<Self>) -> Answer {
        let Some(operator) = self.operator.get() else { return Answer::failed("nothing is saved") };
        let (relay, directory) = (Arc::clone(self), operator.directory.clone());
        match tokio::task::spawn_blocking(move || relay.save_books_now(&directory)).await {
            Ok(Ok(())) => Answer::lines("the sums of the day are saved; queues and messages always are"),
            Ok(Err(error)) => Answer::failed(error.to_string()),
            Err(_) => Answer::failed("the sums of the day were not saved"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_says_how_it_went() {
        assert_eq!(Answer::lines("a\nok_b = 1\nerror: c").to_text(), "a\n ok_b = 1\n error: c\nok\n");
        assert_eq!(Answer::failed("what\nnow").to_text(), "error: what now\n");
    }
}
