use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::vec::Vec;

use super::*;

/// A number of 256 bits, in two halves, the lower first, for arithmetic by other means: bit by bit, and reduced after each.
type Number = (u128, u128);

const P: Number = (u128::MAX - 18, u128::MAX >> 1);

fn subtract(a: Number, b: Number) -> Number {
    let (low, borrow) = a.0.overflowing_sub(b.0);
    (low, a.1 - b.1 - u128::from(borrow))
}

/// The remainder modulo p.
fn remainder(mut a: Number) -> Number {
    while (a.1, a.0) >= (P.1, P.0) {
        a = subtract(a, P);
    }
    a
}

/// The sum of two remainders, which is one.
fn add(a: Number, b: Number) -> Number {
    let (low, carry) = a.0.overflowing_add(b.0);
    remainder((low, a.1 + b.1 + u128::from(carry)))
}

/// The product of two remainders.
fn multiply(a: Number, b: Number) -> Number {
    let mut product = (0, 0);
    for bit in (0..256).rev() {
        product = add(product, product);
        let half = if bit < 128 { b.0 } else { b.1 };
        if (half >> (bit % 128)) & 1 == 1 {
            product = add(product, a);
        }
    }
    product
}

/// What an element stands for, whatever its limbs.
fn value(element: &Element) -> Number {
    let half = |limbs: &[u32]| limbs.iter().rev().fold(0, |number, limb| (number << 32) | u128::from(*limb));
    remainder((half(&element.0[..4]), half(&element.0[4..])))
}

fn assert_same(element: &Element, expected: Number, what: &str, inputs: &[&Element]) {
    let inputs: Vec<_> = inputs.iter().map(|input| input.0).collect();
    assert_eq!(value(element), expected, "{what} of {inputs:08x?}");
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&expected.0.to_le_bytes());
    bytes[16..].copy_from_slice(&expected.1.to_le_bytes());
    assert_eq!(element.to_bytes(), bytes, "bytes of {what} of {inputs:08x?}");
}

/// All operations that take one value.
fn check(a: &Element) {
    let number = value(a);
    assert_same(a, number, "the number", &[a]);
    assert_same(&a.square(), multiply(number, number), "square", &[a]);
    assert_same(&a.negate(), remainder(subtract(P, number)), "negation", &[a]);
    assert_eq!(a.is_zero(), number == (0, 0));
    assert_eq!(a.is_odd(), number.0 & 1 == 1);
}

/// All operations that take two values.
fn check_pair(a: &Element, b: &Element) {
    let (x, y) = (value(a), value(b));
    assert_same(&a.add(b), add(x, y), "sum", &[a, b]);
    assert_same(&a.sub(b), add(x, remainder(subtract(P, y))), "difference", &[a, b]);
    assert_same(&a.mul(b), multiply(x, y), "product", &[a, b]);
    for factor in [0, 1, 2, 121_665, (1 << 24) - 1] {
        let expected = add(multiply(x, (u128::from(factor), 0)), y);
        assert_same(&a.mul_small_add(factor, b), expected, "small product and sum", &[a, b]);
    }
}

/// Limbs that carries like.
const LIMBS: [u32; 11] = [0, 1, 2, 18, 19, 38, 0x7fff_ffff, 0x8000_0000, 0xffff_ffda, 0xffff_fffe, 0xffff_ffff];

/// Small numbers, and those around 2^255, p, 2p, 2^256 and the middle.
fn edges() -> Vec<Element> {
    let mut edges = Vec::new();
    let around = [[0; 8], [0, 0, 0, 0, 0, 0, 0, 0x8000_0000], [u32::MAX; 8], [0, 0, 0, 0, 0, 0, 0, 0x4000_0000]];
    for center in around {
        for distance in 0..=80u32 {
            for direction in [false, true] {
                let mut limbs = center;
                let mut carry = i64::from(distance) * if direction { 1 } else { -1 };
                for limb in &mut limbs {
                    carry += i64::from(*limb);
                    *limb = low(carry);
                    carry >>= 32;
                }
                edges.push(Element(limbs));
            }
        }
    }
    // One limb, or all but one, at an extreme.
    for position in 0..8 {
        for limb in LIMBS {
            for rest in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let mut limbs = [rest; 8];
                limbs[position] = limb;
                edges.push(Element(limbs));
            }
        }
    }
    edges
}

/// Limbs that are extremes more often than not.
fn random_element(random: &mut ChaCha20Rng) -> Element {
    let style = random.next_u32() % 4;
    Element(core::array::from_fn(|_| match style {
        0 => random.next_u32(),
        1 => LIMBS[random.next_u32() as usize % LIMBS.len()],
        2 => [0, u32::MAX][random.next_u32() as usize % 2],
        _ if random.next_u32().is_multiple_of(2) => u32::MAX - random.next_u32() % 3,
        _ => random.next_u32() >> (random.next_u32() % 32),
    }))
}

#[test]
fn every_operation_is_right_at_the_edges() {
    let edges = edges();
    edges.iter().for_each(check);
    // Each with a few others here: all pairs take a minute.
    for (index, a) in edges.iter().enumerate() {
        let others = edges.iter().cycle().skip(index * 7).step_by(97);
        others.take(11).for_each(|b| check_pair(a, b));
        check_pair(a, a);
    }
}

#[test]
#[ignore = "a minute"]
fn every_operation_is_right_for_all_pairs_of_edges() {
    let edges = edges();
    edges.iter().for_each(|a| edges.iter().for_each(|b| check_pair(a, b)));
}

fn random_values(count: u32, seed: u64) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..count {
        let [a, b] = [(); 2].map(|()| random_element(&mut random));
        check(&a);
        check_pair(&a, &b);
    }
}

#[test]
fn every_operation_is_right_for_random_values() {
    random_values(20_000, 1);
}

#[test]
#[ignore = "minutes"]
fn every_operation_is_right_for_many_random_values() {
    random_values(5_000_000, 2);
}

/// Chains of operations, each on what came out of others, as in real use.
#[test]
fn operations_go_on_from_any_result() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    let mut elements: Vec<Element> = (0..16).map(|_| random_element(&mut random)).collect();
    for _ in 0..20_000 {
        let [a, b, to] = [(); 3].map(|()| random.next_u32() as usize % 16);
        let (x, y) = (elements[a], elements[b]);
        let (p, q) = (value(&x), value(&y));
        let (result, expected) = match random.next_u32() % 5 {
            0 => (x.add(&y), add(p, q)),
            1 => (x.sub(&y), add(p, remainder(subtract(P, q)))),
            2 => (x.mul(&y), multiply(p, q)),
            3 => (x.square(), multiply(p, p)),
            _ => (x.mul_121665_add(&y), add(multiply(p, (121_665, 0)), q)),
        };
        assert_same(&result, expected, "step", &[&x, &y]);
        elements[to] = result;
    }
}

fn power(base: Number, exponent: Number) -> Number {
    let mut power = (1, 0);
    for bit in (0..256).rev() {
        power = multiply(power, power);
        let half = if bit < 128 { exponent.0 } else { exponent.1 };
        if (half >> (bit % 128)) & 1 == 1 {
            power = multiply(power, base);
        }
    }
    power
}

#[test]
fn powers_have_their_exponents() {
    let mut random = ChaCha20Rng::seed_from_u64(4);
    let chosen = edges().into_iter().step_by(11).chain((0..20).map(|_| random_element(&mut random)));
    for a in chosen.collect::<Vec<_>>() {
        let number = value(&a);
        let inverse = power(number, subtract(P, (2, 0)));
        assert_same(&a.invert(), inverse, "inverse", &[&a]);
        let one = if a.is_zero() { (0, 0) } else { (1, 0) };
        assert_eq!(multiply(inverse, number), one);
        // (p - 5) / 8 = 2^252 - 3
        assert_same(&a.power_p58(), power(number, (u128::MAX - 2, u128::MAX >> 4)), "power", &[&a]);
    }
}

#[test]
fn bytes_are_read_modulo_p_and_without_the_highest_bit() {
    for a in edges() {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(a.0).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        let mut low = a;
        low.0[7] &= 0x7fff_ffff;
        assert_same(&Element::from_bytes(&bytes), value(&low), "bytes", &[&a]);
    }
}

#[test]
fn swaps_or_does_not() {
    let (a, b) = (Element([1, 2, 3, 4, 5, 6, 7, 8]), Element([u32::MAX; 8]));
    let (mut x, mut y) = (a, b);
    Element::swap(&mut x, &mut y, 0.into());
    assert_eq!((x.0, y.0), (a.0, b.0));
    Element::swap(&mut x, &mut y, 1.into());
    assert_eq!((x.0, y.0), (b.0, a.0));
}
