//! The passphrase of a store, and the work that makes a key from it.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

use super::error::StorageError;
use super::key::Key;

/// The work of making a key from a passphrase with Argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// How often the memory is filled.
    pub passes: u32,
    /// How many parts of the memory could be filled at the same time; here it is done one after the other.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106, section 4, the second recommended choice: 64 MiB, 3 passes, 4 lanes. It suits every computer down to a
    /// Raspberry Pi with 512 MiB.
    pub const RECOMMENDED: Self = Self { memory: 65_536, passes: 3, lanes: 4 };
    /// Stores and exports with less than any of these are not opened, whoever made them: 19 MiB, 2 passes, 1 lane, the
    /// least that OWASP's cheat sheet on storing passwords recommends.
    pub const WEAKEST: Self = Self { memory: 19_456, passes: 2, lanes: 1 };
    /// Nor are those with more than any of these, which would only keep the machine busy: 256 MiB, 16 passes, 16 lanes.
    pub const STRONGEST: Self = Self { memory: 1 << 18, passes: 16, lanes: 16 };

    pub(super) fn check(self) -> Result<Self, StorageError> {
        let within = |value, least, most| (least..=most).contains(&value);
        let (weakest, strongest) = (Self::WEAKEST, Self::STRONGEST);
        if within(self.memory, weakest.memory, strongest.memory)
            && within(self.passes, weakest.passes, strongest.passes)
            && within(self.lanes, weakest.lanes, strongest.lanes)
        {
            Ok(self)
        } else {
            Err(StorageError::Cost)
        }
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// A passphrase, and what it shall cost to try one when it is set.
///
/// The same characters in another encoding are another passphrase: programs that take it from people on several systems
/// normalise it first.
pub struct Passphrase {
    text: Zeroizing<Vec<u8>>,
    cost: Cost,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// A passphrase with the [recommended](Cost::RECOMMENDED) cost.
    ///
    /// # Errors
    /// [`StorageError::EmptyPassphrase`]
    pub fn new(text: &str) -> Result<Self, StorageError> {
        if text.is_empty() {
            return Err(StorageError::EmptyPassphrase);
        }
        Ok(Self { text: Zeroizing::new(text.as_bytes().to_vec()), cost: Cost::default() })
    }

    /// No passphrase: whoever can read the file can read what it holds.
    #[must_use]
    pub fn empty() -> Self {
        Self { text: Zeroizing::default(), cost: Cost::default() }
    }

    /// The same passphrase at another cost. It is kept where the passphrase is set; reading takes the cost from there.
    ///
    /// # Errors
    /// [`StorageError::Cost`]: it is out of bounds.
    pub fn with_cost(self, cost: Cost) -> Result<Self, StorageError> {
        Ok(Self { cost: cost.check()?, ..self })
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// The key that wraps another one.
    pub(super) fn key(&self, cost: Cost, salt: &[u8; 16]) -> Result<Key, StorageError> {
        let cost = cost.check()?;
        let parameters = Params::new(cost.memory, cost.passes, cost.lanes, Some(Key::LENGTH));
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.map_err(|_| StorageError::Cost)?);
        let mut memory = Memory::new(argon2.params().block_count())?;
        let mut key = Zeroizing::new([0; Key::LENGTH]);
        argon2
            .hash_password_into_with_memory(&self.text, salt, &mut *key, &mut *memory.0)
            .map_err(|_| StorageError::Cost)?;
        Ok(Key::new(&key))
    }
}

/// What Argon2 works in. Asked for in a way that can be refused, and wiped.
struct Memory(Vec<Block>);

impl Memory {
    fn new(blocks: usize) -> Result<Self, StorageError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| StorageError::Memory)?;
        memory.resize(blocks, Block::new());
        Ok(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_not_printed() {
        assert_eq!(format!("{:?}", Passphrase::new("secret").unwrap()), "Passphrase(..)");
    }

    #[test]
    fn an_empty_passphrase_is_asked_for_by_name() {
        assert!(matches!(Passphrase::new(""), Err(StorageError::EmptyPassphrase)));
        assert!(Passphrase::empty().text.is_empty());
    }

    #[test]
    fn costs_out_of_bounds_are_refused() {
        let Cost { memory, passes, .. } = Cost::WEAKEST;
        for weak in [Cost { memory: memory - 1, passes: 9, lanes: 4 }, Cost { passes: passes - 1, ..Cost::RECOMMENDED }]
        {
            assert!(matches!(Passphrase::empty().with_cost(weak), Err(StorageError::Cost)));
        }
        assert!(matches!(Passphrase::empty().with_cost(Cost { memory, passes, lanes: 0 }), Err(StorageError::Cost)));
        let Cost { memory, passes, lanes } = Cost::STRONGEST;
        for strong in [
            Cost { memory: memory + 1, passes, lanes },
            Cost { memory, passes: passes + 1, lanes },
            Cost { memory, passes, lanes: lanes + 1 },
        ] {
            assert!(matches!(Passphrase::empty().with_cost(strong), Err(StorageError::Cost)));
        }
    }

    /// Made with argon2-cffi 25, which calls the C program of Argon2's authors:
    /// `hash_secret_raw(b"correct horse", bytes([7] * 16), time_cost, memory_cost, parallelism, 32, Type.ID)`.
    #[test]
    fn keys_are_those_of_argon2id() {
        let keys = [
            (Cost::WEAKEST, "7132e6a6028b7abb94eb36beb767146777cd7c75426211a827c8a7a5c50d7307"),
            (Cost::RECOMMENDED, "b9544fd17a6791078aa071a2eb5d1e653ca9788d942f83158bb4ee9b552a2326"),
        ];
        for (cost, expected) in keys {
            let key = Passphrase::new("correct horse").unwrap().key(cost, &[7; 16]).unwrap();
            let octets: Vec<_> = (0..64).step_by(2).map(|at| &expected[at..at + 2]).collect();
            let octets: Vec<_> = octets.into_iter().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
            let mut sealed = b"text".to_vec();
            Key::new(octets.first_chunk().unwrap()).seal(&[0; 24], b"", &mut sealed).unwrap();
            key.open(&[0; 24], b"", &mut sealed).unwrap();
            assert_eq!(sealed, b"text");
        }
    }
}
