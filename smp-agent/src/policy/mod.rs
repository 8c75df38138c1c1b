//! What an agent decides by itself: which server, which way, when again, and whether a message continues the last one.
//!
//! Everything here is a value or a function of values. Time is a number of milliseconds that the caller gives, randomness
//! comes from the caller's source, and nothing is sent or stored.
//!
//! | Module | Question | Wire reference of the agent |
//! |---|---|---|
//! | [`server`] | which servers there are | section 21 |
//! | [`choice`] | which of them comes next | section 21 |
//! | [`host`] | which of its hosts, and whether through a SOCKS proxy | section 21 |
//! | [`session`] | over which connection | section 22 |
//! | [`routing`] | directly or through a proxy relay | section 23 |
//! | [`back_off`] | when to try again | section 24 |
//! | [`timing`] | how long anything lasts | section 24 |
//! | [`integrity`] | whether a message continues the last one | section 13 |

pub mod back_off;
pub mod choice;
pub mod host;
pub mod integrity;
pub mod routing;
pub mod server;
pub mod session;
pub mod timing;
