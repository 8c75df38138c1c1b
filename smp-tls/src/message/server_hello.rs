//! ServerHello and HelloRetryRequest (RFC 8446, sections 4.1.3 and 4.1.4).

use super::extension::{self, Extensions};
use super::{CIPHER_SUITE, GROUP, LEGACY_VERSION, VERSION};
use crate::alert::Alert;
use crate::codec::{Reader, not_empty};
use crate::error::Error;

/// The longest cookie that is sent back, in bytes.
pub(crate) const MAX_COOKIE: usize = 512;

/// The random value by which a HelloRetryRequest is known: SHA-256 of "HelloRetryRequest".
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The last eight bytes of the random value of a server that speaks TLS 1.3 and was made to choose 1.2, or less.
const DOWNGRADE: [[u8; 8]; 2] = [*b"DOWNGRD\x01", *b"DOWNGRD\x00"];

/// What the server answers to a ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerHello<'a> {
    /// It goes on, with this key share.
    Hello([u8; 32]),
    /// It wants the ClientHello again, with this cookie.
    Retry(&'a [u8]),
}

/// Reads the message without its header.
pub(crate) fn decode<'a>(message: &'a [u8], session_id: &[u8; 32]) -> Result<ServerHello<'a>, Error> {
    let mut reader = Reader::new(message);
    let legacy_version = reader.u16()?;
    let random = reader.array::<32>()?;
    let echo = reader.vector8()?;
    if echo.len() > session_id.len() {
        return Err(Alert::DECODE_ERROR.into());
    }
    let cipher_suite = reader.u16()?;
    let compression = reader.u8()?;
    let extensions = if reader.is_empty() { &[] } else { reader.vector16()? };
    reader.end()?;
    let extensions = Extensions::new(extensions)?;

    let Some(version) = extensions.find(extension::SUPPORTED_VERSIONS) else {
        // An older version. A sentinel tells that the server did not want it, so somebody between the sides did.
        let sentinel = random.last_chunk().is_some_and(|last| DOWNGRADE.contains(last));
        return Err(if sentinel { Alert::ILLEGAL_PARAMETER } else { Alert::PROTOCOL_VERSION }.into());
    };
    if only_u16(version)? != VERSION
        || legacy_version != LEGACY_VERSION
        || echo != session_id
        || cipher_suite != CIPHER_SUITE
        || compression != 0
    {
        return Err(Alert::ILLEGAL_PARAMETER.into());
    }
    if *random == RETRY_RANDOM {
        return retry(&extensions);
    }
    extensions.only(&[extension::SUPPORTED_VERSIONS, extension::KEY_SHARE], true)?;
    let mut share = extensions.find(extension::KEY_SHARE).ok_or(Alert::MISSING_EXTENSION)?;
    let group = share.u16()?;
    let key = not_empty(share.vector16()?)?;
    share.end()?;
    let key = <[u8; 32]>::try_from(key).ok().filter(|_| group == GROUP).ok_or(Alert::ILLEGAL_PARAMETER)?;
    Ok(ServerHello::Hello(key))
}

/// There is one group and its share was in the ClientHello, so all that can be asked for is a cookie.
fn retry<'a>(extensions: &Extensions<'a>) -> Result<ServerHello<'a>, Error> {
    extensions.only(&[extension::SUPPORTED_VERSIONS, extension::COOKIE], true)?;
    let mut cookie = extensions.find(extension::COOKIE).ok_or(Alert::ILLEGAL_PARAMETER)?;
    let content = not_empty(cookie.vector16()?)?;
    cookie.end()?;
    if content.len() > MAX_COOKIE { Err(Error::Limit) } else { Ok(ServerHello::Retry(content)) }
}

fn only_u16(mut reader: Reader<'_>) -> Result<u16, Error> {
    let number = reader.u16()?;
    reader.end()?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::test::{extension, refuses_other_lengths, vector16};

    const SESSION_ID: [u8; 32] = [3; 32];
    const KEY: [u8; 32] = [4; 32];

    /// A message that is right but for what a test changes.
    struct Message {
        legacy_version: u16,
        random: [u8; 32],
        session_id: Vec<u8>,
        cipher_suite: u16,
        compression: u8,
        extensions: Vec<Vec<u8>>,
    }

    fn share(group: u16, key: &[u8]) -> Vec<u8> {
        extension(extension::KEY_SHARE, &[&group.to_be_bytes()[..], &vector16(key)].concat())
    }

    fn version(version: u16) -> Vec<u8> {
        extension(extension::SUPPORTED_VERSIONS, &version.to_be_bytes())
    }

    fn hello() -> Message {
        Message {
            legacy_version: LEGACY_VERSION,
            random: [5; 32],
            session_id: SESSION_ID.to_vec(),
            cipher_suite: CIPHER_SUITE,
            compression: 0,
            extensions: [share(GROUP, &KEY), version(VERSION)].to_vec(),
        }
    }

    fn retry_request(cookie: &[u8]) -> Message {
        let cookie = extension(extension::COOKIE, &vector16(cookie));
        Message { random: RETRY_RANDOM, extensions: [version(VERSION), cookie].to_vec(), ..hello() }
    }

    impl Message {
        fn encode(&self) -> Vec<u8> {
            [
                &self.legacy_version.to_be_bytes()[..],
                &self.random,
                &[self.session_id.len() as u8],
                &self.session_id,
                &self.cipher_suite.to_be_bytes(),
                &[self.compression],
                &vector16(&self.extensions.concat()),
            ]
            .concat()
        }

        fn alert(&self) -> Alert {
            match decode(&self.encode(), &SESSION_ID) {
                Err(Error::Refused(alert)) => alert,
                outcome => panic!("{outcome:?}"),
            }
        }
    }

    #[test]
    fn brings_the_key_share() {
        assert_eq!(decode(&hello().encode(), &SESSION_ID), Ok(ServerHello::Hello(KEY)));
        refuses_other_lengths_of(&hello());
    }

    #[test]
    fn or_asks_for_another_hello() {
        assert_eq!(decode(&retry_request(b"cookie").encode(), &SESSION_ID), Ok(ServerHello::Retry(b"cookie")));
        refuses_other_lengths_of(&retry_request(b"cookie"));
    }

    /// A message that ends before its extensions is one of an older version.
    fn refuses_other_lengths_of(message: &Message) {
        let message = message.encode();
        let before = 2 + 32 + 33 + 2 + 1;
        refuses_other_lengths(&message, |message| {
            if message.len() == before {
                assert_eq!(decode(message, &SESSION_ID), Err(Error::Refused(Alert::PROTOCOL_VERSION)));
                return Err(Error::Refused(Alert::DECODE_ERROR));
            }
            decode(message, &SESSION_ID).map(drop)
        });
    }

    #[test]
    fn answers_what_was_offered() {
        for random in [[5; 32], RETRY_RANDOM] {
            let right = || Message { random, ..if random == RETRY_RANDOM { retry_request(b"c") } else { hello() } };
            let wrong = [
                Message { legacy_version: 0x0304, ..right() },
                Message { session_id: [0; 32].to_vec(), ..right() },
                Message { session_id: Vec::new(), ..right() },
                Message { cipher_suite: 0x1301, ..right() },
                Message { compression: 1, ..right() },
                Message { extensions: [right().extensions, [version(VERSION)].to_vec()].concat(), ..right() },
            ];
            for message in wrong {
                assert_eq!(message.alert(), Alert::ILLEGAL_PARAMETER);
            }
        }
    }

    #[test]
    fn has_one_share_of_the_offered_group() {
        let with = |share: &[Vec<u8>]| Message { extensions: [share, &[version(VERSION)]].concat(), ..hello() }.alert();
        assert_eq!(with(&[share(0x17, &KEY)]), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(&[share(GROUP, &KEY[1..])]), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(&[share(GROUP, &[4; 33])]), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(&[share(GROUP, &KEY), share(GROUP, &KEY)]), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(&[]), Alert::MISSING_EXTENSION);
        let longer = extension(extension::KEY_SHARE, &[&[0, 29][..], &vector16(&KEY), &[0]].concat());
        assert_eq!(with(&[longer]), Alert::DECODE_ERROR);
    }

    #[test]
    fn has_no_other_extensions() {
        let with = |kind| {
            Message { extensions: [hello().extensions, [extension(kind, b"")].to_vec()].concat(), ..hello() }.alert()
        };
        assert_eq!(with(41), Alert::UNSUPPORTED_EXTENSION); // pre_shared_key
        assert_eq!(with(0xff01), Alert::UNSUPPORTED_EXTENSION);
        assert_eq!(with(extension::ALPN), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(extension::COOKIE), Alert::ILLEGAL_PARAMETER);
    }

    #[test]
    fn of_another_version_is_refused() {
        let with =
            |extensions: &[Vec<u8>], random| Message { extensions: extensions.to_vec(), random, ..hello() }.alert();
        // TLS 1.2 has no supported_versions, and extensions of its own.
        assert_eq!(with(&[], [5; 32]), Alert::PROTOCOL_VERSION);
        assert_eq!(with(&[extension(0xff01, &[0])], [5; 32]), Alert::PROTOCOL_VERSION);
        for sentinel in DOWNGRADE {
            let random = [&[5; 24][..], &sentinel].concat().try_into().unwrap();
            assert_eq!(with(&[], random), Alert::ILLEGAL_PARAMETER);
        }
        assert_eq!(with(&[version(0x0303)], [5; 32]), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(&[version(0x0305)], [5; 32]), Alert::ILLEGAL_PARAMETER);
    }

    #[test]
    fn a_retry_has_a_cookie_that_fits_and_nothing_else() {
        let with = |more: Vec<u8>| {
            let right = retry_request(b"c");
            Message { extensions: [right.extensions.clone(), [more].to_vec()].concat(), ..right }.alert()
        };
        // The share of the only group was there already.
        assert_eq!(with(extension(extension::KEY_SHARE, &[0, 29])), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(extension(extension::KEY_SHARE, &[0, 23])), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(extension(0, &[])), Alert::UNSUPPORTED_EXTENSION);
        let nothing_changes = Message { extensions: [version(VERSION)].to_vec(), ..retry_request(b"") };
        assert_eq!(nothing_changes.alert(), Alert::ILLEGAL_PARAMETER);
        assert_eq!(retry_request(b"").alert(), Alert::DECODE_ERROR);

        let longest = retry_request(&[1; MAX_COOKIE]).encode();
        assert_eq!(decode(&longest, &SESSION_ID), Ok(ServerHello::Retry(&[1; MAX_COOKIE])));
        assert_eq!(decode(&retry_request(&[1; MAX_COOKIE + 1]).encode(), &SESSION_ID), Err(Error::Limit));
    }
}
