//! Envelopes of agents, whole and as they are opened in place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, canonical};
use smp_proto::agent::{AgentEnvelope, EnvelopeContent};
use smp_proto::wire::{Decode, Encode};

fuzz_target!(|data: &[u8]| {
    canonical(data, again!(AgentEnvelope<'_>));

    // What is given for decryption is the end of the same bytes, and the rest is all but that.
    let mut copy = data.to_vec();
    let Ok((front, rest)) = AgentEnvelope::split(&mut copy) else {
        assert!(AgentEnvelope::from_bytes(data).is_err());
        return;
    };
    let mut buffer = vec![0; data.len()];
    let written = front.to_slice(&mut buffer).unwrap_or_else(|error| panic!("the front cannot be written: {error}"));
    assert_eq!([written, rest].concat(), data);
    let empty = match front.content {
        EnvelopeContent::Confirmation { message, .. } | EnvelopeContent::Message(message) => message,
        EnvelopeContent::Invitation { info, .. } | EnvelopeContent::RatchetKey { info, .. } => info,
    };
    assert!(empty.is_empty());
});
