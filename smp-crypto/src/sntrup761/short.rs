//! Random small polynomials.

use zeroize::Zeroizing;

use super::{P, WEIGHT};

/// Where random bytes come from. Generic callers hand over a closure, so that nothing here is compiled twice.
pub(super) type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Draws 32-bit numbers, least significant byte first.
fn draw(random: Random<'_>, numbers: &mut [u32; P]) {
    let mut bytes = Zeroizing::new([0; 256]);
    for numbers in numbers.chunks_mut(64) {
        let bytes = bytes.get_mut(..numbers.len().wrapping_mul(4)).unwrap_or_default();
        random(bytes);
        let (words, _) = bytes.as_chunks();
        numbers.iter_mut().zip(words).for_each(|(number, word)| *number = u32::from_le_bytes(*word));
    }
}

/// A polynomial with random coefficients from −1 to 1.
pub(super) fn random_small(random: Random<'_>, polynomial: &mut [i8; P]) {
    let mut numbers = Zeroizing::new([0; P]);
    draw(random, &mut numbers);
    for (coefficient, number) in polynomial.iter_mut().zip(numbers.iter()) {
        *coefficient = ((number & 0x3fff_ffff).wrapping_mul(3) >> 30).wrapping_sub(1) as i8;
    }
}

/// A polynomial with exactly [`WEIGHT`] coefficients that are −1 or 1, at random places.
pub(super) fn random_short(random: Random<'_>, polynomial: &mut [i8; P]) {
    let mut numbers = Zeroizing::new([0; P]);
    draw(random, &mut numbers);
    // The two lowest bits are the coefficient plus one; sorting by the others shuffles them.
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = if index < WEIGHT { *number & !1 } else { *number & !3 | 1 };
    }
    sort(&mut numbers[..]);
    for (coefficient, number) in polynomial.iter_mut().zip(numbers.iter()) {
        *coefficient = (number & 3).wrapping_sub(1) as i8;
    }
}

/// Sorts with Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M): which numbers are
/// compared depends on how many there are only.
fn sort(numbers: &mut [u32]) {
    let top = numbers.len().next_power_of_two() >> 1;
    let mut run = top;
    while run > 0 {
        let mut reach = top;
        let (mut start, mut distance) = (0, run);
        loop {
            exchange_runs(numbers.get_mut(start..).unwrap_or_default(), run, distance);
            if reach == run {
                break;
            }
            distance = reach.wrapping_sub(run);
            reach >>= 1;
            start = run;
        }
        run >>= 1;
    }
}

/// Of every second run of numbers, compares each with the one at a distance, and exchanges the two if the smaller is
/// behind. The distance is at least the length of a run.
fn exchange_runs(mut numbers: &mut [u32], run: usize, distance: usize) {
    while let Some((lower, upper)) = numbers.split_at_mut_checked(distance) {
        for (low, high) in lower.iter_mut().take(run).zip(upper) {
            let (smaller, larger) = (*low.min(high), *low.max(high));
            (*low, *high) = (smaller, larger);
        }
        numbers = numbers.get_mut(run.wrapping_mul(2)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use rand_core::Rng;

    use super::*;
    use crate::test::random;

    #[test]
    fn numbers_are_sorted() {
        let mut random = random(1);
        for length in (0..=130).chain([511, 512, 513, P]) {
            for bits in [1, 2, 8, 32] {
                let mut numbers: Vec<u32> = (0..length).map(|_| random.next_u32() >> (32 - bits)).collect();
                let mut expected = numbers.clone();
                expected.sort_unstable();
                sort(&mut numbers);
                assert_eq!(numbers, expected);
            }
        }
        for ones in 0..=P {
            let mut numbers: Vec<u32> = (0..P).map(|index| u32::from(index < ones)).collect();
            sort(&mut numbers);
            assert!(numbers.is_sorted());
        }
    }

    #[test]
    fn polynomials_are_what_the_numbers_say() {
        let mut small = [0; P];
        // The coefficients change at a third and two thirds of 2^30; the two bits above do not matter.
        let numbers = [0, 0x1555_5555, 0x1555_5556, 0x2aaa_aaaa, 0x2aaa_aaab, 0x3fff_ffff, 0xc000_0000, u32::MAX];
        let mut bytes = numbers.iter().flat_map(|number: &u32| number.to_le_bytes()).cycle();
        random_small(&mut |to| to.fill_with(|| bytes.next().unwrap()), &mut small);
        assert_eq!(small[..8], [-1, -1, 0, 0, 1, 1, -1, 1]);

        let mut random = random(2);
        for _ in 0..100 {
            random_short(&mut |bytes| random.fill_bytes(bytes), &mut small);
            assert!(small.iter().all(|coefficient| (-1..=1).contains(coefficient)));
            assert_eq!(small.iter().filter(|coefficient| **coefficient != 0).count(), WEIGHT);
        }
        // All numbers the same: the coefficients are sorted.
        random_short(&mut |bytes| bytes.fill(0xff), &mut small);
        assert!(small.iter().filter(|coefficient| **coefficient != 0).count() == WEIGHT && small.is_sorted());
    }
}
