use core::fmt;
use core::marker::PhantomData;

use super::{Decode, Encode, Error, Reader, Writer};

/// `list0(X)`: up to 255 items behind a count byte.
///
/// A decoded list was parsed once to the end, so iterating it cannot fail; items are read again from the block as they
/// are asked for, and nothing is copied.
pub struct List<'a, T> {
    source: Source<'a, T>,
}

/// Shows how many items there are: what they are stays out of logs.
impl<T> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.len())
    }
}

enum Source<'a, T> {
    Encoded { count: u8, bytes: &'a [u8] },
    Items(&'a [T]),
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

impl<'a, T> List<'a, T> {
    /// A list to be written, of up to 255 items.
    pub const fn new(items: &'a [T]) -> Result<Self, Error> {
        if items.len() > 255 { Err(Error::TooLong) } else { Ok(Self { source: Source::Items(items) }) }
    }

    /// The number of items.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.source {
            Source::Encoded { count, .. } => *count as usize,
            Source::Items(items) => items.len(),
        }
    }

    /// Whether there are no items.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Decode<'a> + Clone> List<'a, T> {
    /// The items in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a, T> {
        match self.source {
            Source::Encoded { bytes, count } => {
                ListIter { left: usize::from(count), state: IterState::Encoded(Reader::new(bytes)), item: PhantomData }
            }
            Source::Items(items) => ListIter { left: items.len(), state: IterState::Items(items), item: PhantomData },
        }
    }

    /// The first item.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }
}

impl<'a, T: Decode<'a> + Clone + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Decode<'a> + Clone + Eq> Eq for List<'a, T> {}

impl<'a, T: Decode<'a> + Clone> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for List<'a, T> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.u8()?;
        let start = reader.remaining();
        for _ in 0..count {
            T::decode(reader)?;
        }
        let used = start.len().saturating_sub(reader.len());
        let bytes = start.get(..used).ok_or(Error::Truncated)?;
        Ok(Self { source: Source::Encoded { count, bytes } })
    }
}

impl<T: Encode> Encode for List<'_, T> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self.source {
            Source::Encoded { count, bytes } => {
                writer.u8(count)?;
                writer.bytes(bytes)
            }
            Source::Items(items) => {
                writer.u8(u8::try_from(items.len()).map_err(|_| Error::TooLong)?)?;
                items.iter().try_for_each(|item| item.encode(writer))
            }
        }
    }
}

/// Iterates the items of a [`List`].
#[derive(Clone)]
pub struct ListIter<'a, T> {
    left: usize,
    state: IterState<'a, T>,
    item: PhantomData<T>,
}

/// Shows how many items are left.
impl<T> fmt::Debug for ListIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items left", self.left)
    }
}

#[derive(Clone)]
enum IterState<'a, T> {
    Encoded(Reader<'a>),
    Items(&'a [T]),
}

impl<'a, T: Decode<'a> + Clone> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.state {
            IterState::Encoded(reader) => T::decode(reader).ok(),
            IterState::Items(items) => {
                let (first, tail) = items.split_first()?;
                *items = tail;
                Some(first.clone())
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// `list(X)`: 1 to 255 items behind a count byte; an empty list is refused when read and when made.
#[derive(Debug)]
pub struct NonEmptyList<'a, T>(List<'a, T>);

impl<T> Clone for NonEmptyList<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for NonEmptyList<'_, T> {}

impl<'a, T> NonEmptyList<'a, T> {
    /// A list to be written, of 1 to 255 items.
    pub fn new(items: &'a [T]) -> Result<Self, Error> {
        if items.is_empty() { Err(Error::Invalid) } else { List::new(items).map(Self) }
    }

    /// The number of items, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a, T: Decode<'a> + Clone> NonEmptyList<'a, T> {
    /// The items in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a, T> {
        self.0.iter()
    }

    /// The first item. There always is one.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.0.first()
    }
}

impl<'a, T: Decode<'a> + Clone + PartialEq> PartialEq for NonEmptyList<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<'a, T: Decode<'a> + Clone + Eq> Eq for NonEmptyList<'a, T> {}

impl<'a, T: Decode<'a> + Clone> IntoIterator for &NonEmptyList<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for NonEmptyList<'a, T> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let list = List::decode(reader)?;
        if list.is_empty() { Err(Error::Invalid) } else { Ok(Self(list)) }
    }
}

impl<T: Encode> Encode for NonEmptyList<'_, T> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.0.encode(writer)
    }
}
