//! A real ClientHello, taken apart to be put together wrongly (RFC 8446 section 4.1.2).

use smp_std::net::{ClientAlpn, ClientTls};
use tokio::io::AsyncReadExt;

use crate::harness::PATIENCE;

#[derive(Clone)]
pub(crate) struct ClientHello {
    /// Version, random, session id, cipher suites, compression.
    head: Vec<u8>,
    /// Type and content of each.
    extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    /// What this project's client says first.
    pub(crate) async fn of_a_client(fingerprint: &[u8; 32]) -> Self {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let tls = ClientTls::new(ClientAlpn::Smp);
        let mut record = vec![0; 5];
        tokio::select! {
            _ = tls.connect(near, fingerprint, PATIENCE) => panic!("nobody answered"),
            () = async {
                far.read_exact(&mut record).await.unwrap();
                let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
                record.resize(5 + length, 0);
                far.read_exact(&mut record[5..]).await.unwrap();
            } => {}
        }
        Self::parse(&record)
    }

    fn parse(record: &[u8]) -> Self {
        assert_eq!((record[0], record[5]), (22, 1), "a handshake record with a ClientHello");
        let body = &record[9..];
        let mut place = 2 + 32;
        place += 1 + usize::from(body[place]);
        place += 2 + usize::from(u16::from_be_bytes([body[place], body[place + 1]]));
        place += 1 + usize::from(body[place]);
        let mut rest = &body[place + 2..];
        let mut extensions = Vec::new();
        while let [kind_high, kind_low, high, low, more @ ..] = rest {
            let (content, after) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            extensions.push((u16::from_be_bytes([*kind_high, *kind_low]), content.to_vec()));
            rest = after;
        }
        let hello = Self { head: body[..place].to_vec(), extensions };
        assert_eq!(hello.to_bytes()[3..], record[3..], "put together as it was");
        hello
    }

    pub(crate) fn without_extension(&self, kind: u16) -> Self {
        let mut changed = self.clone();
        changed.extensions.retain(|(other, _)| *other != kind);
        assert_eq!(changed.extensions.len() + 1, self.extensions.len());
        changed
    }

    pub(crate) fn with_extension(&self, kind: u16, content: &[u8]) -> Self {
        let mut changed = self.without_extension(kind);
        changed.extensions.push((kind, content.to_vec()));
        changed
    }

    /// The record with the hello.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (kind, content) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(length(content));
            extensions.extend(content);
        }
        let body = [&self.head[..], &length(&extensions), &extensions].concat();
        let message = [&[1, 0][..], &length(&body), &body].concat();
        [&[22, 3, 1][..], &length(&message), &message].concat()
    }
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}
