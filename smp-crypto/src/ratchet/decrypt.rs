//! Decrypting: all or nothing (wire reference of the ratchet, section 11).

use core::fmt;

use smp_proto::agent::{RatchetHeader, RatchetMessage};
use smp_proto::version::RatchetVersion;
use smp_proto::wire::{Decode, unpad_range};

use super::chain::Chain;
use super::encapsulation::{self, Answer};
use super::header::{HeaderKey, MAX_BODY_DATA_LENGTH, ReceivedHeader};
use super::key_pair::KeyPair;
use super::message_key::MessageKey;
use super::new_keys::NewKeys;
use super::root::{RootKey, RootStep};
use super::skipped::{Gap, SkippedBatch, SkippedKeys};
use super::{ASSOCIATED_DATA_LENGTH, DecryptError, Error, Ratchet};

/// A message that was decrypted.
pub struct Decrypted<'m> {
    /// The message without its padding.
    pub message: &'m [u8],
    /// Its number in its chain.
    pub number: u32,
    /// Whether the keys of the current receiving chain come from an encapsulated secret, too.
    pub encapsulated: bool,
    /// Whether a new chain began: the keys of this party are new.
    pub advanced: bool,
    /// What has to be saved.
    pub changed: Changed,
}

/// What a decrypted message changed, and has to be saved before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// The ratchet.
    Ratchet,
    /// The ratchet and the skipped keys, in one transaction.
    RatchetAndSkippedKeys,
    /// The skipped keys: the message was a late one.
    SkippedKeys,
}

impl fmt::Debug for Decrypted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted")
            .field("length", &self.message.len())
            .field("encapsulated", &self.encapsulated)
            .field("advanced", &self.advanced)
            .finish_non_exhaustive()
    }
}

/// Which chain a header belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Same,
    Next,
}

/// What a message would change, as far as it is known before its body is authenticated.
struct Candidate {
    version: RatchetVersion,
    /// The receiving chain behind this message.
    receiving: Chain,
    received: u32,
    skipped: SkippedBatch,
    key: MessageKey,
    advance: Option<Advance>,
}

/// The receiving half of a step of the ratchet.
struct Advance {
    root: RootKey,
    next_receiving_header_key: HeaderKey,
    encapsulated: bool,
}

/// The sending half, which needs new keys.
struct NewSending {
    key: KeyPair,
    encapsulated: bool,
    step: RootStep,
}

impl Ratchet {
    /// Decrypts a message in place.
    ///
    /// This is all or nothing: after an error the ratchet, the skipped keys and the bytes of the message are as they were,
    /// so a damaged copy of a message costs nothing and the right one can still come. New keys are taken only for an
    /// authentic message.
    pub fn decrypt<'m, S: SkippedKeys>(
        &mut self,
        skipped: &mut S,
        new_keys: &mut dyn NewKeys,
        message: &'m mut [u8],
    ) -> Result<Decrypted<'m>, DecryptError<S::Error>> {
        let opened = self.open(skipped, new_keys, message)?;
        if opened.needs_key
            && let Some(own) = &mut self.encapsulation
        {
            // Nothing else depends on the new key. It is made last, where the old one was, when what else a step takes of
            // the stack is free again. This cannot fail.
            new_keys.encapsulation_key(&mut own.secret);
        }
        Ok(Decrypted {
            message: message.get(opened.message).unwrap_or_default(),
            number: opened.number,
            encapsulated: self.receiving_encapsulated,
            advanced: opened.advanced,
            changed: opened.changed,
        })
    }

    /// All of it but the new encapsulation key.
    #[inline(never)]
    fn open<S: SkippedKeys>(
        &mut self,
        skipped: &mut S,
        new_keys: &mut dyn NewKeys,
        message: &mut [u8],
    ) -> Result<Opened, DecryptError<S::Error>> {
        let (front_length, header_start, header_end) = layout(message)?;
        let (front, body) = message.split_at_mut_checked(front_length).ok_or(Error::Internal)?;
        let encoded_header = front.get(header_start..header_end).ok_or(Error::Internal)?;
        let tag = front.last_chunk().ok_or(Error::Internal)?;
        let mut received = ReceivedHeader::empty();
        received.fill(encoded_header)?;

        let associated_data = &self.associated_data;
        let found = skipped.find_header_key(&mut |key| received.open(key, associated_data));
        let turn = match found.map_err(DecryptError::Store)? {
            Some(header_key) => {
                let number = received.read()?.number;
                if let Some(key) = skipped.message_key(&header_key, number).map_err(DecryptError::Store)? {
                    let range = open_body(&key, associated_data, encoded_header, tag, body)?;
                    if let Err(error) = skipped.remove(&header_key, number) {
                        key.restore(body);
                        return Err(DecryptError::Store(error));
                    }
                    let message = behind(front_length, &range);
                    return Ok(Opened {
                        message,
                        number,
                        advanced: false,
                        needs_key: false,
                        changed: Changed::SkippedKeys,
                    });
                }
                self.turn_of(&header_key)?
            }
            None => self.find_turn(&mut received)?,
        };

        let header = received.read()?;
        let candidate = self.candidate(&header, turn)?;
        let range = open_body(&candidate.key, &self.associated_data, encoded_header, tag, body)?;
        let mut answer = Answer::Nothing;
        let changed = self.complete(skipped, new_keys, &header, &candidate, &mut answer);
        let (new_sending, changed) = changed.inspect_err(|_| candidate.key.restore(body))?;
        let number = header.number;
        let needs_key = !matches!(answer, Answer::Nothing);
        self.commit(candidate, new_sending, &answer);
        Ok(Opened { message: behind(front_length, &range), number, advanced: turn == Turn::Next, needs_key, changed })
    }

    /// Everything that can still fail after the body was authenticated. The store comes last.
    fn complete<S: SkippedKeys>(
        &self,
        skipped: &mut S,
        new_keys: &mut dyn NewKeys,
        header: &RatchetHeader<'_>,
        candidate: &Candidate,
        answer: &mut Answer,
    ) -> Result<(Option<NewSending>, Changed), DecryptError<S::Error>> {
        let new_sending = match &candidate.advance {
            None => None,
            Some(advance) => Some(self.new_sending(new_keys, header, candidate.version, advance, answer)?),
        };
        if candidate.skipped.len() == 0 {
            return Ok((new_sending, Changed::Ratchet));
        }
        skipped.store(candidate.skipped.clone()).map_err(DecryptError::Store)?;
        Ok((new_sending, Changed::RatchetAndSkippedKeys))
    }

    fn turn_of(&self, header_key: &HeaderKey) -> Result<Turn, Error> {
        match &self.receiving {
            Some(chain) if chain.header_key == *header_key => Ok(Turn::Same),
            _ if self.next_receiving_header_key == *header_key => Ok(Turn::Next),
            _ => Err(Error::Header),
        }
    }

    fn find_turn(&self, received: &mut ReceivedHeader) -> Result<Turn, Error> {
        match &self.receiving {
            Some(chain) if received.open(&chain.header_key, &self.associated_data) => Ok(Turn::Same),
            _ if received.open(&self.next_receiving_header_key, &self.associated_data) => Ok(Turn::Next),
            _ => Err(Error::Header),
        }
    }

    /// The receiving half: finds the key of the message. Nothing is changed, and what is cheap to refuse is refused first.
    #[inline(never)]
    fn candidate(&self, header: &RatchetHeader<'_>, turn: Turn) -> Result<Candidate, Error> {
        let version = self.version.max(header.max_version.min(self.max_version));
        let (ended, current, advance) = match (turn, &self.receiving) {
            (Turn::Same, None) => return Err(Error::Header),
            (Turn::Same, Some(chain)) => (None, Gap::before(header.number, self.received, chain.clone())?, None),
            (Turn::Next, receiving) => {
                let ended = match receiving {
                    None => None,
                    Some(chain) => Some(Gap::before(header.previous_count, self.received, chain.clone())?),
                };
                encapsulation::check(self.encapsulation.as_ref(), header.encapsulation)?;
                Gap::check(header.number, 0)?;
                let (chain, advance) = self.advance(header)?;
                (ended, Gap::before(header.number, 0, chain)?, Some(advance))
            }
        };
        let mut receiving = current.cross()?;
        let (next, key, _) = receiving.key.next()?;
        receiving.key = next;
        let received = header.number.checked_add(1).ok_or(Error::Exhausted)?;
        Ok(Candidate { version, receiving, received, skipped: SkippedBatch::new(ended, current), key, advance })
    }

    fn advance(&self, header: &RatchetHeader<'_>) -> Result<(Chain, Advance), Error> {
        let agreed = self.key.secret.diffie_hellman(&header.key)?;
        let encapsulated = encapsulation::receive(self.encapsulation.as_ref(), header.encapsulation)?;
        let step = self.root.step(&agreed, encapsulated.as_ref())?;
        let chain = Chain { key: step.chain, header_key: self.next_receiving_header_key.clone() };
        let encapsulated = encapsulated.is_some();
        Ok((chain, Advance { root: step.root, next_receiving_header_key: step.next_header_key, encapsulated }))
    }

    #[inline(never)]
    fn new_sending(
        &self,
        new_keys: &mut dyn NewKeys,
        header: &RatchetHeader<'_>,
        version: RatchetVersion,
        advance: &Advance,
        answer: &mut Answer,
    ) -> Result<NewSending, Error> {
        let key = new_keys.key_pair();
        let agreed = key.secret.diffie_hellman(&header.key)?;
        let enabled = self.encapsulates && version >= RatchetVersion::ENCAPSULATION;
        let has_own = self.encapsulation.is_some();
        let secret = answer.become_answer(enabled, has_own, header.encapsulation, new_keys);
        let step = advance.root.step(&agreed, secret.as_ref())?;
        Ok(NewSending { key, encapsulated: secret.is_some(), step })
    }

    /// Takes over what a message changes, but for the new encapsulation key. This cannot fail.
    fn commit(&mut self, candidate: Candidate, new_sending: Option<NewSending>, answer: &Answer) {
        self.version = candidate.version;
        self.receiving = Some(candidate.receiving);
        self.received = candidate.received;
        let (Some(advance), Some(new)) = (candidate.advance, new_sending) else { return };
        self.root = new.step.root;
        let header_key = core::mem::replace(&mut self.next_sending_header_key, new.step.next_header_key);
        self.sending = Some(Chain { key: new.step.chain, header_key });
        self.next_receiving_header_key = advance.next_receiving_header_key;
        self.key = new.key;
        answer.take_place(&mut self.encapsulation);
        self.previously_sent = core::mem::take(&mut self.sent);
        self.sending_encapsulated = new.encapsulated;
        self.receiving_encapsulated = advance.encapsulated;
        self.encapsulates = new.encapsulated || advance.encapsulated || self.encapsulation.is_some();
        self.large_headers |= self.version >= RatchetVersion::ENCAPSULATION && self.encapsulates;
    }
}

/// What [`Ratchet::open`] found: where in all bytes the message stands, and the rest as in [`Decrypted`].
struct Opened {
    message: core::ops::Range<usize>,
    number: u32,
    advanced: bool,
    /// Whether a new encapsulation key has to be made where the old one is.
    needs_key: bool,
    changed: Changed,
}

/// A range of the body, counted from the beginning.
fn behind(front_length: usize, range: &core::ops::Range<usize>) -> core::ops::Range<usize> {
    front_length.saturating_add(range.start)..front_length.saturating_add(range.end)
}

/// How many bytes stand in front of the body, and where the encoded header starts and ends.
fn layout(message: &[u8]) -> Result<(usize, usize, usize), Error> {
    let parsed = RatchetMessage::from_bytes(message).map_err(Error::Malformed)?;
    let front_length = message.len().checked_sub(parsed.body.len()).ok_or(Error::Internal)?;
    let header_end = front_length.checked_sub(parsed.tag.len()).ok_or(Error::Internal)?;
    let header_start = header_end.checked_sub(parsed.header.len()).ok_or(Error::Internal)?;
    Ok((front_length, header_start, header_end))
}

/// Decrypts a body and tells where in it the message stands. When this fails the body is as it was.
#[inline(never)]
fn open_body(
    key: &MessageKey,
    associated_data: &[u8; ASSOCIATED_DATA_LENGTH],
    header: &[u8],
    tag: &[u8; 16],
    body: &mut [u8],
) -> Result<core::ops::Range<usize>, Error> {
    let mut data = [0; MAX_BODY_DATA_LENGTH];
    let length = ASSOCIATED_DATA_LENGTH.saturating_add(header.len());
    let data = data.get_mut(..length).ok_or(Error::Internal)?;
    data.iter_mut().zip(associated_data.iter().chain(header)).for_each(|(to, from)| *to = *from);
    key.open(data, body, tag)?;
    unpad_range(body).map_err(|_| {
        key.restore(body);
        Error::Padding
    })
}
