//! The server's steps.

use x25519_dalek::{PublicKey, StaticSecret};

use super::hello::ClientHello;
use super::keys::{Keys, Stage, hash};
use super::receive::Received;
use super::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MESSAGE_HASH, message, record};
use super::{Client, Identity, Protection, messages};

/// How handshake messages are put into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The most content of one record.
    pub fragment: usize,
    /// Whether messages under the same keys share records.
    pub merge: bool,
    /// Zeros after the content of encrypted records.
    pub padding: usize,
    /// Whether a record for compatibility follows the first hello of the server.
    pub compatibility: bool,
    /// How many bytes the client gets at once.
    pub piece: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { fragment: 16_384, merge: false, padding: 0, compatibility: false, piece: usize::MAX }
    }
}

/// A server in the middle of its script.
pub struct Server<'c> {
    pub client: &'c mut dyn Client,
    pub identity: &'c Identity,
    pub layout: Layout,
    /// The last ClientHello.
    pub hello: ClientHello,
    /// All messages so far; after a HelloRetryRequest with the first ClientHello replaced by its hash.
    pub transcript: Vec<u8>,
    pub public_key: PublicKey,
    secret_key: StaticSecret,
    pub handshake: Option<Stage>,
    pub application: Option<Stage>,
    /// What protects the records that are sent now.
    pub protection: Protection,
    /// The context of the certificate request that was sent.
    pub requested: Option<Vec<u8>>,
    /// The requests in the client's KeyUpdate messages.
    pub client_updates: Vec<u8>,
    /// Handshake messages that are not in records yet.
    pending: Vec<u8>,
    /// Records that the client has not got yet.
    pub outgoing: Vec<u8>,
    pub(super) incoming: Vec<u8>,
    /// All the client has got, and all it has sent.
    pub delivered: Vec<u8>,
    pub received: Vec<u8>,
    compatible: bool,
    /// Records of the client that were opened and not dealt with.
    pub(super) kept: Vec<Received>,
}

impl<'c> Server<'c> {
    /// Reads the ClientHello.
    pub fn new(client: &'c mut dyn Client, identity: &'c Identity) -> Self {
        let secret_key = StaticSecret::from([7; 32]);
        let nothing =
            ClientHello { message: vec![], random: [0; 32], session: vec![], suites: vec![], extensions: vec![] };
        let mut server = Self {
            client,
            identity,
            layout: Layout::default(),
            hello: nothing,
            transcript: Vec::new(),
            public_key: PublicKey::from(&secret_key),
            secret_key,
            handshake: None,
            application: None,
            protection: Protection::None,
            requested: None,
            client_updates: Vec::new(),
            pending: Vec::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            delivered: Vec::new(),
            received: Vec::new(),
            compatible: false,
            kept: Vec::new(),
        };
        server.read_hello().expect("no ClientHello");
        server
    }

    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    fn read_hello(&mut self) -> Result<(), String> {
        let message = self.message(Protection::None)?;
        self.hello = ClientHello::read(&message);
        self.transcript.extend(message);
        Ok(())
    }

    /// The secrets of the handshake.
    pub fn stage(&self) -> &Stage {
        self.handshake.as_ref().expect("no keys before ServerHello")
    }

    // Records.

    /// The keys under which records are sent now.
    pub fn keys(&mut self) -> Option<&mut Keys> {
        match self.protection {
            Protection::None => None,
            Protection::Handshake => self.handshake.as_mut().map(|stage| &mut stage.server),
            Protection::Application => self.application.as_mut().map(|stage| &mut stage.server),
        }
    }

    /// Queues a record under the keys of the moment.
    pub fn record(&mut self, kind: u8, content: &[u8]) {
        self.flush();
        self.record_now(kind, content);
    }

    fn record_now(&mut self, kind: u8, content: &[u8]) {
        let padding = self.layout.padding.min(16_384_usize.saturating_sub(content.len()));
        let bytes = match self.keys() {
            Some(keys) => keys.seal(kind, content, padding),
            None => record(kind, 0x0303, content),
        };
        self.outgoing.extend(bytes);
    }

    /// Queues a record whose inner plaintext is given whole.
    pub fn inner(&mut self, inner: &[u8]) {
        self.flush();
        let bytes =
            self.keys().expect("records are encrypted from ServerHello on").seal_inner(APPLICATION_DATA, 0x0303, inner);
        self.outgoing.extend(bytes);
    }

    /// Queues bytes that are no business of this server.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.flush();
        self.outgoing.extend_from_slice(bytes);
    }

    /// Queues an unprotected record.
    pub fn plain(&mut self, kind: u8, content: &[u8]) {
        self.raw(&record(kind, 0x0303, content));
    }

    /// Makes records of the messages said.
    pub fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for content in pending.chunks(self.layout.fragment.max(1)) {
            self.record_now(HANDSHAKE, content);
        }
    }

    /// Says a handshake message, whatever it is. It becomes a part of the transcript.
    pub fn say(&mut self, message: &[u8]) {
        self.transcript.extend_from_slice(message);
        self.mutter(message);
    }

    /// As [`Self::say`], without the transcript: messages after the handshake, and those of a server out of its mind.
    pub fn mutter(&mut self, message: &[u8]) {
        self.pending.extend_from_slice(message);
        if !self.layout.merge {
            self.flush();
        }
    }

    /// Gives the client all that is queued.
    pub fn deliver(&mut self) {
        self.flush();
        let bytes = std::mem::take(&mut self.outgoing);
        self.delivered.extend_from_slice(&bytes);
        for piece in bytes.chunks(self.layout.piece.max(1)) {
            self.client.input(piece);
        }
    }

    pub fn send_alert(&mut self, level: u8, description: u8) {
        self.record(ALERT, &[level, description]);
    }

    /// Says that this server sends no more.
    pub fn close(&mut self) {
        self.send_alert(1, super::wire::alert::CLOSE_NOTIFY);
        self.deliver();
    }

    /// The record that middleboxes like to see.
    pub fn compatibility(&mut self) {
        self.plain(CHANGE_CIPHER_SPEC, &[1]);
    }

    // Steps.

    /// Says a ServerHello and changes to the keys of the handshake.
    pub fn hello_with(&mut self, hello: &[u8]) {
        self.say(hello);
        self.flush();
        self.follow_hello();
        self.handshake_keys();
    }

    fn follow_hello(&mut self) {
        if self.layout.compatibility && !std::mem::replace(&mut self.compatible, true) {
            self.compatibility();
        }
    }

    pub fn hello(&mut self) {
        let hello = self.server_hello().to_message();
        self.hello_with(&hello);
    }

    /// Derives the keys of the handshake and sends under them.
    pub fn handshake_keys(&mut self) {
        self.flush();
        let shared = self.secret_key.diffie_hellman(&PublicKey::from(self.hello.key_share()));
        self.handshake = Some(Stage::handshake(shared.as_bytes(), &self.transcript));
        self.protection = Protection::Handshake;
    }

    /// Derives the keys of the application and sends under them.
    pub fn application_keys(&mut self) {
        self.flush();
        self.application = Some(self.stage().application(&self.transcript));
        self.protection = Protection::Application;
    }

    /// Asks the client to begin again, with `hello`, and reads its second hello, which must differ from the first
    /// only in its cookie.
    pub fn retry(&mut self, cookie: &[u8]) -> Result<(), String> {
        let request = self.retry_request(Some(cookie)).to_message();
        self.retry_with(&request)
    }

    pub fn retry_with(&mut self, request: &[u8]) -> Result<(), String> {
        self.transcript = message(MESSAGE_HASH, &hash(&self.transcript));
        self.say(request);
        self.flush();
        self.follow_hello();
        self.deliver();
        self.read_hello()
    }

    /// Asks for a certificate.
    pub fn request_certificate(&mut self) {
        let context = Vec::new();
        self.say(&messages::certificate_request(&context, &[]));
        self.requested = Some(context);
    }

    pub fn authenticate(&mut self) {
        self.say(&self.certificate());
        self.say(&self.certificate_verify());
    }

    /// Says Finished and changes to the keys of the application.
    pub fn finish(&mut self) {
        let finished = self.finished();
        self.say(&finished);
        self.application_keys();
    }

    /// All after ServerHello.
    pub fn rest(&mut self) {
        self.say(&self.encrypted_extensions());
        self.authenticate();
        self.finish();
    }

    /// The whole first flight, delivered.
    pub fn flight(&mut self) {
        self.hello();
        self.rest();
        self.deliver();
    }

    /// A whole handshake; the client's Finished value.
    pub fn accept(&mut self) -> Result<[u8; 32], String> {
        self.flight();
        self.client_finished()
    }

    /// Sends data of the application.
    pub fn send(&mut self, data: &[u8]) {
        for content in data.chunks(16_384) {
            self.record(APPLICATION_DATA, content);
        }
        self.deliver();
    }

    /// Changes its keys.
    pub fn update_keys(&mut self, request: bool) {
        self.mutter(&messages::key_update(request));
        self.flush();
        self.next_keys();
    }

    /// Goes on under the keys after the ones of now.
    pub fn next_keys(&mut self) {
        let keys = self.keys().expect("no keys yet");
        *keys = keys.next();
    }
}
