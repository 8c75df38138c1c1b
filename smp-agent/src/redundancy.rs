//! Several receive queues for one connection.
