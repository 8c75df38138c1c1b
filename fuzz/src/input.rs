//! What a fuzzer gives, taken from its front piece by piece.

/// Bytes that are left. There always is more: what is missing reads as nothing.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether everything was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, if there is one.
    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, or 0.
    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A choice among so many.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// One of these.
    pub fn one_of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        let place = self.below(all.len());
        all.get(place)
    }

    /// As many bytes as the first of them says, or as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// The same, repeated up to a length that reaches what messages can have.
    pub fn long(&mut self) -> Vec<u8> {
        let bytes = self.bytes();
        let times = [1, 1, 1, 1, 2, 16, 64, 256][self.below(8)];
        bytes.repeat(times)
    }

    /// Flips bits where it says: a list of positions, of two bytes, each with a byte of bits.
    pub fn change(&mut self, message: &mut [u8]) {
        for [high, low, bits] in self.bytes().as_chunks::<3>().0 {
            let length = message.len().max(1);
            if let Some(byte) = message.get_mut(usize::from(u16::from_be_bytes([*high, *low])) % length) {
                *byte ^= bits;
            }
        }
    }

    /// A number, near the one that is expected or near an end.
    pub fn number(&mut self, expected: i64) -> i64 {
        match self.byte() {
            0..=159 => expected,
            160..=199 => expected.wrapping_add(i64::from(self.byte()) - 128),
            200..=219 => i64::MAX - i64::from(self.byte()),
            220..=239 => i64::MIN + i64::from(self.byte()),
            _ => i64::from_be_bytes(std::array::from_fn(|_| self.byte())),
        }
    }
}
