//! Polynomials modulo 3 and x^761 − x − 1, 32 coefficients at a time: one bit says whether a coefficient is zero, another
//! one its sign.

use zeroize::{Zeroize, Zeroizing};

use super::{P, STEPS, last_slot, mask};

/// Words that hold a polynomial.
const WORDS: usize = P.div_ceil(32);

/// 32 coefficients.
#[derive(Clone, Copy, Default, Zeroize)]
struct Trits {
    /// Which are not zero.
    nonzero: u32,
    /// Which are −1.
    negative: u32,
}

impl Trits {
    /// Differences of coefficients.
    const fn minus(self, other: Self) -> Self {
        let unequal = self.nonzero ^ other.nonzero;
        Self {
            nonzero: unequal | (self.negative ^ other.negative),
            negative: (unequal ^ other.negative) & (self.negative ^ other.nonzero),
        }
    }

    /// Products with a coefficient that is the same in all places.
    const fn times(self, other: Self) -> Self {
        let nonzero = self.nonzero & other.nonzero;
        Self { nonzero, negative: (self.negative ^ other.negative) & nonzero }
    }

    /// The same with the opposite signs.
    const fn negated(self) -> Self {
        Self { nonzero: self.nonzero, negative: self.nonzero ^ self.negative }
    }

    /// Moves the coefficients one place down; the first of those that follow comes in.
    const fn down(self, following: Self) -> Self {
        Self {
            nonzero: self.nonzero >> 1 | following.nonzero << 31,
            negative: self.negative >> 1 | following.negative << 31,
        }
    }

    /// Moves the coefficients one place up; the last of those in front comes in.
    const fn up(self, front: Self) -> Self {
        Self { nonzero: self.nonzero << 1 | front.nonzero >> 31, negative: self.negative << 1 | front.negative >> 31 }
    }

    /// The first coefficient in all places.
    const fn spread(self) -> Self {
        Self { nonzero: (self.nonzero & 1).wrapping_neg(), negative: (self.negative & 1).wrapping_neg() }
    }

    /// A small coefficient in all places. 2 stands for −1.
    const fn splat(coefficient: i8) -> Self {
        let bits = coefficient as u32;
        let high = bits >> 1 & 1;
        Self { nonzero: ((bits & 1) | high).wrapping_neg(), negative: high.wrapping_neg() }
    }

    /// The coefficient in a place.
    fn coefficient(self, place: usize) -> i8 {
        let bit = |bits: u32| (bits >> place & 1) as i8;
        bit(self.nonzero).wrapping_sub(bit(self.negative).wrapping_mul(2))
    }

    /// With a small coefficient in a place where there was zero. 2 stands for −1.
    const fn with(self, place: usize, coefficient: i8) -> Self {
        let trit = Self::splat(coefficient);
        Self {
            nonzero: self.nonzero | (trit.nonzero & 1) << place,
            negative: self.negative | (trit.negative & 1) << place,
        }
    }

    /// The other, where the mask has ones.
    const fn or(self, other: Self, mask: u32) -> Self {
        Self {
            nonzero: self.nonzero ^ ((self.nonzero ^ other.nonzero) & mask),
            negative: self.negative ^ ((self.negative ^ other.negative) & mask),
        }
    }
}

/// A polynomial.
#[derive(Zeroize)]
pub(super) struct Ternary([Trits; WORDS]);

impl Drop for Ternary {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl Ternary {
    /// Takes a polynomial with small coefficients. 2 stands for −1.
    pub(super) fn new(coefficients: &[i8; P]) -> Self {
        let mut words = [Trits::default(); WORDS];
        for (word, coefficients) in words.iter_mut().zip(coefficients.chunks(32)) {
            for (place, coefficient) in coefficients.iter().enumerate() {
                *word = word.with(place, *coefficient);
            }
        }
        Self(words)
    }

    /// The coefficients, from −1 to 1.
    pub(super) fn coefficients(&self, coefficients: &mut [i8; P]) {
        for (word, coefficients) in self.0.iter().zip(coefficients.chunks_mut(32)) {
            for (place, coefficient) in coefficients.iter_mut().enumerate() {
                *coefficient = word.coefficient(place);
            }
        }
    }

    /// The product with another polynomial of small coefficients.
    pub(super) fn times(&self, other: &[i8; P]) -> Self {
        const TOP: u32 = (P as u32 - 1) % 32;
        let mut product = Self([Trits::default(); WORDS]);
        for coefficient in other.iter().rev() {
            // Horner: the product so far times x, plus the coefficient times this polynomial.
            let factor = mask(Trits::splat(*coefficient).negated());
            let mut front = Trits::default();
            for (word, of_this) in product.0.iter_mut().zip(&self.0) {
                let shifted = word.up(front);
                front = *word;
                *word = shifted.minus(of_this.times(factor));
            }
            // What went over the top comes back as x + 1. The last word of this polynomial ends below that place.
            let over = Trits { nonzero: front.nonzero >> TOP, negative: front.negative >> TOP }.spread().negated();
            let over = Trits { nonzero: over.nonzero & 3, negative: over.negative & 3 };
            let [first, .., last] = &mut product.0;
            *first = first.minus(over);
            last.nonzero &= (2 << TOP) - 1;
            last.negative &= (2 << TOP) - 1;
        }
        product
    }
}

/// Words that hold the state of the inversion.
const STATE_WORDS: usize = (STEPS + 2).div_ceil(32);

/// Finds the inverse of a polynomial of small coefficients, and tells whether there is one.
///
/// The division steps are those of Bernstein and Yang, arranged as in `super::modular::invert`: there is more about them.
pub(super) fn invert(polynomial: &[i8; P], inverse: &mut [i8; P]) -> bool {
    let mut state = Zeroizing::new([Slots::default(); STATE_WORDS]);
    let mut add = |slot: usize, f: i8, g: i8| {
        if let Some(word) = state.get_mut(slot / 32) {
            word.f = word.f.with(slot % 32, f);
            word.g = word.g.with(slot % 32, g);
        }
    };
    add(0, 1, 0);
    add(P - 1, -1, 0);
    add(P, -1, 0);
    for (slot, coefficient) in polynomial.iter().rev().enumerate() {
        add(slot, 0, *coefficient);
    }
    add(STEPS + 1, 0, 1);

    let mut delta = 1_i32;
    for remaining in (1..=STEPS).rev() {
        let first = state.first().copied().unwrap_or_default();
        let (f0, g0) = (first.f.spread(), first.g.spread());
        let swap = mask(positive(delta) & g0.nonzero);
        delta = (delta ^ ((delta ^ delta.wrapping_neg()) & swap as i32)).wrapping_add(1);
        // The product of the two does not change when they are exchanged.
        let factor = mask(f0.times(g0));
        let (start, end) = (remaining / 32, last_slot(remaining) / 32);
        if start > P / 32 {
            step(state.get_mut(..=P / 32).unwrap_or_default(), factor, swap);
            step(state.get_mut(start..=end).unwrap_or_default(), factor, swap);
        } else {
            step(state.get_mut(..=end).unwrap_or_default(), factor, swap);
        }
        if let Some(word) = state.get_mut(start) {
            let others = !(1 << (remaining % 32));
            word.f.nonzero &= others;
            word.f.negative &= others;
        }
    }
    let scale = state.first().copied().unwrap_or_default().f.spread();
    for (slot, coefficient) in inverse.iter_mut().rev().enumerate() {
        let slot = slot.wrapping_add(2);
        let word = state.get(slot / 32).copied().unwrap_or_default();
        *coefficient = word.f.times(scale).coefficient(slot % 32);
    }
    delta == 0
}

/// 32 slots.
#[derive(Clone, Copy, Default, Zeroize)]
struct Slots {
    f: Trits,
    g: Trits,
}

/// All ones if a number is positive.
const fn positive(number: i32) -> u32 {
    (number.wrapping_neg() >> 31) as u32
}

/// Exchanges f and g where the mask says so, then takes g − factor × f one place down.
#[inline(never)]
fn step(slots: &mut [Slots], factor: Trits, swap: u32) {
    let mut following = Trits::default();
    for Slots { f, g } in slots.iter_mut().rev() {
        let (kept, other) = (f.or(*g, swap), g.or(*f, swap));
        let difference = other.minus(kept.times(factor));
        *f = kept;
        *g = difference.down(following);
        following = difference;
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::super::short::random_small;
    use super::*;
    use crate::test::random;

    fn residue(number: i8) -> i8 {
        (number + 4) % 3 - 1
    }

    #[test]
    fn words_compute_modulo_3() {
        for (a, b) in (-1..=2).flat_map(|a| (-1..=2).map(move |b| (a, b))) {
            for place in 0..32 {
                let (x, y) = (Trits::default().with(place, a), Trits::splat(b));
                assert_eq!(x.coefficient(place), residue(a));
                assert_eq!(x.minus(y).coefficient(place), residue(a - b));
                assert_eq!(x.times(y).coefficient(place), residue(a * b));
                assert_eq!(x.or(y, 1 << place).coefficient(place), residue(b));
                assert_eq!(y.or(x, !(1 << place)).coefficient(place), residue(b));
                assert_eq!(x.down(x).coefficient((place + 31) % 32), residue(a));
                assert_eq!(x.up(x).coefficient((place + 1) % 32), residue(a));
            }
        }
    }

    fn naive_product(a: &[i8; P], b: &[i8; P]) -> [i8; P] {
        let mut sums = [0_i32; 2 * P];
        for (i, a) in a.iter().enumerate() {
            for (j, b) in b.iter().enumerate() {
                sums[i + j] += i32::from(*a) * i32::from(*b);
            }
        }
        for i in (P..2 * P).rev() {
            sums[i - P] += sums[i];
            sums[i - P + 1] += sums[i];
        }
        core::array::from_fn(|i| ((sums[i] + 1).rem_euclid(3) - 1) as i8)
    }

    fn product(a: &[i8; P], b: &[i8; P]) -> [i8; P] {
        let mut product = [0; P];
        Ternary::new(a).times(b).coefficients(&mut product);
        product
    }

    #[test]
    fn products_are_those_of_the_schoolbook() {
        let mut random = random(1);
        for (a, b) in [(1, 1), (-1, 1), (1, 2), (-1, 2), (2, 2)] {
            assert_eq!(product(&[a; P], &[b; P]), naive_product(&[a; P], &[b; P]));
        }
        for place in 0..P {
            let mut a = [0; P];
            a[place] = 1;
            assert_eq!(product(&a, &[-1; P]), naive_product(&a, &[-1; P]));
            assert_eq!(product(&[-1; P], &a), product(&a, &[-1; P]));
        }
        for _ in 0..20 {
            let [a, b] = [(); 2].map(|()| core::array::from_fn(|_| (random.next_u32() % 4) as i8 - 1));
            assert_eq!(product(&a, &b), naive_product(&a, &b));
        }
    }

    fn assert_inverse(polynomial: &[i8; P]) {
        let mut inverse = [0; P];
        assert!(invert(polynomial, &mut inverse));
        let mut one = [0; P];
        one[0] = 1;
        assert_eq!(naive_product(&inverse, polynomial), one);
        assert!(inverse.iter().all(|coefficient| (-1..=1).contains(coefficient)));
    }

    #[test]
    fn inverses_multiply_to_one() {
        let mut random = random(2);
        for _ in 0..30 {
            let mut polynomial = [0; P];
            random_small(&mut |bytes: &mut [u8]| random.fill_bytes(bytes), &mut polynomial);
            let mut unused = [0; P];
            if invert(&polynomial, &mut unused) {
                assert_inverse(&polynomial);
            }
        }
        for place in 0..P {
            let mut polynomial = [0; P];
            polynomial[place] = -1;
            assert_inverse(&polynomial);
        }
    }

    /// Modulo 3, x^761 − x − 1 has a factor of degree 19: its multiples have no inverse.
    #[test]
    fn multiples_of_factors_are_refused() {
        const FACTOR: [i8; 20] = [-1, -1, 0, -1, -1, -1, 1, -1, 1, -1, 0, -1, 1, 1, 1, 1, -1, 0, 1, 1];
        let mut random = random(3);
        let mut unused = [0; P];
        let mut factor = [0; P];
        factor[..20].copy_from_slice(&FACTOR);
        assert!(!invert(&factor, &mut unused));
        for _ in 0..30 {
            let mut other = [0; P];
            random_small(&mut |bytes: &mut [u8]| random.fill_bytes(bytes), &mut other);
            assert!(!invert(&product(&other, &factor), &mut unused));
        }
        assert!(!invert(&[0; P], &mut unused));
    }
}
