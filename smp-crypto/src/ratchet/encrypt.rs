//! Encrypting (wire reference of the ratchet, section 10).

use smp_proto::agent::RatchetHeader;
use smp_proto::version::RatchetVersion;

use super::encapsulation::OwnEncapsulation;
use super::header::HeaderForm;
use super::prepared::PreparedMessage;
use super::{Error, Ratchet};

/// What a message asks of post-quantum encapsulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EncapsulationRequest {
    /// Nothing: for what the user did not write.
    #[default]
    Unset,
    /// The next steps of the ratchet shall use it. To be said with every message of the user's, as long as it is wanted.
    On,
    /// The next steps of the ratchet shall not use it.
    ///
    /// The chain of this message goes on as it began: see the [module documentation](super) on what happens when its
    /// first message is lost.
    Off,
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sending {
    /// What the message asks of encapsulation.
    pub encapsulation: EncapsulationRequest,
    /// The highest version this program speaks, which the header announces. Not above [`RatchetVersion::MAX`].
    pub max_version: RatchetVersion,
}

impl Default for Sending {
    fn default() -> Self {
        Self { encapsulation: EncapsulationRequest::Unset, max_version: RatchetVersion::MAX }
    }
}

impl From<EncapsulationRequest> for Sending {
    fn from(encapsulation: EncapsulationRequest) -> Self {
        Self { encapsulation, ..Self::default() }
    }
}

/// What the settings of one message change.
struct Settings {
    encapsulates: bool,
    max_version: RatchetVersion,
    form: HeaderForm,
}

impl Ratchet {
    fn settings(&self, sending: Sending) -> Settings {
        let (encapsulates, floor) = match sending.encapsulation {
            EncapsulationRequest::Unset => (self.encapsulates, self.version),
            EncapsulationRequest::On => (true, RatchetVersion::ENCAPSULATION.max(self.version)),
            EncapsulationRequest::Off => (false, self.version),
        };
        let large = self.large_headers || (self.version >= RatchetVersion::ENCAPSULATION && encapsulates);
        Settings {
            encapsulates,
            max_version: sending.max_version.min(RatchetVersion::MAX).max(floor),
            form: HeaderForm { version: self.version, large },
        }
    }

    /// Length in bytes of a message whose body is padded to `padded_length`.
    #[must_use]
    pub fn encrypted_length(&self, sending: Sending, padded_length: usize) -> usize {
        self.settings(sending).form.overhead().saturating_add(padded_length)
    }

    /// The first step of sending: moves the ratchet and encrypts the header.
    ///
    /// Save the ratchet and the prepared message together. The body follows with [`PreparedMessage::seal`], as late as the
    /// message is delivered; until then it can be stored as it is, shared by all its recipients.
    ///
    /// Fails with [`Error::NotReady`] when nothing can be sent yet.
    pub fn prepare(&mut self, sending: Sending) -> Result<PreparedMessage, Error> {
        let mut prepared = PreparedMessage::empty();
        self.prepare_into(sending, &mut prepared)?;
        Ok(prepared)
    }

    #[inline(never)]
    fn prepare_into(&mut self, sending: Sending, prepared: &mut PreparedMessage) -> Result<(), Error> {
        let chain = self.sending.as_ref().ok_or(Error::NotReady)?;
        let sent = self.sent.checked_add(1).ok_or(Error::Exhausted)?;
        let (next, key, header_iv) = chain.key.next()?;
        let settings = self.settings(sending);
        let header = RatchetHeader {
            max_version: settings.max_version,
            key: self.key.public,
            encapsulation: self.encapsulation.as_ref().map(OwnEncapsulation::announce),
            previous_count: self.previously_sent,
            number: self.sent,
        };
        let chain = self.sending.as_mut().ok_or(Error::NotReady)?;
        prepared.fill(key, settings.form.version, &self.associated_data, |out| {
            chain.header_key.seal(&header_iv, settings.form, &self.associated_data, &header, out)
        })?;
        chain.key = next;
        self.sent = sent;
        self.encapsulates = settings.encapsulates;
        self.large_headers = settings.form.large;
        self.max_version = settings.max_version;
        Ok(())
    }

    /// Encrypts a message into `out` and gives what is sent, [`Ratchet::encrypted_length`] bytes.
    ///
    /// Fails with [`Error::TooLong`] when the message and its two bytes of length do not fit into `padded_length`, or the
    /// result does not fit into `out`, and with [`Error::NotReady`] when nothing can be sent yet. The ratchet has not moved
    /// then.
    pub fn encrypt<'b>(
        &mut self,
        sending: Sending,
        message: &[u8],
        padded_length: usize,
        out: &'b mut [u8],
    ) -> Result<&'b mut [u8], Error> {
        PreparedMessage::check_length(message.len(), padded_length)?;
        if out.len() < self.encrypted_length(sending, padded_length) {
            return Err(Error::TooLong);
        }
        let mut prepared = PreparedMessage::empty();
        self.prepare_into(sending, &mut prepared)?;
        prepared.seal(message, padded_length, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_with_the_highest_version() {
        for encapsulation in [EncapsulationRequest::Unset, EncapsulationRequest::On, EncapsulationRequest::Off] {
            let expected = Sending { encapsulation, max_version: RatchetVersion::MAX };
            assert_eq!(Sending::from(encapsulation), expected);
        }
        assert_eq!(Sending::default(), Sending::from(EncapsulationRequest::Unset));
    }
}
