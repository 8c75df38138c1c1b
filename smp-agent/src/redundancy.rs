//! Several receive queues for one connection, at relays of different operators: losing any one of them loses nothing.
//!
//! Each side decides for itself how many relays shall receive for it:
//! [`ConnectionOptions::receive_queues`](crate::ConnectionOptions::receive_queues), up to
//! [`MAX_RECEIVE_QUEUES`](crate::MAX_RECEIVE_QUEUES). The other side sends every message to all of them, or to the first
//! that takes it, as its [`RedundancyPolicy`](crate::RedundancyPolicy) says. The application sees one connection: messages
//! come once and in order, and [`EventKind::Redundancy`](crate::EventKind::Redundancy) tells which relays are in use.
//!
//! # On the wire
//!
//! Nothing has a new form. The formats of the agent protocol have lists of queues wherever queues are spoken of, and what
//! is deployed writes one item and heeds the first. (Sections are those of the wire reference of the agent.)
//!
//! | where | with one queue | with several |
//! |---|---|---|
//! | link of an invitation, full or short, and the request to an address (7, 8) | one queue | the first queue, then the others, all of messaging mode |
//! | joining party's confirmation, `D` (6, 12.2) | goes to the one queue of the link; lists one reply queue | SKEY and the same encrypted confirmation to every queue of the link, each in the encryption of that queue; lists all reply queues, the first one first |
//! | inviting party's confirmation, `I` | goes to the one reply queue | SKEY and the same encrypted confirmation to every reply queue |
//! | any later message | SEND to one queue | the same ratchet ciphertext, sealed for each queue, to all queues or to the first that takes it |
//! | QADD (18) | one item with the address it replaces | the same to move one of several queues; to add a queue one item **without** a replaced address |
//! | QKEY | one item | the same |
//! | QUSE | one item, primary `T` | to add a queue: primary `F` |
//! | QTEST | to the new queue | there, and to all others but the one that it replaces |
//!
//! An item of a list is used when its version is spoken, and, but for the first, when its mode is messaging: others would
//! need KEY and HELLO of their own. At most four are used. An address that anybody may send to has one queue.
//!
//! The order of adding a queue: `NEW`; QADD through all queues; the peer answers QKEY through all queues; `KEY`; QUSE; the
//! peer sends QTEST to the new queue and from then on everything else, too, and what still waits for other queues goes to
//! it before. The queue counts when the first message came through it. An item of QADD that is said twice is answered with
//! QKEY again as long as QUSE has not come, and ignored afterwards; QKEY and QUSE that come twice are ignored.
//!
//! # Peers that know no better
//!
//! They use the first item of any list and ignore the others.
//!
//! * They join a link with several queues through the first: their confirmation comes there only, and all messages.
//! * They answer the first reply queue only. Nothing ever comes through the others.
//! * They refuse QADD without a replaced address (`A_QUEUE`), so it is never sent to them. Whether a peer knows of several
//!   queues shows when its link or its confirmation lists several, when it sent its confirmation to more than one queue, or
//!   when it adds one itself. Until then [`Command::AddReceiveQueue`](crate::Command::AddReceiveQueue) is refused: a
//!   connection that both sides made with one queue never learns it.
//!
//! Queues that a peer has not used [some days](crate::Configuration::unused_queue_expiry) after the connection was made are
//! deleted, and the connection is as any other. A relay that reads the size of links sees nothing new: short links are
//! padded, full ones are longer by about 250 characters for each queue.
//!
//! # How they come and go
//!
//! * A relay that does not create a redundant queue is tried up to three times, at other relays where there are any; then
//!   the connection is made without that queue.
//! * A receive queue is given up when its relay says that it is gone: AUTH as the answer to SUB, or DELD. A send queue is
//!   given up at AUTH as the answer to SEND or SKEY, and when its relay could not be reached for SKEY as long as messages
//!   wait. What waited for it alone goes to another queue. The last queue of a direction is never given up so: then it is
//!   with the connection as with any other.
//! * When fewer are left than the options ask for, a queue is added by itself: at once, then after 1, 4, 16, 64 minutes and
//!   so on up to a day, ten times at most without one that came into use. Those that no relay has made count for five of
//!   them at most.
//! * [`Command::Switch`](crate::Command::Switch) moves all of them, one after the other.
//! * A relay that only does not answer keeps its queue. Messages wait for it for two days, as always.
//!
//! # Order
//!
//! Copies are recognised by the hash of the encrypted message before they are decrypted. Every queue has its messages in
//! the order they were sent in. A new queue begins somewhere in the middle, and what was sent before may still wait in
//! another one: a message that comes early is decrypted, stored and held back, and its relay is not told to go on, until
//! the messages before it have come. It is given out all the same, with the honest
//! [integrity result](crate::policy::integrity), when they cannot come any more: all other queues are seen to be
//! [empty](crate::Configuration::queue_rest), or their relays were [waited for](crate::Configuration::order_wait) in vain.
//! An application that takes its time is waited for without a limit.
//!
//! With several queues up to so many messages wait for the application at once, one from each relay.
//!
//! # What is guaranteed
//!
//! | | [`All`](crate::RedundancyPolicy::All), the default | [`First`](crate::RedundancyPolicy::First) |
//! |---|---|---|
//! | a relay does not answer for a while, or never again | nothing is lost or late, the order holds | what it took before waits there or is lost; later messages go to the next relay, and are held back for half an hour before they overtake |
//! | a relay loses what it has | nothing is lost, the order holds | what it had is lost; the receiver is told of the gap |
//! | a relay holds back or drops single messages | nothing is lost | the receiver is told of the gap |
//! | an answer is lost | the message may come twice; the receiver drops the copy | the same, perhaps at another relay |
//!
//! Both hold as long as one relay of that direction lives. A queue that was added protects what is sent from then on.
//!
//! # What it costs
//!
//! For each further queue of a peer, with `All`: one SEND of 16 KB and one delivery of each message, one hash of 32 bytes'
//! look-up for each copy, and a copy of each message in the sender's storage as long as one of the relays has not taken it
//! (one record, however many queues wait). With `First`: nothing, as long as the first relay answers. At the receiver one
//! more subscription.
//!
//! More relays see that somebody receives something at a time. Those of one operator could put together which of their
//! queues belong together, by the times of their messages; relays of different operators are preferred for that reason,
//! too.
