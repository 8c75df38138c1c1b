//! Polynomials modulo 4591 and x^761 − x − 1.

use core::cell::Cell;

use zeroize::Zeroizing;

use super::{P, Q, STEPS, last_slot};

/// 1/q modulo 2^16.
const Q_INVERSE: i16 = 15_631;

/// The residue of a number between ±2^24 that is the least in absolute value.
const fn reduce(number: i32) -> i16 {
    // The estimate of the quotient is off by one at most.
    let quotient = (number as i64).wrapping_mul(935_519).wrapping_add(1 << 31) >> 32;
    let rest = number.wrapping_sub((quotient as i32).wrapping_mul(Q));
    let above = (Q / 2).wrapping_sub(rest) >> 31;
    let below = rest.wrapping_add(Q / 2) >> 31;
    rest.wrapping_sub(Q & above).wrapping_add(Q & below) as i16
}

/// A number divided by 2^16, modulo q (Montgomery). Below 2^15 × q in absolute value, it gives at most q/2 more than its
/// 2^16th part.
const fn montgomery(number: i32) -> i16 {
    let multiple = (number as i16).wrapping_mul(Q_INVERSE);
    (number.wrapping_sub((multiple as i32).wrapping_mul(Q)) >> 16) as i16
}

/// Sets `product` to that of a polynomial and one with coefficients from −2 to 2, reduced.
pub(super) fn multiply(polynomial: &[i16; P], small: &[i8; P], product: &mut [i16; P]) {
    const MARGIN: usize = 3;
    let mut padded = Zeroizing::new([0_i16; P + 2 * MARGIN]);
    padded.iter_mut().skip(MARGIN).zip(polynomial).for_each(|(to, from)| *to = *from);
    let mut sums = Zeroizing::new([0_i32; 2 * P + MARGIN]);
    for (place, factors) in small.chunks(4).enumerate() {
        let factor = |index: usize| i16::from(factors.get(index).copied().unwrap_or_default());
        let (a, b, c, d) = (factor(0), factor(1), factor(2), factor(3));
        let sums = sums.get_mut(place.wrapping_mul(4)..).unwrap_or_default();
        for (sum, window) in sums.iter_mut().zip(padded.windows(4)) {
            if let [k, l, m, n] = window {
                // Below 2^15: four times twice 2295.
                let products = n.wrapping_mul(a).wrapping_add(m.wrapping_mul(b));
                let products = products.wrapping_add(l.wrapping_mul(c)).wrapping_add(k.wrapping_mul(d));
                *sum = sum.wrapping_add(products.into());
            }
        }
    }
    // x^761 is x + 1.
    let (low, high) = sums.split_at(P);
    let high_again = core::iter::once(&0).chain(high);
    for (((to, low), high), again) in product.iter_mut().zip(low).zip(high).zip(high_again) {
        *to = reduce(low.wrapping_add(*high).wrapping_add(*again));
    }
}

/// Slots that hold the state of the inversion.
const STATE: usize = STEPS + 2;

/// Sets `inverse` to the inverse of three times a polynomial of small coefficients, which must not be zero.
///
/// The division steps are those of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion"). They
/// begin with f, the reversed x^761 − x − 1, and g, the reversed polynomial, and with v = 0 and r, the numerators of their
/// representations as multiples of the polynomial. Each step replaces g by (f₀g − g₀f)/x, and r likewise, after an
/// exchange of f and g, v and r that a counter and g₀ decide on. v and r get negative powers of x, one more in each step,
/// and at the end v/f₀ is the reversed inverse.
///
/// All this happens in two arrays: the lower slots hold f and g, the upper ones v and r, whose coefficient of x^0 is in
/// slot `STEPS + 1`. As one end comes down by a slot each step, so does what is needed of the other; where they meet, one
/// pass does both. What is out of reach for the remaining steps, from the slots asked for at the end, is left alone.
/// Which slots these are is known from the number of the step.
///
/// A step multiplies g and r by the same constant (Montgomery's), which makes no difference to v/f₀.
pub(super) fn invert_tripled(polynomial: &[i8; P], inverse: &mut [i16; P]) {
    /// A third modulo q.
    const THIRD: i16 = -1530;
    let mut f = Zeroizing::new([0_i16; STATE]);
    let mut g = Zeroizing::new([0_i16; STATE]);
    for (slot, coefficient) in [(0, 1), (P - 1, -1), (P, -1)] {
        f.iter_mut().skip(slot).take(1).for_each(|f| *f = coefficient);
    }
    g.iter_mut().zip(polynomial.iter().rev()).for_each(|(to, from)| *to = (*from).into());
    g.iter_mut().skip(STEPS + 1).for_each(|r| *r = THIRD);

    let mut delta = 1_i32;
    for remaining in (1..=STEPS).rev() {
        let (f0, g0) = (f.first().copied().unwrap_or_default(), g.first().copied().unwrap_or_default());
        // Less than q in absolute value: a multiple of q is zero.
        let nonzero = i32::from(g0) | i32::from(g0).wrapping_neg();
        let swap = (delta.wrapping_neg() & nonzero) >> 31;
        delta = (delta ^ ((delta ^ delta.wrapping_neg()) & swap)).wrapping_add(1);
        let step = Step { f0, g0, swap: swap as i16 };
        let end = last_slot(remaining);
        if remaining > P {
            step.run(&mut f[..], &mut g[..], 0, P);
            step.run(&mut f[..], &mut g[..], remaining, end);
        } else {
            step.run(&mut f[..], &mut g[..], 0, end);
        }
        // v begins a slot higher.
        f.iter_mut().skip(remaining).take(1).for_each(|f| *f = 0);
    }
    let scale = reciprocal(f.first().copied().unwrap_or_default());
    for (to, v) in inverse.iter_mut().rev().zip(f.iter().skip(2)) {
        *to = reduce(i32::from(*v).wrapping_mul(scale.into()));
    }
}

/// One division step.
struct Step {
    f0: i16,
    g0: i16,
    /// All ones if f and g are exchanged.
    swap: i16,
}

impl Step {
    fn run(&self, f: &mut [i16], g: &mut [i16], first: usize, last: usize) {
        let f = f.get_mut(first..=last).unwrap_or_default();
        let g = Cell::from_mut(g.get_mut(first..=last).unwrap_or_default()).as_slice_of_cells();
        let choose = |f: i16, g: i16| f ^ ((f ^ g) & self.swap);
        // With f and g exchanged the result changes its sign only, which is r's as well.
        let (of_f, of_g) = (i32::from(self.g0).wrapping_neg(), i32::from(self.f0));
        if let (Some(f), Some(g)) = (f.first_mut(), g.first()) {
            *f = choose(*f, g.get());
        }
        let following = g.get(1..).unwrap_or_default();
        for ((f, to), g) in f.iter_mut().skip(1).zip(g).zip(following) {
            let (this, other) = (*f, g.get());
            *f = choose(this, other);
            to.set(montgomery(of_f.wrapping_mul(this.into()).wrapping_add(of_g.wrapping_mul(other.into()))));
        }
        if let Some(g) = g.last() {
            g.set(0);
        }
    }
}

/// The reciprocal modulo q, by Fermat's theorem.
fn reciprocal(number: i16) -> i16 {
    let times = |a: i16, b: i16| reduce(i32::from(a).wrapping_mul(b.into()));
    let mut power = 1;
    for bit in (0..13).rev() {
        power = times(power, power);
        if (Q - 2) >> bit & 1 == 1 {
            power = times(power, number);
        }
    }
    power
}

/// Sets a polynomial to the residues of three times another one modulo q, modulo 3.
pub(super) fn tripled_modulo_3(polynomial: &[i16; P], residues: &mut [i8; P]) {
    for (to, from) in residues.iter_mut().zip(polynomial) {
        *to = modulo_3(reduce(i32::from(*from).wrapping_mul(3)));
    }
}

/// The residue of a number between ±2^14 that is the least in absolute value.
const fn modulo_3(number: i16) -> i8 {
    let third = (number as i32).wrapping_mul(10_923).wrapping_add(1 << 14) >> 15;
    (number as i32).wrapping_sub(third.wrapping_mul(3)) as i8
}

/// Coefficients as numbers from 0 to q − 1, to be written.
pub(super) fn to_numbers(polynomial: &[i16; P], numbers: &mut [u16; P]) {
    numbers.iter_mut().zip(polynomial).for_each(|(to, from)| *to = from.wrapping_add(Q as i16 / 2) as u16);
}

/// What [`to_numbers`] was given.
pub(super) fn from_numbers(numbers: &[u16; P], polynomial: &mut [i16; P]) {
    polynomial.iter_mut().zip(numbers).for_each(|(to, from)| *to = (*from as i16).wrapping_sub(Q as i16 / 2));
}

/// The thirds of coefficients that are rounded to multiples of 3, as numbers from 0 to (q − 1)/3, to be written.
pub(super) fn to_rounded_numbers(polynomial: &[i16; P], numbers: &mut [u16; P]) {
    for (to, from) in numbers.iter_mut().zip(polynomial) {
        let rounded = from.wrapping_sub(modulo_3(*from).into()).wrapping_add(Q as i16 / 2);
        *to = (i32::from(rounded).wrapping_mul(10_923) >> 15) as u16;
    }
}

/// The rounded coefficients that [`to_rounded_numbers`] wrote.
pub(super) fn from_rounded_numbers(numbers: &[u16; P], polynomial: &mut [i16; P]) {
    for (to, from) in polynomial.iter_mut().zip(numbers) {
        *to = (*from as i16).wrapping_mul(3).wrapping_sub(Q as i16 / 2);
    }
}
