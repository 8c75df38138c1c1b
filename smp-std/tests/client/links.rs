//! Links, between the client and this project's relay.

use smp_proto::smp::recipient::QueueMode;
use smp_proto::version::SmpVersion;
use smp_std::client::{ClientError, CommandKey, Credentials, Id, NewLink, QueueOptions, ReservedId, SenderCommands};

use crate::conversation::{client, relay};

fn link_id() -> Id {
    Id::new(&rand::random::<[u8; 24]>()).unwrap()
}

#[tokio::test]
async fn a_contact_link_is_created_with_its_queue_changed_and_removed() {
    let server = relay();
    for version in 15..=20 {
        let (owner, _events) = client(&server, version).await;
        let (visitor, _events) = client(&server, version).await;
        let (reserved, link) = (ReservedId::generate(), link_id());
        let mut options = QueueOptions::default();
        options.mode = QueueMode::Contact;
        options.link =
            Some(NewLink { reserved: &reserved, link_id: Some(&link), fixed: b"never changes", user: b"first" });
        let created = owner.create_queue(&options).await.unwrap();
        assert_eq!(created.sender_id, *reserved.sender_id());
        assert_eq!(created.link_id.as_ref(), Some(&link));
        let queue = &created.recipient;

        let data = visitor.link_data(&link).await.unwrap();
        assert_eq!(data.sender_id, created.sender_id);
        assert_eq!((&*data.fixed, &*data.user), (&b"never changes"[..], &b"first"[..]));
        owner.set_link_data(queue, &link, b"never changes", b"second").await.unwrap();
        assert_eq!(&*visitor.link_data(&link).await.unwrap().user, b"second");
        let refused = owner.set_link_data(queue, &link, b"changes", b"third").await.unwrap_err();
        assert!(refused.is_not_authorized());
        visitor.send(&data.sender_id, None, false, b"hello").await.unwrap();
        owner.delete_link_data(queue).await.unwrap();
        assert!(visitor.link_data(&link).await.unwrap_err().is_not_authorized());

        // Several recipients, and the first one no more.
        let keys = [(); 2].map(|()| CommandKey::generate(SmpVersion::MAX));
        owner.set_recipient_keys(queue, &[keys[0].public(), keys[1].public()]).await.unwrap();
        for key in keys {
            let queue = Credentials { id: queue.id.clone(), key };
            assert_eq!(owner.queue_status(&queue).await.unwrap().size, 1);
        }
        assert!(owner.queue_status(queue).await.unwrap_err().is_not_authorized());
        assert!(matches!(owner.set_recipient_keys(queue, &[]).await, Err(ClientError::UnusableKey)));
    }
}

#[tokio::test]
async fn an_invitation_link_is_for_one() {
    let server = relay();
    for version in 15..=20 {
        let (owner, _events) = client(&server, version).await;
        let (guest, _events) = client(&server, version).await;
        let reserved = ReservedId::generate();
        let mut options = QueueOptions::default();
        options.link = Some(NewLink { reserved: &reserved, link_id: None, fixed: b"fixed", user: b"user" });
        let created = owner.create_queue(&options).await.unwrap();
        let link = created.link_id.unwrap();
        assert!(guest.link_data(&link).await.unwrap_err().is_not_authorized());
        let key = CommandKey::generate(SmpVersion::MAX);
        for _ in 0..2 {
            let parts = guest.secure_by_link(&link, &key).await.unwrap();
            assert_eq!(
                (&parts.sender_id, &*parts.fixed, &*parts.user),
                (&created.sender_id, &b"fixed"[..], &b"user"[..])
            );
        }
        let late = CommandKey::generate(SmpVersion::MAX);
        assert!(guest.secure_by_link(&link, &late).await.unwrap_err().is_not_authorized());
        // The first message takes the data away.
        guest.send(&created.sender_id, Some(&key), false, b"hello").await.unwrap();
        assert!(guest.secure_by_link(&link, &key).await.unwrap_err().is_not_authorized());
    }
}
