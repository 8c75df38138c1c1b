//! Polynomials modulo 4591 and x^761 − x − 1.

use zeroize::{Zeroize, Zeroizing};

use super::{P, Q, STEPS, last_slot};

// Each arrangement is compiled for the tests of both.
#[cfg(any(test, target_pointer_width = "32"))]
mod packed;
#[cfg(any(test, not(target_pointer_width = "32")))]
mod planar;

#[cfg(target_pointer_width = "32")]
use packed as arrangement;
#[cfg(not(target_pointer_width = "32"))]
use planar as arrangement;

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

/// Sets `product` to that of a polynomial and one with coefficients from −2 to 2, reduced.
pub(super) fn multiply(polynomial: &[i16; P], small: &[i8; P], product: &mut [i16; P]) {
    let mut sums = Zeroizing::new([0; PRODUCT]);
    arrangement::multiply(polynomial, small, &mut sums);
    fold(&sums, product);
}

/// Room for the coefficients of a product before it is reduced.
const PRODUCT: usize = 2 * P + 2;

/// Reduces a product: x^761 is x + 1.
fn fold(sums: &[i32; PRODUCT], product: &mut [i16; P]) {
    let (low, high) = sums.split_at(P);
    let high_again = core::iter::once(&0).chain(high);
    for (((to, low), high), again) in product.iter_mut().zip(low).zip(high).zip(high_again) {
        *to = reduce(low.wrapping_add(*high).wrapping_add(*again));
    }
}

/// Slots that hold the state of an inversion.
const SLOTS: usize = STEPS + 3;

/// The state of an inversion.
trait State: Zeroize {
    /// All slots are zero.
    fn zero() -> Self;
    /// Adds to the two coefficients in a slot.
    fn add(&mut self, slot: usize, f: i16, g: i16);
    /// The two coefficients in a slot.
    fn get(&self, slot: usize) -> (i16, i16);
    /// Does a step for these slots, which are an odd number, so that all but the first can be done in twos.
    fn step(&mut self, first: usize, slots: usize, step: &Step);
}

/// A division step: an exchange, or none, and then (scale × g − factor × f)/x in place of g.
struct Step {
    /// All ones if f and g are exchanged.
    swap: i16,
    /// The factor of the new f, negated.
    factor: i16,
    /// That of the new g.
    scale: i16,
}

/// Sets `inverse` to the inverse of three times a polynomial of small coefficients, which must not be zero.
///
/// The division steps are those of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion"). They
/// begin with f, the reversed x^761 − x − 1, and g, the reversed polynomial, and with v = 0 and r, the numerators of their
/// representations as multiples of the polynomial. Each step replaces g by (f₀g − g₀f)/x, and r likewise, after an
/// exchange of f and g, v and r that a counter and g₀ decide on. v and r get negative powers of x, one more in each step,
/// and at the end v/f₀ is the reversed inverse.
///
/// All this happens in slots for two coefficients: the lower slots hold f and g, the upper ones v and r, whose coefficient of x^0 is in
/// slot `STEPS + 1`. As one end comes down by a slot each step, so does what is needed of the other; where they meet, one
/// pass does both. What is out of reach for the remaining steps, from the slots asked for at the end, is left alone.
/// Which slots these are is known from the number of the step.
///
/// A step multiplies g and r by the same constant (Montgomery's), which makes no difference to v/f₀. Coefficients stay
/// below 2600 in absolute value.
pub(super) fn invert_tripled(polynomial: &[i8; P], inverse: &mut [i16; P]) {
    invert_tripled_in::<arrangement::Slots>(polynomial, inverse);
}

fn invert_tripled_in<S: State>(polynomial: &[i8; P], inverse: &mut [i16; P]) {
    /// A third modulo q.
    const THIRD: i16 = -1530;
    let mut state = Zeroizing::new(S::zero());
    state.add(0, 1, 0);
    state.add(P - 1, -1, 0);
    state.add(P, -1, 0);
    for (slot, coefficient) in polynomial.iter().rev().enumerate() {
        state.add(slot, 0, (*coefficient).into());
    }
    state.add(STEPS + 1, 0, THIRD);

    let mut delta = 1_i32;
    for remaining in (1..=STEPS).rev() {
        let (f0, g0) = state.get(0);
        // Less than q in absolute value: a multiple of q is zero.
        let nonzero = i32::from(g0 | g0.wrapping_neg());
        let mask = (delta.wrapping_neg() & nonzero) >> 31;
        delta = (delta ^ ((delta ^ delta.wrapping_neg()) & mask)).wrapping_add(1);
        let swap = mask as i16;
        let difference = (f0 ^ g0) & swap;
        let step = Step { swap, factor: (g0 ^ difference).wrapping_neg(), scale: f0 ^ difference };
        let end = last_slot(remaining);
        let odd = |slots: usize| slots | 1;
        if remaining > P {
            state.step(0, odd(P + 1), &step);
            state.step(remaining, odd(end.wrapping_sub(remaining).wrapping_add(1)), &step);
        } else {
            state.step(0, odd(end.wrapping_add(1)), &step);
        }
        // v begins a slot higher than r.
        let (f, _) = state.get(remaining);
        state.add(remaining, f.wrapping_neg(), 0);
    }
    let scale = reciprocal(state.get(0).0);
    for (slot, to) in inverse.iter_mut().rev().enumerate() {
        let (v, _) = state.get(slot.wrapping_add(2));
        *to = reduce(i32::from(v).wrapping_mul(scale.into()));
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
