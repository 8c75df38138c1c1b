//! An agent with its storage, its application and its connections to relays.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use smp_agent::Agent;
use smp_agent::configuration::Configuration;
use smp_agent::policy::server::{ConfiguredServer, ServerList, UserId};
use smp_agent::policy::session::SessionKey;
use smp_agent::request::RequestId;
use smp_agent::time::Time;

use super::app::{App, Manners};
use super::relay::ConnectionNumber;
use super::storage::CuttingStorage;
use super::transcript::Transcript;

/// The user everybody is.
pub const USER: UserId = UserId(1);

/// What a party is like.
#[derive(Clone)]
pub struct Setup {
    /// How its agent behaves.
    pub configuration: Configuration,
    /// The latest version it speaks with relays.
    pub smp_version: u16,
    /// What its application does.
    pub manners: Manners,
    /// The relays it creates queues at, by number; all if there is none.
    pub relays: Vec<usize>,
    /// The relays it sends through; none of them serves as a proxy if there is none.
    pub proxies: Vec<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            configuration: Configuration::default(),
            smp_version: 18,
            manners: Manners::default(),
            relays: Vec::new(),
            proxies: Vec::new(),
        }
    }
}

/// Random numbers from a seed, which remembers those that may be keys.
pub struct Random {
    generator: ChaCha20Rng,
    keys: Rc<RefCell<Vec<[u8; 32]>>>,
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.generator.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.generator.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.generator.fill_bytes(bytes);
        if let Ok(key) = <[u8; 32]>::try_from(&*bytes) {
            self.keys.borrow_mut().push(key);
        }
        Ok(())
    }
}

impl TryCryptoRng for Random {}

/// A connection to a relay.
pub struct Link {
    pub number: ConnectionNumber,
    pub relay: usize,
    pub version: u16,
    /// When the last request arrives there.
    pub to_relay: Time,
    /// When the last answer arrives here.
    pub to_agent: Time,
}

/// The way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The connection it goes over, to the relay or to the proxy.
    pub connection: ConnectionNumber,
    /// The proxy.
    pub proxy: Option<usize>,
    /// The relay it is for.
    pub relay: usize,
}

/// A request that was not answered yet.
pub struct UnderWay {
    pub way: Way,
    /// The queue a message is sent to.
    pub sends_to: Option<Vec<u8>>,
}

/// An agent and everything around it.
pub struct Party {
    /// Its name in logs and transcripts.
    pub name: &'static str,
    /// What it is like.
    pub setup: Setup,
    /// Where its agent keeps everything.
    pub storage: CuttingStorage,
    /// Its application.
    pub app: App,
    /// What happened to its agent.
    pub transcript: Transcript,
    /// The agent, as long as its process lives.
    pub agent: Option<Agent<CuttingStorage, Random>>,
    /// How often it was started.
    pub run: u64,
    pub(super) links: BTreeMap<SessionKey, Link>,
    /// Connections to proxies.
    pub(super) proxy_links: BTreeMap<usize, Link>,
    pub(super) under_way: BTreeMap<RequestId, UnderWay>,
    pub(super) last_request: Option<RequestId>,
    pub(super) queues: usize,
    pub(super) seed: u64,
    /// Random numbers of 32 bytes that its agent has drawn.
    pub keys: Rc<RefCell<Vec<[u8; 32]>>>,
}

impl Party {
    pub(super) fn new(name: &'static str, setup: Setup, seed: u64) -> Self {
        let app = App::new(Manners {
            info: match setup.manners.info.is_empty() {
                true => format!("info of {name}").into_bytes(),
                false => setup.manners.info.clone(),
            },
            ..setup.manners.clone()
        });
        Self {
            name,
            setup,
            storage: CuttingStorage::default(),
            app,
            transcript: Transcript::default(),
            agent: None,
            run: 0,
            links: BTreeMap::new(),
            proxy_links: BTreeMap::new(),
            under_way: BTreeMap::new(),
            last_request: None,
            queues: 0,
            seed,
            keys: Rc::default(),
        }
    }

    pub(super) fn random(&self) -> Random {
        let generator = ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(self.run));
        Random { generator, keys: Rc::clone(&self.keys) }
    }

    /// The connection with this number.
    pub(super) fn link(&mut self, number: ConnectionNumber) -> Option<&mut Link> {
        let mut links = self.links.values_mut().chain(self.proxy_links.values_mut());
        links.find(|link| link.number == number)
    }
}

/// The relays of a setup, as its user has configured them.
pub(super) fn servers(setup: &Setup, addresses: &[String]) -> ServerList {
    let configured = addresses.iter().enumerate().map(|(number, address)| {
        let server = ConfiguredServer::parse(address).expect("an address of a relay");
        ConfiguredServer {
            operator: Some(smp_agent::policy::server::OperatorId(number as u32)),
            storage: setup.relays.is_empty() || setup.relays.contains(&number),
            proxy: setup.proxies.contains(&number),
            ..server
        }
    });
    ServerList::from(configured.filter(|server| server.storage || server.proxy).collect::<Vec<_>>())
}
