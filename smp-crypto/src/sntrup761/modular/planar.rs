//! Coefficients of one polynomial next to each other: compilers make vector instructions of these loops.

use zeroize::{Zeroize, Zeroizing};

use super::{P, PRODUCT, Q, Q_INVERSE, SLOTS, State, Step};

/// Coefficients of the small polynomial that are done in one pass: the sum of so many products, of 2295 and 2 at most,
/// is below 2^15.
const PASS: usize = 7;

/// Adds the product of two polynomials to `sums`.
pub(super) fn multiply(polynomial: &[i16; P], small: &[i8; P], sums: &mut [i32; PRODUCT]) {
    let mut padded = Zeroizing::new([0_i16; P + 2 * (PASS - 1)]);
    padded.iter_mut().skip(PASS - 1).zip(polynomial).for_each(|(to, from)| *to = *from);
    let mut products = Zeroizing::new([0_i16; P + PASS - 1]);
    let mut sums = &mut sums[..];
    for coefficients in small.chunks(PASS) {
        let mut factors = [0; PASS];
        // Reversed: the last meets the first of a window.
        factors.iter_mut().rev().zip(coefficients).for_each(|(to, from)| *to = i16::from(*from));
        // Two loops: numbers of one size fill vectors.
        for (sum, window) in products.iter_mut().zip(padded.array_windows::<PASS>()) {
            *sum = window.iter().zip(&factors).map(|(a, b)| a.wrapping_mul(*b)).fold(0, i16::wrapping_add);
        }
        for (sum, products) in sums.iter_mut().zip(products.iter()) {
            *sum = sum.wrapping_add((*products).into());
        }
        factors.zeroize();
        sums = sums.get_mut(PASS..).unwrap_or_default();
    }
}

/// How many slots are done in one go.
const CHUNK: usize = 128;

/// f and v, and g and r.
#[derive(Zeroize)]
pub(super) struct Slots {
    f: [i16; SLOTS],
    g: [i16; SLOTS],
    /// What comes in place of g.
    next: [i16; CHUNK],
    /// The factors of a step, again and again: in an array compilers see that both factors of a product have 16 bits.
    factors: [i16; CHUNK],
    scales: [i16; CHUNK],
}

impl State for Slots {
    fn zero() -> Self {
        Self { f: [0; SLOTS], g: [0; SLOTS], next: [0; CHUNK], factors: [0; CHUNK], scales: [0; CHUNK] }
    }

    fn add(&mut self, slot: usize, f: i16, g: i16) {
        if let (Some(to_f), Some(to_g)) = (self.f.get_mut(slot), self.g.get_mut(slot)) {
            *to_f = to_f.wrapping_add(f);
            *to_g = to_g.wrapping_add(g);
        }
    }

    fn get(&self, slot: usize) -> (i16, i16) {
        let coefficient = |all: &[i16]| all.get(slot).copied().unwrap_or_default();
        (coefficient(&self.f), coefficient(&self.g))
    }

    fn step(&mut self, first: usize, slots: usize, step: &Step) {
        let f = self.f.get_mut(first..first.wrapping_add(slots)).unwrap_or_default();
        let g = self.g.get_mut(first..first.wrapping_add(slots)).unwrap_or_default();
        let exchange = |f: i16, g: i16| {
            let difference = (f ^ g) & step.swap;
            (f ^ difference, g ^ difference)
        };
        self.factors.fill(step.factor);
        self.scales.fill(step.scale);
        let (factor, scale) = (step.factor.wrapping_mul(Q_INVERSE), step.scale.wrapping_mul(Q_INVERSE));
        let Some((f0, f)) = f.split_first_mut() else { return };
        *f0 = exchange(*f0, g.first().copied().unwrap_or_default()).0;
        let mut place = 0_usize;
        for f in f.chunks_mut(CHUNK) {
            let from = g.get(place.wrapping_add(1)..).unwrap_or_default();
            for ((((f, g), to), of_f), of_g) in
                f.iter_mut().zip(from).zip(&mut self.next).zip(&self.factors).zip(&self.scales)
            {
                let (new_f, g) = exchange(*f, *g);
                *f = new_f;
                // The lower halves of the products and those of the multiples of q are the same.
                let products = high(new_f, *of_f).wrapping_add(high(g, *of_g));
                let multiple_of_f = high(new_f.wrapping_mul(factor), Q as i16);
                let multiple_of_g = high(g.wrapping_mul(scale), Q as i16);
                *to = products.wrapping_sub(multiple_of_f).wrapping_sub(multiple_of_g);
            }
            let to = g.get_mut(place..place.wrapping_add(f.len())).unwrap_or_default();
            to.iter_mut().zip(&self.next).for_each(|(to, next)| *to = *next);
            place = place.wrapping_add(CHUNK);
        }
        if let Some(g) = g.last_mut() {
            *g = 0;
        }
    }
}

/// The upper half of a product.
const fn high(a: i16, b: i16) -> i16 {
    ((a as i32).wrapping_mul(b as i32) >> 16) as i16
}
