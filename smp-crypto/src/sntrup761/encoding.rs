//! How polynomials are written (draft-josefsson-ntruprime-streamlined-00): a list of numbers, each below a modulus, as
//! one number in mixed radix, made by joining neighbours, again and again; and small polynomials with two bits for each
//! coefficient.
//!
//! Neighbours a and b with moduli m and n become a + mb with modulus mn. While that modulus is 2^14 or more, the lowest
//! byte goes to the output, and the modulus becomes a 256th, rounded up. All numbers have the same modulus at the start,
//! and so all but the last have at every level: a table made at compile time holds the two moduli, and where the level's
//! bytes are.

use core::cell::Cell;

use super::P;

/// Length of a small polynomial in bytes.
pub(super) const SMALL_LENGTH: usize = P.div_ceil(4);

/// How often the number of values halves until one is left.
const LEVELS: usize = 10;

/// Moduli below this are carried to the next level.
const LIMIT: u32 = 1 << 14;

/// What happens to two neighbours.
#[derive(Clone, Copy)]
struct Join {
    /// The modulus of the first.
    first: Modulus,
    /// The modulus of the second.
    second: Modulus,
    /// How many bytes are written.
    bytes: usize,
    /// The modulus of what is carried.
    carried: u32,
}

#[derive(Clone, Copy)]
struct Level {
    /// How many values there are.
    length: usize,
    /// Where the level's bytes start.
    start: usize,
    /// What happens to all pairs but the last.
    pair: Join,
    /// What happens to the last pair, where the number of values is even.
    last: Join,
}

/// The code of a list of values below a modulus.
pub(super) struct Code {
    levels: [Level; LEVELS],
    /// What the last value is written as: nothing is carried.
    end: Modulus,
    end_start: usize,
    end_bytes: usize,
}

/// A modulus below 2^14 and what it takes to divide by it in constant time.
#[derive(Clone, Copy)]
struct Modulus {
    value: u32,
    /// 2^32 divided by the modulus, rounded down.
    reciprocal: u32,
}

#[allow(clippy::arithmetic_side_effects, reason = "computed at compile time")]
impl Modulus {
    const fn new(value: u32) -> Self {
        Self { value, reciprocal: (u32::MAX as u64 / value as u64) as u32 }
    }
}

impl Modulus {
    /// Quotient and remainder of a number below 2^31.
    fn divide(self, number: u32) -> (u32, u32) {
        // The estimate is the quotient or one less, as number × (1/modulus − reciprocal/2^32) is below one.
        let estimate = ((u64::from(number).wrapping_mul(self.reciprocal.into())) >> 32) as u32;
        let rest = number.wrapping_sub(estimate.wrapping_mul(self.value)).wrapping_sub(self.value);
        let too_far = rest >> 31;
        let rest = rest.wrapping_add(self.value & too_far.wrapping_neg());
        (estimate.wrapping_add(1).wrapping_sub(too_far), rest)
    }
}

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "computed at compile time")]
impl Code {
    /// The code of [`P`] values below a modulus.
    pub(super) const fn new(modulus: u32) -> Self {
        let (mut modulus, mut last, mut length, mut start) = (modulus, modulus, P, 0);
        let none = Join::new(1, 1);
        let mut levels = [Level { length: 0, start: 0, pair: none, last: none }; LEVELS];
        let mut level = 0;
        while level < LEVELS {
            let this = Level { length, start, pair: Join::new(modulus, modulus), last: Join::new(modulus, last) };
            let even = length.is_multiple_of(2);
            let pairs = if even { length / 2 - 1 } else { length / 2 };
            start += pairs * this.pair.bytes;
            if even {
                start += this.last.bytes;
                last = this.last.carried;
            }
            modulus = this.pair.carried;
            length = length.div_ceil(2);
            levels[level] = this;
            level += 1;
        }
        let mut end_bytes = 0;
        let mut rest = last;
        while rest > 1 {
            rest = rest.div_ceil(256);
            end_bytes += 1;
        }
        Self { levels, end: Modulus::new(last), end_start: start, end_bytes }
    }

    /// How many bytes the values take.
    pub(super) const fn length(&self) -> usize {
        self.end_start + self.end_bytes
    }
}

#[allow(clippy::arithmetic_side_effects, reason = "computed at compile time")]
impl Join {
    const fn new(first: u32, second: u32) -> Self {
        let (mut carried, mut bytes) = (first * second, 0);
        while carried >= LIMIT {
            carried = carried.div_ceil(256);
            bytes += 1;
        }
        Self { first: Modulus::new(first), second: Modulus::new(second), bytes, carried }
    }
}

impl Level {
    /// What happens to each pair of values, and where its bytes start.
    fn joins(&self) -> impl DoubleEndedIterator<Item = (Join, usize)> + ExactSizeIterator {
        let pairs = self.length / 2;
        let even = self.length.is_multiple_of(2);
        (0..pairs).map(move |pair| {
            let join = if even && pair.wrapping_add(1) == pairs { self.last } else { self.pair };
            (join, self.start.wrapping_add(pair.wrapping_mul(self.pair.bytes)))
        })
    }
}

/// Writes values, each below the modulus of the code. They are gone afterwards.
pub(super) fn encode(code: &Code, values: &mut [u16; P], out: &mut [u8]) {
    let values = Cell::from_mut(&mut values[..]).as_slice_of_cells();
    let mut out = out.iter_mut();
    let mut write = |number: &mut u32, bytes| {
        for byte in out.by_ref().take(bytes) {
            *byte = *number as u8;
            *number >>= 8;
        }
    };
    for level in &code.levels {
        let (pairs, rest) = values.get(..level.length).unwrap_or_default().as_chunks::<2>();
        for (([first, second], (join, _)), to) in pairs.iter().zip(level.joins()).zip(values) {
            let mut number = join.first.value.wrapping_mul(second.get().into()).wrapping_add(first.get().into());
            write(&mut number, join.bytes);
            to.set(number as u16);
        }
        if let ([value], Some(to)) = (rest, values.get(pairs.len())) {
            to.set(value.get());
        }
    }
    if let Some(value) = values.first() {
        write(&mut value.get().into(), code.end_bytes);
    }
}

/// Reads values. Bytes that [`encode`] does not write give values below the modulus, too, as the reference's do.
pub(super) fn decode(code: &Code, bytes: &[u8], values: &mut [u16; P]) {
    let values = Cell::from_mut(&mut values[..]).as_slice_of_cells();
    let read = |start: usize, count: usize| {
        let bytes = bytes.get(start..).unwrap_or_default().iter().take(count);
        bytes.rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
    };
    if let Some(value) = values.first() {
        value.set(code.end.divide(read(code.end_start, code.end_bytes)).1 as u16);
    }
    for level in code.levels.iter().rev() {
        let (pairs, rest) = values.get(..level.length).unwrap_or_default().as_chunks::<2>();
        if let ([value], Some(from)) = (rest, values.get(pairs.len())) {
            value.set(from.get());
        }
        let carried = values.get(..pairs.len()).unwrap_or_default();
        for (([first, second], (join, start)), from) in pairs.iter().zip(level.joins()).zip(carried).rev() {
            let high = u32::from(from.get()) << join.bytes.wrapping_mul(8);
            let (quotient, remainder) = join.first.divide(high.wrapping_add(read(start, join.bytes)));
            first.set(remainder as u16);
            second.set(join.second.divide(quotient).1 as u16);
        }
    }
}

/// Writes a polynomial with coefficients from −1 to 1.
pub(super) fn encode_small(polynomial: &[i8; P], out: &mut [u8]) {
    for (byte, coefficients) in out.iter_mut().zip(polynomial.chunks(4)) {
        *byte = coefficients.iter().rev().fold(0, |byte, digit| byte << 2 | digit.wrapping_add(1) as u8);
    }
}

/// Reads a polynomial. Digits that [`encode_small`] does not write give a coefficient of 2.
pub(super) fn decode_small(bytes: &[u8], polynomial: &mut [i8; P]) {
    for (byte, coefficients) in bytes.iter().zip(polynomial.chunks_mut(4)) {
        let mut digits = *byte;
        for coefficient in coefficients {
            *coefficient = (digits & 3).wrapping_sub(1) as i8;
            digits >>= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use rand_core::Rng;

    use super::super::{LARGE, ROUNDED};
    use super::*;
    use crate::test::random;

    const CODES: [(&Code, u16); 2] = [(&LARGE, 4591), (&ROUNDED, 1531)];

    #[test]
    fn divisions_are_exact() {
        let mut random = random(1);
        for level in CODES.iter().flat_map(|(code, _)| &code.levels) {
            for modulus in [level.pair.first, level.pair.second, level.last.first, level.last.second] {
                let edges = [0, 1, u32::MAX >> 1].into_iter().chain((0..20).map(|_| random.next_u32() >> 1));
                for edge in edges {
                    for number in [edge, edge - edge % modulus.value, (edge - edge % modulus.value).saturating_sub(1)] {
                        assert_eq!(modulus.divide(number), (number / modulus.value, number % modulus.value));
                    }
                }
            }
        }
    }

    fn assert_round_trip(code: &Code, values: [u16; P]) -> Vec<u8> {
        let mut bytes = std::vec![0; code.length()];
        encode(code, &mut values.clone(), &mut bytes);
        let mut decoded = [0; P];
        decode(code, &bytes, &mut decoded);
        assert_eq!(decoded, values);
        bytes
    }

    #[test]
    fn values_come_back() {
        let mut random = random(2);
        for (code, modulus) in CODES {
            assert!(assert_round_trip(code, [0; P]).iter().all(|byte| *byte == 0));
            assert_round_trip(code, [modulus - 1; P]);
            for place in 0..P {
                for (value, others) in [(modulus - 1, 0), (1, 0), (0, modulus - 1)] {
                    let mut values = [others; P];
                    values[place] = value;
                    assert_round_trip(code, values);
                }
            }
            for _ in 0..50 {
                assert_round_trip(code, core::array::from_fn(|_| (random.next_u32() % u32::from(modulus)) as u16));
            }
        }
    }

    /// The draft's way to read, by recursion on lists of moduli.
    fn decode_draft(bytes: &[u8], moduli: &[u32]) -> Vec<u32> {
        if let [modulus] = moduli {
            return std::vec![bytes.iter().rev().fold(0, |number, byte| number * 256 + u32::from(*byte)) % modulus];
        }
        let (mut bytes, mut bottoms, mut carried) = (bytes, Vec::new(), Vec::new());
        for pair in moduli.chunks(2) {
            let (mut modulus, mut bottom, mut unit) = (pair.iter().product::<u32>(), 0, 1);
            while pair.len() == 2 && modulus >= 1 << 14 {
                let (byte, rest) = bytes.split_first().unwrap();
                (bottom, unit, modulus, bytes) =
                    (bottom + unit * u32::from(*byte), unit * 256, modulus.div_ceil(256), rest);
            }
            carried.push(modulus);
            bottoms.push((bottom, unit));
        }
        let tops = decode_draft(bytes, &carried);
        let mut values = Vec::new();
        for ((pair, (bottom, unit)), top) in moduli.chunks(2).zip(bottoms).zip(tops) {
            let number = bottom + unit * top;
            match pair {
                [first, second] => values.extend([number % first, number / first % second]),
                _ => values.push(number),
            }
        }
        values
    }

    #[test]
    fn any_bytes_are_read_as_the_draft_says() {
        let mut random = random(3);
        for (code, modulus) in CODES {
            let mut bytes = std::vec![0; code.length()];
            for round in 0..200 {
                match round {
                    0 => bytes.fill(0xff),
                    1..100 => random.fill_bytes(&mut bytes),
                    _ => bytes.iter_mut().for_each(|byte| *byte = (random.next_u32() as u8) | 0xf0),
                }
                let mut values = [0; P];
                decode(code, &bytes, &mut values);
                let expected = decode_draft(&bytes, &[modulus.into(); P]);
                assert!(values.iter().map(|value| u32::from(*value)).eq(expected));
                assert!(values.iter().all(|value| *value < modulus));
            }
        }
    }

    #[test]
    fn small_polynomials_come_back() {
        let mut random = random(4);
        for round in 0..20 {
            let polynomial: [i8; P] = match round {
                0..3 => [round - 1; P],
                _ => core::array::from_fn(|_| (random.next_u32() % 3) as i8 - 1),
            };
            let (mut bytes, mut decoded) = ([0; SMALL_LENGTH], [0; P]);
            encode_small(&polynomial, &mut bytes);
            decode_small(&bytes, &mut decoded);
            assert_eq!(decoded, polynomial);
        }
        let mut decoded = [0; P];
        decode_small(&[0b11_10_01_00; SMALL_LENGTH], &mut decoded);
        assert_eq!(decoded[..4], [-1, 0, 1, 2]);
    }
}
