//! What happened in the schedules: a property that was never put to the test is not shown.

use smp_crypto::ratchet::Error;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        #[derive(Debug, Default)]
        pub struct Counters {
            pub schedules: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Fails when something never happened.
            pub fn assert_everything_happened(&self) {
                $(assert!(self.$name > 0, concat!(stringify!($name), " never happened"));)*
            }
        }
    };
}

counters! {
    sent,
    sent_in_two_steps,
    received_in_order,
    received_behind_a_gap,
    received_late,
    steps_of_the_ratchet,
    /// Messages that skip keys in the chain that ended and in their own.
    skipped_in_two_chains,
    skipped_keys,
    lost,
    proposals,
    accepted_for_the_first_time,
    accepted_again,
    encapsulation_ended,
    received_encapsulated,
    upgrades,
    reached_encapsulation_when_wanted,
    talked_on_after_losses,
    forgotten_keys,
    gaps_at_the_limit,
    restarts,
    crashes_before_saving,
    failures_of_the_store,
    other_forms_of_the_length,
    damaged,
    replayed,
    reflected,
    refused_before_ready,
    refused_as_malformed,
    refused_by_header,
    refused_by_unparsable_header,
    refused_as_duplicate,
    refused_as_earlier,
    refused_as_too_many_skipped,
    refused_by_body,
}

impl Counters {
    pub fn refused(&mut self, error: Error) {
        *match error {
            Error::Malformed(_) => &mut self.refused_as_malformed,
            Error::Header => &mut self.refused_by_header,
            Error::UnparsableHeader(_) => &mut self.refused_by_unparsable_header,
            Error::Duplicate => &mut self.refused_as_duplicate,
            Error::Earlier(_) => &mut self.refused_as_earlier,
            Error::TooManySkipped(_) => &mut self.refused_as_too_many_skipped,
            Error::Body => &mut self.refused_by_body,
            other => panic!("no message here gives {other:?}"),
        } += 1;
    }
}
