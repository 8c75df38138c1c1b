//! What a hostile peer says.

use smp_crypto::ratchet::BodyKind;
use smp_proto::agent::EnvelopeContent;
use smp_proto::smp::recipient::QueueMode;

use super::deeds::{Deed, Play};
use super::outside;
use super::peer::encoded;
use crate::input::Input;

/// So many messages are kept to be sent again.
const KEPT: usize = 8;

impl Play {
    /// Brings something of the peer to its queue.
    pub(super) fn deliver(&mut self, lane: usize, body: Option<Vec<u8>>) {
        let Some(body) = body else { return };
        self.said.push((lane, body.clone()));
        if self.said.len() > KEPT {
            self.said.remove(0);
        }
        self.scene.deliver(lane, body);
    }

    /// Seals an agent's envelope for one lane or all, as it is usual or not.
    pub(super) fn seal(&mut self, input: &mut Input<'_>, body: &[u8]) {
        self.seal_as(input, body, false);
    }

    pub(super) fn seal_as(&mut self, input: &mut Input<'_>, body: &[u8], introduces: bool) {
        let choice = input.byte();
        let count = self.scene.peer.lanes.len();
        let (introduces, secures) = (introduces ^ (choice >= 240), choice >= 224 && choice < 248);
        let later = choice & 8 != 0 && choice < 64;
        let lanes = match choice % 8 {
            0..=3 => 0..count,
            place => usize::from(place - 4).min(count)..usize::from(place - 3).min(count),
        };
        for lane in lanes {
            match self.scene.peer.seal(lane, body, introduces, secures) {
                // It comes when it is said again.
                Some(sealed) if later => self.said.push((lane, sealed)),
                sealed => self.deliver(lane, sealed),
            }
        }
    }

    pub(super) fn say(&mut self, deed: Deed, input: &mut Input<'_>) {
        let plaintext = match deed {
            Deed::SayRaw => input.long(),
            _ => outside::message(input, &mut self.scene.peer),
        };
        let Some(mut sent) = self.scene.peer.encrypt(&plaintext, BodyKind::Message) else { return };
        if matches!(deed, Deed::SayBent) {
            input.change(&mut sent);
        }
        let Some(body) = self.scene.peer.envelope(EnvelopeContent::Message(&sent)) else { return };
        self.seal(input, &body);
    }

    pub(super) fn confirm(&mut self, input: &mut Input<'_>) {
        let plaintext = match input.byte() {
            0..=199 => self.scene.peer.introduction(input.bytes()),
            _ => outside::message(input, &mut self.scene.peer),
        };
        let Some(sent) = self.scene.peer.encrypt(&plaintext, BodyKind::Confirmation) else { return };
        let Some(mut body) = self.scene.peer.confirmation(&sent) else { return };
        if input.byte() >= 200 {
            input.change(&mut body[..64]);
        }
        self.seal_as(input, &body, true);
    }

    pub(super) fn request(&mut self, input: &mut Input<'_>) {
        let peer = &mut self.scene.peer;
        if peer.own.is_empty() {
            peer.add_own(0, Some(QueueMode::Messaging));
        }
        let request = match input.byte() {
            0..=127 => peer.invitation(),
            _ => {
                let mut text = peer.invitation().into_bytes();
                input.change(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        let mut body = encoded(&peer.version).unwrap_or_default();
        body.push(b'I');
        body.extend(u16::try_from(request.len()).unwrap_or(0).to_be_bytes());
        body.extend([request.as_bytes(), &input.long()].concat());
        self.seal_as(input, &body, true);
    }
}
