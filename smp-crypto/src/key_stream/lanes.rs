//! XSalsa20 with a block in each lane of the processor's vectors: 4 blocks with SSE2 and NEON, 8 with AVX2, 16 with AVX-512.
//!
//! Sixteen vectors hold the sixteen words of as many blocks as a vector has lanes, so the rounds are written as those of
//! one block are. At the end the words of each block are brought together. Which vectors the processor has is asked when
//! the program runs; the bytes are the same with all of them, and no step depends on a secret.

use fearless_simd::{Level, Simd, dispatch, prelude::*};
use salsa20::{
    SalsaCore,
    cipher::{StreamCipherCore, consts::U10},
    hsalsa,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a block in bytes.
const BLOCK: usize = 64;
/// The most lanes that a vector has.
const LANES: usize = 16;
/// "expand 32-byte k": words 0, 5, 10 and 15 of a block's input.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// A block, or the input of its rounds.
type Words = [u32; 16];

/// The key stream of a key and a nonce, as far as it was not used. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeyStream {
    /// What goes into the rounds, but for the counter in words 8 and 9.
    input: Words,
    /// Number of the next block.
    counter: u64,
    /// The block of which there may be unused bytes.
    block: [u8; BLOCK],
    /// How many of them are used.
    used: usize,
}

impl KeyStream {
    /// The key stream from its first byte on.
    pub(crate) fn new(key: &[u8; 32], nonce: &[u8; 24]) -> Self {
        let (first, last) = nonce.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let mut key = hsalsa::<U10>(key.into(), first.into());
        let (low, high) = key.split_at(16);
        let mut input = [0; 16];
        input.iter_mut().step_by(5).zip(CONSTANTS).for_each(|(to, constant)| *to = constant);
        for (start, bytes) in [(1, low), (6, last), (11, high)] {
            let words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
            input.iter_mut().skip(start).zip(words).for_each(|(to, word)| *to = word);
        }
        key.zeroize();
        Self { input, counter: 0, block: [0; BLOCK], used: BLOCK }
    }

    /// Encrypts or decrypts as many bytes as there are, with the next ones of the stream.
    #[inline(never)]
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        self.apply_at(Level::new(), bytes);
    }

    /// The same, with the vectors of a level.
    fn apply_at(&mut self, level: Level, bytes: &mut [u8]) {
        let bytes = self.apply_block(bytes);
        let bytes = dispatch!(level, simd => self.apply_batches(simd, bytes));
        if bytes.len() > BLOCK {
            let mut batch = [[0; 16]; LANES];
            dispatch!(level, simd => self.store_batch(simd, &mut batch));
            for (bytes, words) in bytes.chunks_mut(BLOCK).zip(&batch) {
                self.begin_block(words);
                self.apply_block(bytes);
            }
            batch.zeroize();
        } else if !bytes.is_empty() {
            // A batch costs more than the one block that is needed.
            let mut block = Default::default();
            SalsaCore::<U10>::from_raw_state(self.input_of_next()).write_keystream_block(&mut block);
            (self.block, self.used, self.counter) = (block.into(), 0, self.counter.wrapping_add(1));
            block.zeroize();
            self.apply_block(bytes);
        }
    }

    /// Uses what is left of the block; gives the bytes for which it was not enough.
    fn apply_block<'b>(&mut self, bytes: &'b mut [u8]) -> &'b mut [u8] {
        let unused = self.block.get(self.used..).unwrap_or_default();
        let (now, later) = bytes.split_at_mut(unused.len().min(bytes.len()));
        now.iter_mut().zip(unused).for_each(|(byte, stream)| *byte ^= stream);
        self.used = self.used.saturating_add(now.len());
        later
    }

    /// Takes the next block from a batch.
    fn begin_block(&mut self, words: &Words) {
        self.block.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        self.used = 0;
        self.counter = self.counter.wrapping_add(1);
    }

    /// The input of the rounds for the next block.
    fn input_of_next(&self) -> Words {
        let mut input = self.input;
        let (low, high) = halves(self.counter);
        input.iter_mut().skip(8).zip([low, high]).for_each(|(to, half)| *to = half);
        input
    }

    /// Uses whole batches of blocks, as many as there are bytes for; gives the bytes behind them.
    // Everything that has to do with vectors is inlined, because only in the body of `dispatch!` they are what the
    // processor has.
    #[inline(always)]
    fn apply_batches<'b, S: Simd>(&mut self, simd: S, bytes: &'b mut [u8]) -> &'b mut [u8] {
        let mut batches = bytes.chunks_exact_mut(BLOCK.saturating_mul(S::u32s::LEN));
        for batch in &mut batches {
            let stream = self.batch(simd);
            for (bytes, stream) in batch.chunks_exact_mut(S::u8s::LEN).zip(stream) {
                (S::u8s::from_slice(simd, bytes) ^ stream.bitcast::<S::u8s>()).store_slice(bytes);
            }
            self.counter = self.counter.wrapping_add(S::u32s::LEN as u64);
        }
        batches.into_remainder()
    }

    /// Makes one batch and does not count its blocks.
    #[inline(always)]
    fn store_batch<S: Simd>(&self, simd: S, blocks: &mut [Words; LANES]) {
        let words = blocks.as_flattened_mut().chunks_exact_mut(S::u32s::LEN);
        self.batch(simd).iter().zip(words).for_each(|(vector, words)| vector.store_slice(words));
    }

    /// The next blocks of the stream, one behind the other.
    #[inline(always)]
    #[allow(clippy::arithmetic_side_effects, reason = "lanes wrap")]
    fn batch<S: Simd>(&self, simd: S) -> [S::u32s; 16] {
        let (mut low, mut high) = ([0; LANES], [0; LANES]);
        for (lane, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            (*low, *high) = halves(self.counter.wrapping_add(lane as u64));
        }
        let [i0, i1, i2, i3, i4, i5, i6, i7, _, _, i10, i11, i12, i13, i14, i15] =
            self.input.map(|word| S::u32s::simd_from(simd, word));
        let [i8, i9] = [low, high].map(|half| S::u32s::from_slice(simd, half.get(..S::u32s::LEN).unwrap_or_default()));
        let [mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6, mut x7] = [i0, i1, i2, i3, i4, i5, i6, i7];
        let [mut x8, mut x9, mut x10, mut x11, mut x12, mut x13, mut x14, mut x15] =
            [i8, i9, i10, i11, i12, i13, i14, i15];
        for _ in 0..10 {
            [x0, x4, x8, x12] = quarter_round(x0, x4, x8, x12);
            [x5, x9, x13, x1] = quarter_round(x5, x9, x13, x1);
            [x10, x14, x2, x6] = quarter_round(x10, x14, x2, x6);
            [x15, x3, x7, x11] = quarter_round(x15, x3, x7, x11);
            [x0, x1, x2, x3] = quarter_round(x0, x1, x2, x3);
            [x5, x6, x7, x4] = quarter_round(x5, x6, x7, x4);
            [x10, x11, x8, x9] = quarter_round(x10, x11, x8, x9);
            [x15, x12, x13, x14] = quarter_round(x15, x12, x13, x14);
        }
        let mut words = [
            x0 + i0,
            x1 + i1,
            x2 + i2,
            x3 + i3,
            x4 + i4,
            x5 + i5,
            x6 + i6,
            x7 + i7,
            x8 + i8,
            x9 + i9,
            x10 + i10,
            x11 + i11,
            x12 + i12,
            x13 + i13,
            x14 + i14,
            x15 + i15,
        ];
        // Seen as one list, a word stands at 16 bits of index: its number in the block, then its lane. Every step moves the
        // last bit to the front, until the lane is in front of the number.
        let mut lanes = S::u32s::LEN;
        while lanes > 1 {
            words = unzip(words);
            lanes /= 2;
        }
        words
    }
}

/// Both halves of a counter, the low one first.
#[allow(clippy::cast_possible_truncation, reason = "what is cut off is the other half")]
fn halves(counter: u64) -> (u32, u32) {
    (counter as u32, (counter >> 32) as u32)
}

#[inline(always)]
#[allow(clippy::arithmetic_side_effects, reason = "lanes wrap")]
fn quarter_round<S: Simd, V: SimdInt<S, Element = u32>>(a: V, b: V, c: V, d: V) -> [V; 4] {
    let rotate = |sum: V, bits: u32| sum << bits | sum >> (32 - bits);
    let b = b ^ rotate(a + d, 7);
    let c = c ^ rotate(b + a, 9);
    let d = d ^ rotate(c + b, 13);
    let a = a ^ rotate(d + c, 18);
    [a, b, c, d]
}

/// All words at even places, then all at odd ones.
#[inline(always)]
fn unzip<S: Simd, V: SimdBase<S>>(words: [V; 16]) -> [V; 16] {
    let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15] = words;
    let (e0, o0) = w0.deinterleave(w1);
    let (e1, o1) = w2.deinterleave(w3);
    let (e2, o2) = w4.deinterleave(w5);
    let (e3, o3) = w6.deinterleave(w7);
    let (e4, o4) = w8.deinterleave(w9);
    let (e5, o5) = w10.deinterleave(w11);
    let (e6, o6) = w12.deinterleave(w13);
    let (e7, o7) = w14.deinterleave(w15);
    [e0, e1, e2, e3, e4, e5, e6, e7, o0, o1, o2, o3, o4, o5, o6, o7]
}

#[cfg(test)]
mod tests {
    use salsa20::{
        XSalsa20,
        cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
    };

    use super::*;
    use crate::test::{numbers, random};
    use rand_core::Rng;

    /// The levels of this processor, the narrower ones too.
    fn levels() -> std::vec::Vec<Level> {
        let best = Level::new();
        #[allow(unused_mut, reason = "others are known of one processor only")]
        let mut levels = std::vec![best];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(best.as_avx2().map(Level::Avx2));
            levels.extend(best.as_sse4_2().map(Level::Sse4_2));
            levels.extend(best.as_sse2().map(Level::Sse2));
        }
        levels
    }

    /// The key stream, and what the crate makes of it in one go, from a byte on.
    fn both(start: u64, length: usize) -> (KeyStream, std::vec::Vec<u8>) {
        let (key, nonce) = (numbers(1), numbers(100));
        let mut expected = std::vec![0; length];
        let mut stream = XSalsa20::new((&key).into(), (&nonce).into());
        stream.seek(start);
        stream.apply_keystream(&mut expected);
        let mut stream = KeyStream::new(&key, &nonce);
        stream.counter = start / BLOCK as u64;
        stream.apply(&mut [0; BLOCK][..start as usize % BLOCK]);
        (stream, expected)
    }

    #[test]
    fn every_length_is_what_the_crate_makes() {
        let lengths = (0..=4_096).chain(16_320..=16_448);
        let (_, expected) = both(0, 16_448);
        for level in levels() {
            for length in lengths.clone() {
                let (mut stream, _) = both(0, 0);
                let mut bytes = std::vec![0; length];
                stream.apply_at(level, &mut bytes);
                assert_eq!(bytes, expected[..length], "{level:?}, {length}");
                // Where it goes on is right too.
                let mut next = [0; 3];
                stream.apply_at(level, &mut next);
                assert_eq!(next[..], both(length as u64, 3).1[..], "behind {level:?}, {length}");
            }
        }
    }

    #[test]
    fn every_place_is_what_the_crate_makes() {
        for level in levels() {
            for start in (0..=2_200).chain([(1 << 32) - 1, 1 << 32, (1 << 38) - 5, u64::from(u32::MAX) * 64 - 700]) {
                let (mut stream, expected) = both(start, 1_500);
                let mut bytes = std::vec![0; expected.len()];
                stream.apply_at(level, &mut bytes);
                assert_eq!(bytes, expected, "{level:?}, {start}");
            }
        }
    }

    /// The 64 bits of the counter are two words, and the low one may run over in any lane.
    #[test]
    fn counters_carry_in_every_lane() {
        for level in levels() {
            for before in 0..40 {
                let (mut stream, expected) = both(((1 << 32) - before) * BLOCK as u64, 64 * BLOCK);
                let mut bytes = std::vec![0; expected.len()];
                stream.apply_at(level, &mut bytes);
                assert_eq!(bytes, expected, "{level:?}, {before}");
            }
        }
    }

    /// Keys, nonces, texts and the lengths of the pieces are random.
    #[test]
    fn random_pieces_are_what_the_crate_makes() {
        let random = &mut random(7);
        for round in 0..2_000 {
            let (mut key, mut nonce) = ([0; 32], [0; 24]);
            random.fill_bytes(&mut key);
            random.fill_bytes(&mut nonce);
            let mut text = std::vec![0; random.next_u32() as usize % 5_000];
            random.fill_bytes(&mut text);
            let mut expected = text.clone();
            XSalsa20::new((&key).into(), (&nonce).into()).apply_keystream(&mut expected);
            let level = levels()[round % levels().len()];
            let (mut stream, mut rest) = (KeyStream::new(&key, &nonce), &mut text[..]);
            while !rest.is_empty() {
                // Short pieces as often as long ones.
                let longest = 1 << (random.next_u32() % 12);
                let (piece, later) = rest.split_at_mut(rest.len().min(random.next_u32() as usize % longest));
                stream.apply_at(level, piece);
                rest = later;
            }
            assert_eq!(text, expected, "{level:?}, {round}");
        }
    }

    #[test]
    fn secrets_are_wiped() {
        let mut stream = KeyStream::new(&[1; 32], &[2; 24]);
        stream.apply(&mut [0; 1_000]);
        stream.zeroize();
        assert_eq!((stream.input, stream.counter, stream.block), ([0; 16], 0, [0; BLOCK]));
    }
}
