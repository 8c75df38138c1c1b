//! How link data is written to disk.

use bytes::Bytes;

use super::{FORMAT, field, fields};
use crate::relay::store::StoreError;
use crate::relay::store::link_data::LinkData;

const LINK: &str = "link data";

mod tag {
    pub(super) const FIXED: u8 = 1;
    pub(super) const USER: u8 = 2;
}

/// Writes link data.
pub(in crate::relay::store) fn encode_link(data: &LinkData) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.length().saturating_add(16));
    out.push(FORMAT);
    field(&mut out, tag::FIXED, &[&data.fixed]);
    field(&mut out, tag::USER, &[&data.user]);
    out
}

/// Reads link data.
pub(in crate::relay::store) fn decode_link(bytes: &[u8]) -> Result<LinkData, StoreError> {
    let mut fixed = None;
    let mut user = None;
    fields(bytes, LINK, |tag, value| {
        match tag {
            tag::FIXED => fixed = Some(Bytes::copy_from_slice(value.rest())),
            tag::USER => user = Some(Bytes::copy_from_slice(value.rest())),
            found => return Err(StoreError::NewerFormat { what: LINK, found }),
        }
        Ok(())
    })?;
    match (fixed, user) {
        (Some(fixed), Some(user)) => Ok(LinkData { fixed, user }),
        _ => Err(StoreError::Corrupt(LINK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(fixed: usize, user: usize) -> LinkData {
        LinkData { fixed: vec![1; fixed].into(), user: vec![2; user].into() }
    }

    #[test]
    fn link_data_comes_back() {
        for (fixed, user) in [(0, 0), (1, 0), (0, 1), (127, 128), (2048, 13_824), (65_535, 65_535)] {
            assert_eq!(decode_link(&encode_link(&data(fixed, user))).unwrap(), data(fixed, user));
        }
    }

    #[test]
    fn truncated_link_data_is_refused() {
        for (fixed, user) in [(0, 0), (5, 3), (130, 200)] {
            let bytes = encode_link(&data(fixed, user));
            for length in 0..bytes.len() {
                assert!(decode_link(&bytes[..length]).is_err(), "{length}");
            }
            assert!(decode_link(&[&bytes[..], &[1]].concat()).is_err());
            let newer = decode_link(&[&bytes[..], &[9, 0]].concat()).unwrap_err();
            assert!(matches!(newer, StoreError::NewerFormat { what: LINK, found: 9 }));
        }
        assert!(matches!(decode_link(&[2]), Err(StoreError::NewerFormat { what: LINK, found: 2 })));
    }
}
