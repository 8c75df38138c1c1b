//! Two coefficients in a word: for processors without vector instructions, which multiply halves of registers.

use core::cell::Cell;

use zeroize::{Zeroize, Zeroizing};

use super::{P, PRODUCT, Q, Q_INVERSE, SLOTS, State, Step};

const fn pair(low: i16, high: i16) -> u32 {
    low as u16 as u32 | (high as u16 as u32) << 16
}

const fn low(pair: u32) -> i32 {
    pair as i16 as i32
}

const fn high(pair: u32) -> i32 {
    pair as i32 >> 16
}

/// Adds the product of two polynomials to `sums`.
///
/// Four coefficients are computed at a time, from the products of a word of one polynomial with the two or three words of
/// the other one, reversed, that they meet.
pub(super) fn multiply(polynomial: &[i16; P], small: &[i8; P], sums: &mut [i32; PRODUCT]) {
    /// Zeros before the reversed polynomial: its last coefficient, with the four sums before it, begins a word.
    const FRONT: usize = 5;
    const WORDS: usize = 388;
    const SMALL_WORDS: usize = 384;
    let mut reversed = Zeroizing::new([0_u32; WORDS]);
    let mut place = FRONT;
    for coefficient in polynomial.iter().rev() {
        if let Some(word) = reversed.get_mut(place / 2) {
            *word |= u32::from(*coefficient as u16) << (place % 2).wrapping_mul(16);
        }
        place = place.wrapping_add(1);
    }
    let mut factors = Zeroizing::new([0_u32; SMALL_WORDS]);
    for (word, coefficients) in factors.iter_mut().zip(small.chunks(2)) {
        let coefficient = |index: usize| i16::from(coefficients.get(index).copied().unwrap_or_default());
        *word = pair(coefficient(0), coefficient(1));
    }
    for (block, sums) in sums.chunks_mut(4).enumerate() {
        // The first word of the factors that meets one of the polynomial, and that one.
        let meeting = (P / 2 + 1).wrapping_sub(block.wrapping_mul(2)) as isize;
        let factors = factors.get(meeting.min(0).unsigned_abs()..).unwrap_or_default();
        let reversed = reversed.get(meeting.max(0).unsigned_abs()..).unwrap_or_default();
        let Some(([first, second], reversed)) = reversed.split_first_chunk() else { continue };
        let (mut first, mut second) = (*first, *second);
        let mut four = [0; 4];
        for ([even, odd], [third, fourth]) in factors.as_chunks().0.iter().zip(reversed.as_chunks().0) {
            four = meet(four, *even, [first, second, *third]);
            four = meet(four, *odd, [second, *third, *fourth]);
            (first, second) = (*third, *fourth);
        }
        sums.iter_mut().zip(four.iter().rev()).for_each(|(to, sum)| *to = *sum);
    }
}

/// Adds to four sums the products of two factors and five coefficients in a row.
#[inline(always)]
const fn meet([a, b, c, d]: [i32; 4], factors: u32, [first, second, third]: [u32; 3]) -> [i32; 4] {
    let (even, odd) = (low(factors), high(factors));
    [
        a.wrapping_add(even.wrapping_mul(low(first))).wrapping_add(odd.wrapping_mul(high(first))),
        b.wrapping_add(even.wrapping_mul(high(first))).wrapping_add(odd.wrapping_mul(low(second))),
        c.wrapping_add(even.wrapping_mul(low(second))).wrapping_add(odd.wrapping_mul(high(second))),
        d.wrapping_add(even.wrapping_mul(high(second))).wrapping_add(odd.wrapping_mul(low(third))),
    ]
}

/// f and v in the lower halves, g and r in the upper ones.
#[derive(Zeroize)]
pub(super) struct Slots([u32; SLOTS]);

impl State for Slots {
    fn zero() -> Self {
        Self([0; SLOTS])
    }

    fn add(&mut self, slot: usize, f: i16, g: i16) {
        let (old_f, old_g) = self.get(slot);
        if let Some(word) = self.0.get_mut(slot) {
            *word = pair(old_f.wrapping_add(f), old_g.wrapping_add(g));
        }
    }

    fn get(&self, slot: usize) -> (i16, i16) {
        let word = self.0.get(slot).copied().unwrap_or_default();
        (low(word) as i16, high(word) as i16)
    }

    #[inline(never)]
    fn step(&mut self, first: usize, slots: usize, step: &Step) {
        let Step { factor, scale, .. } = *step;
        let turn = u32::from(step.swap as u16) & 16;
        // What becomes of a word, but for the half of f: that stays where it is, and g goes a slot down.
        let next_g = |word: u32| {
            let product = low(word).wrapping_mul(factor.into()).wrapping_add(high(word).wrapping_mul(scale.into()));
            let multiple = (product as i16).wrapping_mul(Q_INVERSE);
            // The lower halves are the same.
            product.wrapping_sub(i32::from(multiple).wrapping_mul(Q)) as u32
        };
        let words =
            Cell::from_mut(self.0.get_mut(first..first.wrapping_add(slots)).unwrap_or_default()).as_slice_of_cells();
        let Some((start, following)) = words.split_first() else { return };
        let mut word = start.get().rotate_right(turn);
        let mut one = |to: &Cell<u32>, from: &Cell<u32>| {
            let next = from.get().rotate_right(turn);
            to.set(word & 0xffff | next_g(next) & 0xffff_0000);
            word = next;
        };
        for ([to_a, to_b], [a, b]) in words.as_chunks::<2>().0.iter().zip(following.as_chunks::<2>().0) {
            one(to_a, a);
            one(to_b, b);
        }
        if let Some(last) = words.last() {
            last.set(word & 0xffff);
        }
    }
}
