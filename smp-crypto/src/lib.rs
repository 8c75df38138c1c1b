//! Keys, envelopes and sessions of the SimpleX network.
#![no_std]
