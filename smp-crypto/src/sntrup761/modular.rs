//! Polynomials modulo 4591 and x^761 − x − 1.

use zeroize::{Zeroize, Zeroizing};

use super::{P, Q, STEPS, last_slot, mask};

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

/// Sets `inverse` to the inverse of three times a polynomial with coefficients from −1 to 1, which must not be zero.
///
/// The division steps are those of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion"). They
/// begin with f, the reversed x^761 − x − 1, and g, the reversed polynomial, and with v = 0 and r = 1/3, by which these
/// are multiples of the polynomial. Each step replaces g by (f₀g − g₀f)/x, and r likewise, after an exchange of f with g
/// and v with r that a counter and g₀ decide on. So v and r get negative powers of x, one more in each step. At the end
/// g is zero, f a constant, and v/f₀ the reversed inverse.
///
/// All this happens in slots for two coefficients: the lower slots hold f and g, from x^0 on; the upper ones v and r, with
/// x^0 in slot `STEPS + 1`. Each step v and r begin a slot lower, and f and g are needed to a slot lower; where they meet,
/// one pass does both. Nor are the slots needed from which the steps that remain do not reach the result. Which slots
/// these are depends on the number of the step only.
///
/// A step multiplies g and r by the same constant (1/2^16, Montgomery's), which makes no difference to v/f₀. Coefficients
/// stay below 5000 in absolute value: two products of a reduced number and one below 5000, divided by 2^16, with q/2 added
/// to each.
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
        // Reduced, only zero is a multiple of q.
        let (f0, g0) = (reduce(f0.into()), reduce(g0.into()));
        let nonzero = i32::from(g0 | g0.wrapping_neg());
        let swap = mask((delta.wrapping_neg() & nonzero) >> 31);
        delta = (delta ^ ((delta ^ delta.wrapping_neg()) & swap)).wrapping_add(1);
        let swap = swap as i16;
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

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::super::short::{random_short, random_small};
    use super::*;
    use crate::test::random;

    #[test]
    fn numbers_are_reduced() {
        for number in -(1 << 24)..=1 << 24 {
            let reduced = i32::from(reduce(number));
            assert!(reduced.abs() <= Q / 2 && (number - reduced) % Q == 0);
        }
        for number in -(1 << 14)..1 << 14 {
            let residue = i16::from(modulo_3(number));
            assert!(residue.abs() <= 1 && (number - residue) % 3 == 0);
        }
    }

    #[test]
    fn reciprocals_multiply_to_one() {
        for number in 1..Q as i16 {
            assert_eq!(reduce(i32::from(number) * i32::from(reciprocal(number))), 1);
        }
    }

    /// All coefficients there are.
    fn all_coefficients() -> impl Iterator<Item = [i16; P]> {
        let all: std::vec::Vec<i16> = (-2295..=2295).chain(std::iter::repeat_n(0, P)).collect();
        all.chunks_exact(P).map(|chunk| chunk.try_into().unwrap()).collect::<std::vec::Vec<_>>().into_iter()
    }

    #[test]
    fn coefficients_are_rounded_to_multiples_of_3() {
        let mut seen = 0;
        for polynomial in all_coefficients() {
            let (mut numbers, mut rounded) = ([0; P], [0; P]);
            to_rounded_numbers(&polynomial, &mut numbers);
            from_rounded_numbers(&numbers, &mut rounded);
            for ((number, from), to) in numbers.iter().zip(polynomial).zip(rounded) {
                assert!(*number <= 1530 && (from - to).abs() <= 1 && to % 3 == 0);
                seen += 1;
            }
            let (mut numbers, mut again) = ([0; P], [0; P]);
            to_numbers(&polynomial, &mut numbers);
            assert!(numbers.iter().all(|number| *number < 4591));
            from_numbers(&numbers, &mut again);
            assert_eq!(again, polynomial);
        }
        assert!(seen >= 4591);
    }

    #[test]
    fn triples_are_reduced_modulo_q_and_then_3() {
        for polynomial in all_coefficients() {
            let mut residues = [0; P];
            tripled_modulo_3(&polynomial, &mut residues);
            for (residue, coefficient) in residues.iter().zip(polynomial) {
                let tripled = (i32::from(coefficient) * 3 + Q / 2).rem_euclid(Q) - Q / 2;
                assert!((-1..=1).contains(residue) && (tripled - i32::from(*residue)) % 3 == 0);
            }
        }
    }

    fn naive_product(a: &[i16; P], b: &[i8; P]) -> [i16; P] {
        let mut sums = [0_i64; 2 * P];
        for (i, a) in a.iter().enumerate() {
            for (j, b) in b.iter().enumerate() {
                sums[i + j] += i64::from(*a) * i64::from(*b);
            }
        }
        for i in (P..2 * P).rev() {
            sums[i - P] += sums[i];
            sums[i - P + 1] += sums[i];
        }
        core::array::from_fn(|i| ((sums[i] + 2295).rem_euclid(4591) - 2295) as i16)
    }

    fn assert_products(a: &[i16; P], b: &[i8; P]) {
        let expected = naive_product(a, b);
        for multiply in [packed::multiply, planar::multiply] {
            let (mut sums, mut product) = ([0; PRODUCT], [0; P]);
            multiply(a, b, &mut sums);
            fold(&sums, &mut product);
            assert_eq!(product, expected);
        }
    }

    #[test]
    fn products_are_those_of_the_schoolbook() {
        let mut random = random(1);
        for coefficient in [-2295, 2295] {
            for small in [-2, -1, 1, 2] {
                assert_products(&[coefficient; P], &[small; P]);
            }
        }
        for place in 0..P {
            let (mut a, mut b) = ([0; P], [0; P]);
            (a[place], b[P - 1 - place]) = (2295, -1);
            assert_products(&a, &[1; P]);
            assert_products(&[1; P], &b);
        }
        for _ in 0..20 {
            let a = core::array::from_fn(|_| (random.next_u32() % 4591) as i16 - 2295);
            let b = core::array::from_fn(|_| (random.next_u32() % 4) as i8 - 1);
            assert_products(&a, &b);
        }
    }

    /// A planar state that shows multiples of q as other multiples of q.
    #[derive(Zeroize)]
    struct Unreduced(planar::Slots);

    impl State for Unreduced {
        fn zero() -> Self {
            Self(State::zero())
        }

        fn add(&mut self, slot: usize, f: i16, g: i16) {
            self.0.add(slot, f, g);
        }

        fn get(&self, slot: usize) -> (i16, i16) {
            let (f, g) = self.0.get(slot);
            (f, if g % Q as i16 == 0 { Q as i16 - g } else { g })
        }

        fn step(&mut self, first: usize, slots: usize, step: &Step) {
            self.0.step(first, slots, step);
        }
    }

    fn assert_inverse(polynomial: &[i8; P]) {
        for invert in [
            invert_tripled_in::<packed::Slots>,
            invert_tripled_in::<planar::Slots>,
            invert_tripled_in::<Unreduced>,
            invert_tripled,
        ] {
            let mut inverse = [0; P];
            invert(polynomial, &mut inverse);
            let product = naive_product(&inverse, polynomial);
            let mut third = [0; P];
            third[0] = -1530;
            assert_eq!(product, third);
        }
    }

    #[test]
    fn inverses_multiply_to_one() {
        let mut random = random(2);
        let mut fill = |bytes: &mut [u8]| random.fill_bytes(bytes);
        for _ in 0..8 {
            let mut polynomial = [0; P];
            random_short(&mut fill, &mut polynomial);
            assert_inverse(&polynomial);
            random_small(&mut fill, &mut polynomial);
            assert_inverse(&polynomial);
        }
    }

    /// Long runs of zeros at either end and inside take the counter far from zero.
    #[test]
    fn sparse_polynomials_have_inverses() {
        for place in [0, 1, 2, 3, 30, 379, 380, 381, 700, 759, 760] {
            let mut polynomial = [0; P];
            polynomial[place] = -1;
            assert_inverse(&polynomial);
            polynomial[P - 1] = 1;
            assert_inverse(&polynomial);
            polynomial[0] = 1;
            assert_inverse(&polynomial);
        }
        assert_inverse(&[1; P]);
        assert_inverse(&[-1; P]);
        // All of the weight at one end.
        assert_inverse(&core::array::from_fn(|index| i8::from(index < 286)));
        assert_inverse(&core::array::from_fn(|index| -i8::from(index >= P - 286)));
    }
}
