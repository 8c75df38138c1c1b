//! The task that owns a connection: it moves blocks between the socket and the multiplexer.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use smp_proto::transport::BatchWriter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::multiplex::{Anomalies, Kind, Limits, Multiplexer, Request, Tick};
use super::session::{Established, SessionInfo};
use super::{ClientError, Event, Id, Options};
use crate::net::BLOCK_SIZE;

/// For the closing messages when the application has closed the connection.
const CLOSE_TIME_OUT: Duration = Duration::from_secs(2);

pub(super) struct Connection<S> {
    link: Established<S>,
    info: Arc<SessionInfo>,
    multiplexer: Multiplexer,
    requests: mpsc::Receiver<Request>,
    /// Absent once the application has dropped the receiving end.
    events: Option<mpsc::Sender<Event>>,
    /// How long the relay may leave what it is sent unread.
    patience: Duration,
    /// Since when a block waits to be written.
    blocked_since: Option<Instant>,
}

/// What the task woke up for.
enum Wake {
    Ready { read: bool, write: bool },
    Request(Option<Request>),
    Delivered,
    NobodyListens,
    Time,
    Broken(ClientError),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        link: Established<S>,
        info: Arc<SessionInfo>,
        options: &Options,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let limits = Limits {
            in_flight: options.in_flight.max(1),
            events: options.events.max(1),
            ping_interval: options.ping_interval,
            ping_unsubscribed: options.ping_unsubscribed,
            ping_time_out: options.response_time_out,
            ping_count: options.ping_count.max(1),
        };
        let multiplexer = Multiplexer::new(info.version, info.session_id, limits, Instant::now());
        let (events, patience) = (Some(events), options.response_time_out);
        Self { link, info, multiplexer, requests, events, patience, blocked_since: None }
    }

    /// How many queues the connection receives from, kept up to date.
    pub(super) fn subscriptions(&self) -> Arc<AtomicUsize> {
        self.multiplexer.subscriptions()
    }

    /// Serves the connection until it ends, and tells everybody who waits why it did.
    pub(super) async fn run(mut self) -> Anomalies {
        let reason = self.serve().await;
        if matches!(reason, ClientError::Closed) {
            let _ = timeout(CLOSE_TIME_OUT, self.link.stream.close()).await;
        }
        let Self { mut multiplexer, mut requests, link, events, .. } = self;
        requests.close();
        while let Ok(request) = requests.try_recv() {
            multiplexer.submit(request);
        }
        multiplexer.fail_all(&reason);
        // The socket is closed before the application gets around to the last events.
        drop(link);
        let anomalies = multiplexer.anomalies();
        if anomalies != Anomalies::default() {
            tracing::warn!(
                malformed = anomalies.malformed,
                unexpected = anomalies.unexpected,
                late = anomalies.late,
                "a relay did not keep to the protocol"
            );
        }
        // Whoever has got a place in the channel may take as long to use it as it likes: nobody else waits for that.
        let refuse = async {
            while let Some(Request { responder, .. }) = requests.recv().await {
                let _ = responder.map(|responder| responder.send(Err(reason.clone())));
            }
        };
        let tell = async {
            let Some(events) = events else { return };
            while let Some(event) = multiplexer.next_event() {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Disconnected(reason.clone())).await;
        };
        tokio::join!(refuse, tell);
        anomalies
    }

    async fn serve(&mut self) -> ClientError {
        let mut open = true;
        let timer = sleep_until(self.multiplexer.next_deadline());
        tokio::pin!(timer);
        loop {
            if !open && self.multiplexer.outstanding() == 0 {
                return ClientError::Closed;
            }
            let want_write = self.multiplexer.wants_to_send();
            let may_read = self.multiplexer.may_read();
            let mut deadline = self.multiplexer.next_deadline();
            if want_write {
                let since = *self.blocked_since.get_or_insert_with(Instant::now);
                let given_up = since.checked_add(self.patience).unwrap_or(since);
                deadline = deadline.min(given_up);
            }
            timer.as_mut().reset(deadline);
            let stream = &mut self.link.stream;
            let ready = async {
                if may_read {
                    match stream.ready(want_write).await {
                        Ok(ready) => Wake::Ready { read: ready.read, write: ready.write },
                        Err(error) => Wake::Broken(error.into()),
                    }
                } else {
                    match stream.flush().await {
                        Ok(()) => Wake::Ready { read: false, write: true },
                        Err(error) => Wake::Broken(error.into()),
                    }
                }
            };
            let deliver = async {
                match &self.events {
                    Some(events) => events.reserve().await.ok(),
                    None => None,
                }
            };
            let wake = tokio::select! {
                wake = ready, if may_read || want_write => wake,
                request = self.requests.recv(), if open && self.multiplexer.has_room() => Wake::Request(request),
                permit = deliver, if self.multiplexer.has_events() => match permit {
                    Some(permit) => {
                        if let Some(event) = self.multiplexer.next_event() {
                            permit.send(event);
                        }
                        Wake::Delivered
                    }
                    None => Wake::NobodyListens,
                },
                () = &mut timer => Wake::Time,
            };
            let result = match wake {
                Wake::Ready { read, write } => self.transfer(read, write && want_write).await,
                Wake::Request(Some(request)) => {
                    self.multiplexer.submit(request);
                    // Whatever else is there already can share the block.
                    while self.multiplexer.has_room()
                        && let Ok(request) = self.requests.try_recv()
                    {
                        self.multiplexer.submit(request);
                    }
                    Ok(())
                }
                Wake::Request(None) => {
                    open = false;
                    Ok(())
                }
                Wake::Delivered => Ok(()),
                Wake::NobodyListens => {
                    self.events = None;
                    while self.multiplexer.next_event().is_some() {}
                    Ok(())
                }
                Wake::Time => self.tick(),
                Wake::Broken(error) => Err(error),
            };
            if let Err(error) = result {
                return error;
            }
        }
    }

    /// Reads or writes what the stream is ready for: neither waits.
    async fn transfer(&mut self, read: bool, write: bool) -> Result<(), ClientError> {
        let mut block = empty_block();
        if read {
            self.link.stream.read_block(&mut block).await?;
            // TLS has made sure that the block is as the relay sent it: one that cannot be opened or read is the relay's
            // fault, and nothing that follows can be relied on.
            let content = self.link.opener.open(&mut block).map_err(|_| ClientError::Malformed)?;
            let content = block.get(content).ok_or(ClientError::Malformed)?;
            self.multiplexer.receive(content, Instant::now())?;
        }
        if write {
            let mut writer =
                BatchWriter::new(self.link.sealer.content_mut(&mut block)).map_err(|_| ClientError::Closed)?;
            self.multiplexer.pack(&mut writer, Instant::now());
            if let Some(length) = writer.finish().map(<[u8]>::len) {
                self.link.sealer.seal(&mut block, length).map_err(|_| ClientError::Closed)?;
                self.link.stream.write_block(&block).await?;
            }
            self.blocked_since = None;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        if self.blocked_since.is_some_and(|since| now.saturating_duration_since(since) >= self.patience) {
            return Err(ClientError::Unresponsive);
        }
        match self.multiplexer.tick(now) {
            Tick::Nothing => Ok(()),
            Tick::GiveUp => Err(ClientError::Unresponsive),
            Tick::Ping => {
                let ping = self.info.encode_ping()?;
                self.multiplexer.submit_ping(Request {
                    correlation_id: ping.0,
                    entity: Id::EMPTY,
                    kind: Kind::Plain,
                    transmission: ping.1,
                    time_out: self.multiplexer.ping_time_out(),
                    responder: None,
                });
                Ok(())
            }
        }
    }
}

fn empty_block() -> Box<[u8; BLOCK_SIZE]> {
    let block = vec![0; BLOCK_SIZE].into_boxed_slice();
    block.try_into().unwrap_or_else(|_| Box::new([0; BLOCK_SIZE]))
}
