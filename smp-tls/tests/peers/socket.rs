//! A client that is another program, behind a socket.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::server::{Client, State};

/// What the server knows of a program that has connected: nothing but its bytes.
pub struct SocketClient(TcpStream);

impl SocketClient {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }
}

impl Client for SocketClient {
    /// Waits for the first bytes. Empty when the program has closed.
    fn output(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 20_000];
        let length = self.0.read(&mut bytes).expect("the client says nothing");
        bytes.truncate(length);
        bytes
    }

    fn input(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn end(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn can_write(&self) -> bool {
        false
    }

    fn write(&mut self, _: &[u8]) {
        panic!("the program decides what it writes");
    }

    fn take(&mut self) -> Vec<u8> {
        panic!("the program has it");
    }

    fn state(&self) -> State {
        State::Connected
    }
}
