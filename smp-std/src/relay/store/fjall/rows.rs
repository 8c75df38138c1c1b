//! Keys of rows, and walks over them.

use fjall::Keyspace;

use super::error;
use crate::relay::store::StoreError;
use crate::relay::store::operation::Side;
use crate::relay::store::record::Id;

/// Visits up to `limit` rows behind `after`; the last one visited if the limit ended the walk.
pub(super) fn walk<const KEY: usize>(
    keyspace: &Keyspace,
    after: Option<&[u8; KEY]>,
    limit: usize,
    mut visit: impl FnMut(&[u8; KEY], &[u8]) -> Result<(), StoreError>,
) -> Result<Option<[u8; KEY]>, StoreError> {
    use std::ops::Bound;
    let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(*key));
    let mut visited = 0;
    for row in keyspace.range::<[u8; KEY], _>((start, Bound::Unbounded)) {
        let (key, value) = row.into_inner().map_err(error)?;
        let id: [u8; KEY] = key.as_ref().try_into().map_err(|_| StoreError::Corrupt("key"))?;
        visit(&id, &value)?;
        visited += 1;
        if visited == limit {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

pub(super) fn name_key(side: Side, id: &Id) -> [u8; 25] {
    let side = match side {
        Side::Sender => b's',
        Side::Link => b'l',
        Side::Notifier => b'n',
    };
    let mut key = [side; 25];
    if let Some(rest) = key.last_chunk_mut() {
        *rest = *id;
    }
    key
}

/// Reads a name's key back.
pub(super) fn read_name_key(key: &[u8; 25]) -> Result<(Side, Id), StoreError> {
    let [side, id @ ..] = key;
    let side = match side {
        b's' => Side::Sender,
        b'l' => Side::Link,
        b'n' => Side::Notifier,
        _ => return Err(StoreError::Corrupt("name key")),
    };
    Ok((side, *id))
}

pub(super) fn message_key(recipient_id: &Id, sequence: u64) -> [u8; 32] {
    let mut key = [0; 32];
    if let Some(first) = key.first_chunk_mut() {
        *first = *recipient_id;
    }
    if let Some(last) = key.last_chunk_mut() {
        *last = sequence.to_be_bytes();
    }
    key
}
