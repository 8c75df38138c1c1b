use std::vec::Vec;

use super::*;
use crate::check::{
    Number, P, Random, add, bits, check, check_pair, edges, multiply, negative, remainder, same, self_check, subtract,
    value,
};

/// The slow arithmetic is the measure of all others: with numbers whose products everybody knows.
#[test]
fn the_slow_arithmetic_is_right() {
    let power = |exponent: u32| if exponent < 128 { (1 << exponent, 0) } else { (0, 1 << (exponent - 128)) };
    for exponent in 0..255 {
        // 2^255 is 19.
        assert_eq!(multiply(power(exponent), power(255 - exponent)), (19, 0));
        assert_eq!(multiply(negative(power(exponent)), power(255 - exponent)), negative((19, 0)));
    }
    let largest = u128::from(u64::MAX);
    assert_eq!(multiply((largest, 0), (largest, 0)), (largest * largest, 0));
    assert_eq!((remainder(P), negative((0, 0)), negative((1, 0))), ((0, 0), (0, 0), subtract(P, (1, 0))));
    // 2^256 - 1 = 2p + 37
    assert_eq!(remainder((u128::MAX, u128::MAX)), (37, 0));
    assert_eq!(bits((5, 0)).filter(|bit| *bit).count(), 2);
    assert!(bits((1, 0)).last() == Some(true) && bits((0, 1 << 127)).next() == Some(true));
}

fn assert_pair(a: &Element, b: &Element) {
    assert!(check_pair(a, b), "{:08x?} {:08x?}", a.0, b.0);
    for factor in [0, 1, 2, (1 << 24) - 1] {
        let expected = add(multiply((u128::from(factor), 0), value(a)), value(b));
        assert!(same(&a.mul_small_add(factor, b), expected), "{:08x?} {factor} {:08x?}", a.0, b.0);
    }
}

#[test]
fn every_operation_is_right_at_the_edges() {
    let edges: Vec<Element> = edges().collect();
    assert_eq!(edges.len(), 4 * 161 + 8 * 11 * 5);
    edges.iter().for_each(|edge| assert!(check(edge), "{:08x?}", edge.0));
    // Each with a few others here: all pairs take a minute.
    for (index, a) in edges.iter().enumerate() {
        let others = edges.iter().cycle().skip(index * 7).step_by(97);
        others.take(11).for_each(|b| assert_pair(a, b));
        assert_pair(a, a);
    }
}

#[test]
#[ignore = "a minute"]
fn every_operation_is_right_for_all_pairs_of_edges() {
    let edges: Vec<Element> = edges().collect();
    edges.iter().for_each(|a| edges.iter().for_each(|b| assert_pair(a, b)));
}

fn random_values(count: u32, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..count {
        let [a, b] = [(); 2].map(|()| random.element());
        assert!(check(&a), "{:08x?}", a.0);
        assert_pair(&a, &b);
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
    let mut random = Random(3);
    let mut elements: Vec<Element> = (0..16).map(|_| random.element()).collect();
    for _ in 0..20_000 {
        let [a, b, to] = [(); 3].map(|()| random.number() as usize % 16);
        let (x, y) = (elements[a], elements[b]);
        let (p, q) = (value(&x), value(&y));
        let (result, expected) = match random.number() % 5 {
            0 => (x.add(&y), add(p, q)),
            1 => (x.sub(&y), add(p, negative(q))),
            2 => (x.mul(&y), multiply(p, q)),
            3 => (x.square(), multiply(p, p)),
            _ => (x.mul_121665_add(&y), add(multiply((121_665, 0), p), q)),
        };
        assert!(same(&result, expected), "{:08x?} {:08x?}", x.0, y.0);
        elements[to] = result;
    }
}

fn power(base: Number, exponent: Number) -> Number {
    bits(exponent).fold((1, 0), |power, bit| {
        let square = multiply(power, power);
        if bit { multiply(square, base) } else { square }
    })
}

#[test]
fn powers_have_their_exponents() {
    let mut random = Random(4);
    for a in edges().step_by(11).chain([(); 20].map(|()| random.element())) {
        let number = value(&a);
        let inverse = power(number, subtract(P, (2, 0)));
        assert!(same(&a.invert(), inverse), "{:08x?}", a.0);
        let one = if a.is_zero() { (0, 0) } else { (1, 0) };
        assert_eq!(multiply(inverse, number), one);
        // (p - 5) / 8 = 2^252 - 3
        assert!(same(&a.power_p58(), power(number, (u128::MAX - 2, u128::MAX >> 4))), "{:08x?}", a.0);
    }
}

#[test]
fn bytes_are_read_modulo_p_and_without_the_highest_bit() {
    for mut a in edges() {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(a.0).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        a.0[7] &= 0x7fff_ffff;
        assert!(same(&Element::from_bytes(&bytes), value(&a)), "{:08x?}", a.0);
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

#[test]
fn a_device_can_check_itself() {
    assert!(self_check(1_000));
}
