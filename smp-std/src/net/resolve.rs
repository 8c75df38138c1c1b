//! Names of the DNS, looked up by the operating system.
//!
//! The system's resolver blocks a thread, for half a minute if the name's own servers choose not to answer, and goes on
//! when nobody waits any more. Whoever may name hosts and give up again could have any number of lookups under way that
//! way, with everything else that needs such a thread behind them; so there are only so many.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Lookups at one time, whether somebody waits for them or not: half of the threads that tokio has for what blocks.
const LOOKUPS: usize = 256;

static TURNS: Semaphore = Semaphore::const_new(LOOKUPS);

/// The addresses of a host, a name or an address itself.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let host = host.to_owned();
    in_turn(&TURNS, move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

/// Does work that blocks when there is a turn for it, which it keeps to its end. Work that nobody waits for any more is not
/// begun.
async fn in_turn<T: Send + 'static>(
    turns: &'static Semaphore,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let working = spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    working.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn addresses_need_no_lookup() {
        assert_eq!(resolve("127.0.0.1", 5).await.unwrap(), ["127.0.0.1:5".parse().unwrap()]);
        assert_eq!(resolve("::1", 5).await.unwrap(), ["[::1]:5".parse().unwrap()]);
        assert!(resolve("localhost", 5).await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn work_keeps_its_turn_when_nobody_waits_for_it_any_more() {
        static TURNS: Semaphore = Semaphore::const_new(2);
        let begun = Arc::new(AtomicUsize::new(0));
        let mut ends = Vec::new();
        let mut start = || {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let begun = Arc::clone(&begun);
            in_turn(&TURNS, move || {
                begun.fetch_add(1, Ordering::SeqCst);
                let _ = ended.recv();
                Ok(())
            })
        };
        for _ in 0..20 {
            assert!(timeout(Duration::from_millis(10), start()).await.is_err(), "it does not end by itself");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2, "as many as there are turns");
        drop(ends);
        in_turn(&TURNS, || Ok(())).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 2, "the others were given up before they began");
    }
}
