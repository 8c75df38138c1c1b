//! Identifiers. All are byte strings of up to 255 bytes that borrow from the block they were read in; relays make them
//! 24 bytes long ([`ID_LENGTH`]).

use core::fmt;

use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// The length of every identifier a relay or a client makes, in bytes.
pub const ID_LENGTH: usize = 24;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Printing it shows only its length: identifiers stay out of logs.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// The empty identifier.
            pub const EMPTY: $name<'static> = $name(&[]);

            /// Wraps up to 255 bytes.
            pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
                if bytes.len() > 255 { Err(Error::TooLong) } else { Ok(Self(bytes)) }
            }

            /// Wraps an identifier of the usual length.
            #[must_use]
            pub const fn from_array(bytes: &'a [u8; ID_LENGTH]) -> Self {
                Self(bytes)
            }

            /// The bytes without their length.
            #[must_use]
            pub const fn as_bytes(&self) -> &'a [u8] {
                self.0
            }

            /// The bytes, when there are as many as usual.
            #[must_use]
            pub fn to_array(&self) -> Option<[u8; ID_LENGTH]> {
                self.0.try_into().ok()
            }

            /// Whether there are no bytes.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }

        impl<'a> Decode<'a> for $name<'a> {
            fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
                reader.short().map(Self)
            }
        }

        impl Encode for $name<'_> {
            fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
                writer.short(self.0)
            }
        }
    };
}

id!(
    /// Names what a transmission is about: a queue (recipient, sender or notifier side), a link, a session, a service,
    /// or nothing when empty.
    EntityId
);
id!(
    /// Names one side of a queue: recipient, sender or notifier id.
    QueueId
);
id!(
    /// Names link data.
    LinkId
);
id!(
    /// Names a message in its queue; also the nonce of its encryption to the recipient.
    MessageId
);
id!(
    /// Ties a response to its request; 24 unpredictable bytes from clients, empty in server events.
    CorrelationId
);
id!(
    /// Names a service certificate registered with a relay.
    ServiceId
);
id!(
    /// Names a TLS session: the client's Finished value.
    SessionId
);
id!(
    /// SHA-256 of an identity certificate, the "key hash" of addresses. 32 bytes, not checked by the address parsers.
    Fingerprint
);

impl<'a> From<QueueId<'a>> for EntityId<'a> {
    fn from(id: QueueId<'a>) -> Self {
        Self(id.0)
    }
}

impl<'a> From<LinkId<'a>> for EntityId<'a> {
    fn from(id: LinkId<'a>) -> Self {
        Self(id.0)
    }
}

impl<'a> From<ServiceId<'a>> for EntityId<'a> {
    fn from(id: ServiceId<'a>) -> Self {
        Self(id.0)
    }
}

impl<'a> From<SessionId<'a>> for EntityId<'a> {
    fn from(id: SessionId<'a>) -> Self {
        Self(id.0)
    }
}
