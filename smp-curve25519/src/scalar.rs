//! Numbers modulo the order of the base point, L = 2^252 + 27742317777372353535851937790883648493, as signatures have
//! them. They are public: nothing here is in constant time.

use crate::field::{limbs, low, sum};

/// L.
const ORDER: [u32; 8] = [0x5cf5_d3ed, 0x5812_631a, 0xa2f7_9cd6, 0x14de_f9de, 0, 0, 0, 0x1000_0000];

/// Positions of a number's signed digits, the lowest first.
pub(crate) const DIGITS: usize = 256;

/// A number less than L.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalar(pub(crate) [u32; 8]);

impl Scalar {
    /// Takes 32 bytes, the lowest first, if they are less than L (RFC 8032, section 5.1.7).
    pub(crate) fn from_canonical(bytes: &[u8; 32]) -> Option<Self> {
        let number = limbs(bytes);
        number.iter().rev().lt(ORDER.iter().rev()).then_some(Self(number))
    }

    /// The remainder of 64 bytes, the lowest first, modulo L.
    pub(crate) fn reduce(bytes: &[u8; 64]) -> Self {
        let mut remainder = [0; 8];
        for word in bytes.as_chunks().0.iter().rev() {
            shift_in(&mut remainder, u16::from_le_bytes(*word));
        }
        Self(remainder)
    }

    /// Signed digits for a multiplication: the number is the sum of `digit * 2^position`. A digit is 0, or odd and less
    /// than 2^(`width` - 1) either way, and is followed by at least `width` - 1 digits of 0. Widths are 2 to 8.
    pub(crate) fn digits(&self, width: u32) -> [i8; DIGITS] {
        let mut digits = [0; DIGITS];
        let mut carry = 0;
        let mut wait = 0;
        for (position, digit) in (0u32..).zip(&mut digits) {
            if wait > 0 {
                wait = u32::wrapping_sub(wait, 1);
                continue;
            }
            let window = self.bits(position, width).wrapping_add(carry);
            if window & 1 == 0 {
                // Nothing here: a carry moves on with the even number that it made.
                continue;
            }
            // Digits of more than half of the range count from its end, which is a carry into the next digit. There is none
            // out of the highest one, because the number has three bits less.
            carry = window >> width.wrapping_sub(1);
            #[expect(clippy::cast_possible_truncation, reason = "less than 2^7 either way")]
            #[expect(clippy::cast_possible_wrap, reason = "less than 2^8")]
            let value = (window as i32).wrapping_sub((carry << width) as i32) as i8;
            *digit = value;
            wait = width.wrapping_sub(1);
        }
        digits
    }

    /// Some bits of the number, from a position on. Bits above the number are 0.
    fn bits(&self, position: u32, count: u32) -> u32 {
        let limb = |index: u32| usize::try_from(index).ok().and_then(|index| self.0.get(index)).copied().unwrap_or(0);
        let index = position >> 5;
        let pair = u64::from(limb(index)) | (u64::from(limb(index.wrapping_add(1))) << 32);
        #[expect(clippy::cast_possible_truncation, reason = "a few bits are wanted")]
        let bits = (pair >> (position & 31)) as u32;
        bits & (1u32 << count).wrapping_sub(1)
    }
}

/// Replaces a number less than L by `number * 2^16 + word` modulo L.
fn shift_in(number: &mut [u32; 8], word: u16) {
    // L is 2^252 and less than 2^125 more. So the bits from 252 on of the new value, which has 269 bits, are the quotient, or
    // one more than it: then what is left is negative, though by less than 2^141. The quotient is at most 2^16.
    let [.., highest] = *number;
    let quotient = highest >> 12;
    let mut below = u32::from(word) << 16;
    let mut carry = 0i64;
    for (limb, order) in number.iter_mut().zip(&ORDER) {
        // Modulo 2^256, like all of this: what is left at the end is less.
        let shifted = (*limb << 16) | (below >> 16);
        below = *limb;
        let product = i64::from(*order).wrapping_mul(quotient.into());
        // Between -2^49 and 2^32.
        let difference = i64::from(shifted).wrapping_sub(product).wrapping_add(carry);
        *limb = low(difference);
        carry = difference >> 32;
    }
    let [.., highest] = *number;
    if highest >> 31 == 1 {
        let mut carry = 0;
        for (limb, order) in number.iter_mut().zip(&ORDER) {
            (*limb, carry) = sum(*limb, *order, carry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    type Theirs = curve25519_dalek::Scalar;

    fn bytes(number: [u32; 8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(number).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        bytes
    }

    /// `L * factor + more`, for results of up to 512 bits.
    fn near_multiple(factor: [u32; 8], more: i64) -> [u8; 64] {
        let mut sum = [0u32; 16];
        for (position, digit) in factor.into_iter().enumerate() {
            let mut carry = 0;
            for (sum, order) in sum[position..].iter_mut().zip(ORDER.into_iter().chain([0; 8])) {
                (*sum, carry) = order.carrying_mul_add(digit, *sum, carry);
            }
        }
        let mut carry = more;
        for limb in &mut sum {
            carry += i64::from(*limb);
            *limb = low(carry);
            carry >>= 32;
        }
        let mut bytes = [0; 64];
        bytes.as_chunks_mut().0.iter_mut().zip(sum).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        bytes
    }

    #[test]
    fn only_numbers_less_than_the_order_are_canonical() {
        for distance in -300..=300 {
            let near: [u8; 32] = near_multiple([1, 0, 0, 0, 0, 0, 0, 0], distance)[..32].try_into().unwrap();
            assert_eq!(Scalar::from_canonical(&near).is_some(), distance < 0, "{distance}");
        }
        let mut random = ChaCha20Rng::seed_from_u64(1);
        for round in 0..20_000 {
            // Equal to L from the highest limb down to some one.
            let mut number = ORDER;
            number.iter_mut().take(round % 9).for_each(|limb| *limb = random.next_u32());
            if round % 3 == 0 {
                number[7] = random.next_u32() >> (random.next_u32() % 8);
            }
            let number = bytes(number);
            let theirs: Option<Theirs> = Theirs::from_canonical_bytes(number).into();
            assert_eq!(Scalar::from_canonical(&number).map(|number| bytes(number.0)), theirs.map(|it| it.to_bytes()));
        }
        for number in [[0; 32], [255; 32], bytes([0, 0, 0, 0, 0, 0, 0, 0x1000_0000])] {
            assert_eq!(Scalar::from_canonical(&number).is_some(), number != [255; 32]);
        }
    }

    fn check_reduction(number: &[u8; 64]) {
        let theirs = Theirs::from_bytes_mod_order_wide(number).to_bytes();
        assert_eq!(bytes(Scalar::reduce(number).0), theirs, "{}", hex::encode(number));
    }

    #[test]
    fn remainders_are_right() {
        let mut random = ChaCha20Rng::seed_from_u64(2);
        for round in 0..50_000 {
            let mut number = [0; 64];
            random.fill_bytes(&mut number);
            match round % 4 {
                0 => number.iter_mut().for_each(|byte| *byte = [0, 255][usize::from(*byte & 1)]),
                1 => number
                    .as_chunks_mut::<4>()
                    .0
                    .iter_mut()
                    .for_each(|limb| *limb = [[0; 4], [255; 4]][usize::from(limb[0] & 1)]),
                2 => number[round % 64..].fill(0),
                _ => {}
            }
            check_reduction(&number);
        }
        // The quotient is estimated: around multiples of L the estimate is wrong.
        for _ in 0..20_000 {
            let mut factor: [u32; 8] = core::array::from_fn(|_| random.next_u32());
            factor[usize::try_from(random.next_u32() % 8).unwrap()..].fill(0);
            for distance in [-2, -1, 0, 1, 2] {
                check_reduction(&near_multiple(factor, distance));
            }
        }
        check_reduction(&[0; 64]);
        check_reduction(&[255; 64]);
    }

    /// The sum of `digit * 2^position`, in 320 bits.
    fn sum(digits: &[i8; DIGITS]) -> [u32; 10] {
        let mut sum = [0u32; 10];
        for digit in digits.iter().rev() {
            let mut carry = i64::from(*digit);
            for limb in &mut sum {
                carry += 2 * i64::from(*limb);
                *limb = low(carry);
                carry >>= 32;
            }
        }
        sum
    }

    fn check_digits(scalar: &Scalar) {
        for width in 2..=8 {
            let digits = scalar.digits(width);
            let mut expected = [0; 10];
            expected[..8].copy_from_slice(&scalar.0);
            assert_eq!(sum(&digits), expected, "{:08x?}, width {width}", scalar.0);
            let positions: Vec<usize> = (0..DIGITS).filter(|position| digits[*position] != 0).collect();
            assert!(positions.iter().all(|position| digits[*position] % 2 != 0));
            assert!(digits.iter().all(|digit| u32::from(digit.unsigned_abs()) < 1 << (width - 1)));
            assert!(positions.is_sorted_by(|a, b| b - a >= usize::try_from(width).unwrap()));
        }
    }

    #[test]
    fn digits_make_up_the_number() {
        let mut random = ChaCha20Rng::seed_from_u64(3);
        for round in 0..20_000 {
            let mut number: [u32; 8] = core::array::from_fn(|_| match round % 3 {
                0 => random.next_u32(),
                1 => [0, u32::MAX][random.next_u32() as usize % 2],
                _ => [0, 1, 0x8000_0000, 0x7fff_ffff, u32::MAX][random.next_u32() as usize % 5],
            });
            number[7] &= 0x0fff_ffff;
            check_digits(&Scalar(number));
        }
        for small in 0..600 {
            check_digits(&Scalar([small, 0, 0, 0, 0, 0, 0, 0]));
            let near = near_multiple([1, 0, 0, 0, 0, 0, 0, 0], -1 - i64::from(small));
            check_digits(&Scalar::from_canonical(near[..32].try_into().unwrap()).unwrap());
        }
    }
}
