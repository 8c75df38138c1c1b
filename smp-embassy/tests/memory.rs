//! What the roles cost in memory, beside the buffer: on the host, where pointers are twice as long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::flash::Flash;
use common::{HostNetwork, buffer, random};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use smp_embassy::receiver::{ReceivedMessage, ReceiverOptions, Taken};
use smp_embassy::sender::SenderOptions;
use smp_embassy::{Device, NoClock, Outbox, Receiver, ReceiverHandler, Sender};
use smp_proto::uri::QueueUri;

const ADDRESS: &str = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@a.example/AAAA#/?v=1-4\
    &dh=MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig%3D&q=m";

struct Nothing;

impl ReceiverHandler for Nothing {
    fn queue(&mut self, _: &QueueUri) {}

    async fn message(&mut self, _: ReceivedMessage<'_>) -> Taken {
        Taken::Yes
    }
}

#[tokio::test]
async fn the_futures_of_roles_are_small() {
    let (mut flash, mut random, mut buffer) = (Flash::default(), random(1), buffer());
    let mut sender = Sender::load(&mut flash, Some(ADDRESS), &mut random).await.unwrap();
    let outbox = Outbox::<NoopRawMutex, 4, 64>::new();
    let options = SenderOptions::default();
    let device = Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
    let sending = size_of_val(&sender.run(device, &mut flash, &outbox, &options, |_| {}));

    let relay = ADDRESS.split_once("/AAAA").unwrap().0.parse().unwrap();
    let mut receiver = Receiver::new();
    let options = ReceiverOptions::new(&relay);
    let device = Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
    let receiving = size_of_val(&receiver.run(device, &mut flash, &options, &mut Nothing));
    println!(
        "sender {} + {sending}, receiver {} + {receiving}, outbox {}",
        size_of::<Sender>(),
        size_of::<Receiver>(),
        size_of_val(&outbox)
    );
    assert!(sending < 6_000, "{sending}");
    assert!(receiving < 6_000, "{receiving}");
}
