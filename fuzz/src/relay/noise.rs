//! What no honest client says: it is refused, and changes nothing.

use smp_proto::smp::Command;
use smp_proto::smp::error::SmpError;
use smp_proto::version::SmpVersion;
use smp_proto::wire::Reader;

use super::keys;
use super::world::{Refusal, World};
use crate::history::Deed;
use crate::input::Input;

impl World {
    /// Says something of the kind that the input chooses; `deed` is what could be said instead.
    pub(super) fn noise(&mut self, client: usize, deed: &Deed, input: &mut Input<'_>) {
        self.client(client);
        match input.below(9) {
            0 | 1 => self.raw(client, input),
            2 => self.raw_block(client, input),
            3 => self.damaged_block(client, input),
            4 => self.altered(client, deed, input),
            5 => self.wrong_key(client, deed),
            6 => self.wrong_entity(client, deed, input),
            8 => self.wrong_service(client, deed),
            _ => self.malformed(client, deed, input),
        }
        self.check();
    }

    fn refuse(&mut self, client: usize, correlation: Option<[u8; 24]>, expected: Option<&[u8]>) {
        self.expect_refusal(Refusal { client, correlation, expected: expected.map(<[u8]>::to_vec) });
    }

    /// Entries of a batch that are nothing.
    fn raw(&mut self, client: usize, input: &mut Input<'_>) {
        let entries: Vec<Vec<u8>> = (0..=input.below(12)).map(|_| input.bytes().to_vec()).collect();
        entries.iter().for_each(|_| self.refuse(client, None, None));
        let (connected, crew) = self.client(client);
        connected.send_all(crew, &entries, true);
    }

    /// A block whose content is anything.
    fn raw_block(&mut self, client: usize, input: &mut Input<'_>) {
        let content = input.long();
        let (connected, crew) = self.client(client);
        match connected.send_content(crew, &content) {
            Some(entries) => (0..entries).for_each(|_| self.refuse(client, None, None)),
            None => self.refuse(client, None, Some(b"ERR BLOCK")),
        }
    }

    /// A block that was changed on its way; the next one can be opened again.
    fn damaged_block(&mut self, client: usize, input: &mut Input<'_>) {
        let position = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let (connected, crew) = self.client(client);
        if connected.is_encrypted() {
            connected.send_damaged(crew, position, input.byte().max(1));
            self.refuse(client, None, Some(b"ERR BLOCK"));
        }
    }

    /// A command that was changed after it was authorized.
    fn altered(&mut self, client: usize, deed: &Deed, input: &mut Input<'_>) {
        let Some((Some(key), entity)) = self.credentials(client, deed) else { return };
        let (correlation, command) = (self.correlation(), self.command(client, deed));
        let (connected, crew) = self.client(client);
        let made = connected.encode(&correlation, Some(key), &entity, &command);
        let Some(transmission) = made else { return };
        let mut altered = transmission.clone();
        input.change(&mut altered);
        // Without an authorization it may be a message that anybody may send.
        if altered != transmission && altered.first() == transmission.first() {
            connected.send_all(crew, &[altered], true);
            self.refuse(client, None, None);
        }
    }

    /// A command that somebody else authorized.
    fn wrong_key(&mut self, client: usize, deed: &Deed) {
        let other = &keys::of(deed.queue()).senders[0];
        let recipients = matches!(
            deed,
            Deed::Subscribe { .. }
                | Deed::Get { .. }
                | Deed::Acknowledge { .. }
                | Deed::Secure { by_sender: false, .. }
                | Deed::Suspend { .. }
                | Deed::Delete { .. }
                | Deed::SetLink { .. }
                | Deed::DeleteLink { .. }
                | Deed::EnableNotifications { .. }
                | Deed::DisableNotifications { .. }
                | Deed::Listen { .. }
        );
        let Some((_, entity)) = self.credentials(client, deed).filter(|_| recipients) else { return };
        self.unauthorized(client, deed, other, &entity);
    }

    /// A command about something that does not exist, or is known by this name to others only.
    fn wrong_entity(&mut self, client: usize, deed: &Deed, input: &mut Input<'_>) {
        let credentials = self.credentials(client, deed);
        let Some((Some(key), _)) = credentials.filter(|_| !matches!(deed, Deed::New { .. } | Deed::Again { .. }))
        else {
            return;
        };
        let known = self.queues.get(&deed.queue());
        let sends = matches!(deed, Deed::Send { .. } | Deed::Secure { by_sender: true, .. });
        let entity = match (input.byte(), known) {
            (0..=127, Some(known)) if sends => known.recipient_id.clone(),
            (0..=127, Some(known)) => known.sender_id.clone(),
            (number, _) => vec![number; 1 + usize::from(number % 32)],
        };
        self.unauthorized(client, deed, key, &entity);
    }

    fn unauthorized(
        &mut self,
        client: usize,
        deed: &Deed,
        key: &smp_crypto::key::AuthorizationSecretKey,
        entity: &[u8],
    ) {
        let (correlation, command, version) = (self.correlation(), self.command(client, deed), self.version(client));
        // Older versions do not know the command.
        if Command::decode(&mut Reader::new(&command), version).is_err() {
            return;
        }
        let (connected, crew) = self.client(client);
        let made = connected.encode(&correlation, Some(key), entity, &command);
        let Some(transmission) = made else { return };
        connected.send_all(crew, &[transmission], true);
        let refusal = match deed {
            Deed::SubscribeAll { .. } => b"ERR SERVICE",
            _ => &b"ERR AUTH"[..],
        };
        self.refuse(client, Some(correlation), Some(self.unless_prohibited(client, deed, refusal)));
    }

    /// The role of a service comes before everything else.
    fn unless_prohibited<'t>(&self, client: usize, deed: &Deed, refusal: &'t [u8]) -> &'t [u8] {
        if self.permits(client, deed) { refusal } else { b"ERR CMD PROHIBITED" }
    }

    /// A command that is not signed by the service, or is by a client that is none, or need not be.
    fn wrong_service(&mut self, client: usize, deed: &Deed) {
        let Some((Some(key), entity)) = self.credentials(client, deed) else { return };
        let (correlation, command) = (self.correlation(), self.command(client, deed));
        let knows = self.version(client) >= SmpVersion::SERVICES;
        let (connected, crew) = self.client(client);
        let signed = !connected.is_signed(&command);
        let made = connected.encode_signed(&correlation, Some(key), &entity, &command, signed).filter(|_| knows);
        let Some(transmission) = made else { return };
        connected.send_all(crew, &[transmission], true);
        self.refuse(client, Some(correlation), Some(self.unless_prohibited(client, deed, b"ERR SERVICE")));
    }

    /// A command that cannot be read, by who may give it: the relay says what is wrong with it.
    fn malformed(&mut self, client: usize, deed: &Deed, input: &mut Input<'_>) {
        let Some((key, entity)) = self.credentials(client, deed) else { return };
        let (correlation, version) = (self.correlation(), self.version(client));
        let mut command = self.command(client, deed);
        match input.below(4) {
            0 => command.truncate(usize::from(input.byte())),
            1 => command.extend_from_slice(input.bytes()),
            2 => input.change(&mut command),
            _ => command = input.bytes().to_vec(),
        }
        // As old versions end their commands where they like, or the input is a command after all.
        let Err(error) = Command::decode(&mut Reader::new(&command), version) else { return };
        let error = SmpError::Command(error);
        let expected = crate::write(|writer| {
            writer.bytes(b"ERR ")?;
            error.encode(writer, version)
        });
        let (connected, crew) = self.client(client);
        let Some(transmission) = connected.encode(&correlation, key, &entity, &command) else {
            return;
        };
        connected.send_all(crew, &[transmission], true);
        self.refuse(client, Some(correlation), expected.as_deref());
    }
}
