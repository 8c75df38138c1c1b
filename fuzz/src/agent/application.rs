//! What the application asks of its agent.

use smp_agent::event::EventKind;
use smp_agent::policy::server::ServerList;
use smp_agent::{Command, ConnectionId, ConnectionOptions, LinkRequest, MessageId, PostQuantum};
use smp_proto::smp::recipient::QueueMode;

use super::deeds::Play;
use super::host::{MARK, USER};
use crate::input::Input;

impl Play {
    pub(super) fn connection(&self, input: &mut Input<'_>) -> ConnectionId {
        let connections = self.scene.host.connections();
        input.one_of(&connections).copied().unwrap_or(ConnectionId::from_bytes([0; 12]))
    }

    pub(super) fn command(&mut self, input: &mut Input<'_>) -> Command {
        let choice = input.below(24);
        let connection = self.connection(input);
        let said = [MARK, input.bytes()].concat();
        let options = ConnectionOptions {
            post_quantum: [PostQuantum::Off, PostQuantum::Off, PostQuantum::On, PostQuantum::InLink][input.below(4)],
            receive_queues: [1, 1, 2, 4, 0, 255][input.below(6)],
        };
        let link = (input.byte() >= 200).then(|| LinkRequest { user_data: said.clone(), entity_id: None });
        let invitations = self.scene.host.events.iter().filter_map(|event| match &event.kind {
            EventKind::Request { invitation, .. } => Some(*invitation),
            _ => None,
        });
        let invitation = input.one_of(&invitations.collect::<Vec<_>>()).copied();
        match choice {
            0..=4 => {
                let long = if input.byte() > 240 { 15_800 } else { 0 };
                let body = [said, vec![0; long]].concat();
                Command::Send { connection, body, notify: true }
            }
            5 | 6 => Command::Allow { connection, info: said },
            7 | 8 => match invitation {
                Some(invitation) => Command::Accept { invitation, info: said, options },
                None => Command::SubscribeAll,
            },
            9 => match invitation {
                Some(invitation) => Command::Reject { invitation },
                None => Command::SetServers { user: USER, servers: ServerList::from(Vec::new()) },
            },
            10 | 11 => Command::Switch { connection },
            12 => Command::AbortSwitch { connection },
            13 | 14 => Command::Resynchronize { connection, force: input.byte() < 200 },
            15 => Command::AddReceiveQueue { connection },
            16 => match link {
                Some(link) if input.byte() < 128 => Command::PrepareInvitation { user: USER, options, link },
                link => Command::Invite { user: USER, options, link },
            },
            17 => match link {
                Some(link) if input.byte() < 128 => Command::PrepareAddress { user: USER, link },
                link => Command::CreateAddress { user: USER, link },
            },
            18 => {
                if self.scene.peer.own.is_empty() {
                    self.scene.peer.add_own(0, Some(QueueMode::Messaging));
                }
                let mut link = self.scene.peer.invitation().into_bytes();
                if input.byte() >= 200 {
                    input.change(&mut link);
                }
                Command::Join { user: USER, link: String::from_utf8_lossy(&link).into_owned(), info: said, options }
            }
            19 => Command::Delete { connection, deliver_first: input.byte() < 128 },
            20 => Command::ForgetMessage { connection, message: MessageId(u64::from(input.byte())) },
            21 => Command::NetworkChanged { online: input.byte() < 128 },
            22 => match input.below(3) {
                0 => Command::Suspend { connection },
                1 => Command::Subscribe { connection },
                _ => Command::SubscribeAll,
            },
            _ => match input.below(2) {
                0 => Command::SetLink { connection, user_data: said },
                _ => Command::DeleteLink { connection },
            },
        }
    }
}
