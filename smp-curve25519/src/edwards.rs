//! Points of the Edwards curve -x^2 + y^2 = 1 + d x^2 y^2 that Ed25519 signatures live on (RFC 8032, section 5.1).
//!
//! The formulas are those of Hisil, Wong, Carter and Dawson, "Twisted Edwards Curves Revisited" (2008), for a = -1. They
//! are complete: right for any two points of the curve, the neutral one and those of small order included.
//!
//! Points are public. Nothing here is in constant time.

use crate::field::Element;
use crate::scalar::{DIGITS, Scalar};
use crate::table::BASE;

/// d = -121665 / 121666.
const D: Element =
    Element([0x1359_78a3, 0x75eb_4dca, 0x4141_d8ab, 0x0070_0a4d, 0x7779_e898, 0x8cc7_4079, 0x2b6f_fe73, 0x5203_6cee]);
/// 2d.
const D2: Element =
    Element([0x26b2_f159, 0xebd6_9b94, 0x8283_b156, 0x00e0_149a, 0xeef3_d130, 0x198e_80f2, 0x56df_fce7, 0x2406_d9dc]);
/// A square root of -1: 2^((p - 1) / 4).
const SQRT_MINUS_1: Element =
    Element([0x4a0e_a0b0, 0xc4ee_1b27, 0xad2f_e478, 0x2f43_1806, 0x3dfb_d7a7, 0x2b4d_0099, 0x4fc1_df0b, 0x2b83_2480]);

/// How wide the digits are that a point is multiplied with, and how wide those of the base point, whose multiples are at
/// hand. The tables have 2^(width - 2) points.
const WIDTH: u32 = 5;
pub(crate) const BASE_WIDTH: u32 = 5;

/// x and y as fractions with the denominator z.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    x: Element,
    y: Element,
    z: Element,
}

/// A point to which another can be added: with t = x y / z.
#[derive(Clone, Copy)]
struct Extended {
    point: Point,
    t: Element,
}

/// The result of an addition or a doubling: x = e / g, y = h / f.
///
/// From it three multiplications make a [`Point`], which can be doubled, and four an [`Extended`] one.
struct Sum {
    e: Element,
    f: Element,
    g: Element,
    h: Element,
}

/// A point to add: y + x, y - x and 2 d t, all with the denominator z.
pub(crate) struct Addend {
    pub(crate) y_plus_x: Element,
    pub(crate) y_minus_x: Element,
    pub(crate) t2d: Element,
}

/// An addend and twice its denominator.
struct Multiple {
    addend: Addend,
    z2: Element,
}

impl Point {
    /// Reads an encoded point (RFC 8032, section 5.1.3), or what comes near to one: y may be p or above, which the RFC
    /// forbids, and x may be 0 with its sign set. None when no point of the curve has this y.
    pub(crate) fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let [.., highest] = *bytes;
        let odd = highest >> 7 == 1;
        let y = Element::from_bytes(bytes);
        // x^2 = u / v. v is never 0: -1 / d is no square.
        let yy = y.square();
        let u = yy.sub(&Element::ONE);
        let v = yy.mul(&D).add(&Element::ONE);
        // A candidate for the root of u / v is u v^3 (u v^7)^((p - 5) / 8): its square is u / v or -u / v, if that is a square
        // at all.
        let v3 = v.square().mul(&v);
        let v7 = v3.square().mul(&v);
        let mut x = u.mul(&v7).power_p58().mul(&v3).mul(&u);
        let vxx = x.square().mul(&v);
        if !vxx.sub(&u).is_zero() {
            if !vxx.add(&u).is_zero() {
                return None;
            }
            x = x.mul(&SQRT_MINUS_1);
        }
        if x.is_odd() != odd {
            x = x.negate();
        }
        Some(Self { x, y, z: Element::ONE })
    }

    /// The encoding (RFC 8032, section 5.1.2), which is the only one with y less than p and, if x is 0, no sign.
    pub(crate) fn encode(&self) -> [u8; 32] {
        let inverse = self.z.invert();
        let mut bytes = self.y.mul(&inverse).to_bytes();
        let odd = self.x.mul(&inverse).is_odd();
        let [.., highest] = &mut bytes;
        *highest |= u8::from(odd) << 7;
        bytes
    }

    /// Whether eight times the point is the neutral one.
    pub(crate) fn has_small_order(&self) -> bool {
        // Four times it then is one of the two points that double to the neutral one: those with x = 0.
        self.double().point().double().e.is_zero()
    }

    pub(crate) fn negate(&self) -> Self {
        Self { x: self.x.negate(), ..*self }
    }

    #[inline(never)]
    fn double(&self) -> Sum {
        let a = self.x.square();
        let b = self.y.square();
        let zz = self.z.square();
        let h = a.add(&b);
        let e = h.sub(&self.x.add(&self.y).square());
        let g = a.sub(&b);
        let f = zz.add(&zz).add(&g);
        // All four with the sign changed, which cancels out in e / g and h / f.
        Sum { e, f, g, h }
    }

    fn extended(self) -> Extended {
        // z is 1 where this is called, or x and y would need it.
        Extended { t: self.x.mul(&self.y), point: self }
    }
}

impl Sum {
    /// The neutral point.
    const NEUTRAL: Self = Self { e: Element::ZERO, f: Element::ONE, g: Element::ONE, h: Element::ONE };

    #[inline(never)]
    fn point(&self) -> Point {
        Point { x: self.e.mul(&self.f), y: self.g.mul(&self.h), z: self.f.mul(&self.g) }
    }

    fn extended(&self) -> Extended {
        Extended { point: self.point(), t: self.e.mul(&self.h) }
    }
}

impl Extended {
    /// Adds a point or, with `minus`, takes it away. `zz2` is twice the product of the denominators.
    #[inline(never)]
    fn add(&self, addend: &Addend, zz2: &Element, minus: bool) -> Sum {
        let Point { x, y, .. } = &self.point;
        // The negative point has -x: y + x and y - x change places, and t changes its sign.
        let Addend { y_plus_x, y_minus_x, t2d } = addend;
        let (y_plus_x, y_minus_x) = if minus { (y_minus_x, y_plus_x) } else { (y_plus_x, y_minus_x) };
        let a = y.sub(x).mul(y_minus_x);
        let b = y.add(x).mul(y_plus_x);
        let c = self.t.mul(t2d);
        let (less, more) = (zz2.sub(&c), zz2.add(&c));
        let (f, g) = if minus { (more, less) } else { (less, more) };
        Sum { e: b.sub(&a), f, g, h: b.add(&a) }
    }

    fn add_multiple(&self, other: &Multiple, minus: bool) -> Sum {
        self.add(&other.addend, &self.point.z.mul(&other.z2), minus)
    }

    fn multiple(&self) -> Multiple {
        let Point { x, y, z } = &self.point;
        let addend = Addend { y_plus_x: y.add(x), y_minus_x: y.sub(x), t2d: self.t.mul(&D2) };
        Multiple { addend, z2: z.add(z) }
    }
}

/// `scalar * point + base_scalar * B`, where B is the base point. `point` must come from [`Point::decode`].
pub(crate) fn double_multiple(scalar: &Scalar, point: &Point, base_scalar: &Scalar) -> Point {
    let mut next = point.extended();
    let twice = point.double().extended().multiple();
    let multiples: [Multiple; 1 << (WIDTH - 2)] = core::array::from_fn(|index| {
        if index > 0 {
            next = next.add_multiple(&twice, false).extended();
        }
        next.multiple()
    });
    let digits: [i8; DIGITS] = scalar.digits(WIDTH);
    let base_digits: [i8; DIGITS] = base_scalar.digits(BASE_WIDTH);
    let mut sum = Sum::NEUTRAL;
    for (digit, base_digit) in digits.iter().zip(&base_digits).rev() {
        sum = sum.point().double();
        // The odd multiples 1, 3, 5 ... of a point stand in its table.
        if let Some(multiple) = multiples.get(usize::from(digit.unsigned_abs() >> 1)).filter(|_| *digit != 0) {
            sum = sum.extended().add_multiple(multiple, *digit < 0);
        }
        if let Some(addend) = BASE.get(usize::from(base_digit.unsigned_abs() >> 1)).filter(|_| *base_digit != 0) {
            let point = sum.extended();
            sum = point.add(addend, &point.point.z.add(&point.point.z), *base_digit < 0);
        }
    }
    sum.point()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    type Theirs = curve25519_dalek::Scalar;

    fn same(a: &Element, b: &Element) -> bool {
        a.sub(b).is_zero()
    }

    fn theirs(scalar: &Scalar) -> Theirs {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(scalar.0).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        Theirs::from_canonical_bytes(bytes).unwrap()
    }

    fn random_scalar(random: &mut ChaCha20Rng) -> Scalar {
        let mut bytes = [0; 64];
        random.fill_bytes(&mut bytes);
        match random.next_u32() % 4 {
            // Few digits.
            0 => bytes[4..].fill(0),
            // L - 1 and less.
            1 => {
                return Scalar([
                    0x5cf5_d3ec - random.next_u32() % 9,
                    0x5812_631a,
                    0xa2f7_9cd6,
                    0x14de_f9de,
                    0,
                    0,
                    0,
                    0x1000_0000,
                ]);
            }
            _ => {}
        }
        Scalar::reduce(&bytes)
    }

    #[test]
    fn constants_are_what_they_are_said_to_be() {
        let small = |number| Element([number, 0, 0, 0, 0, 0, 0, 0]);
        assert!(same(&D.mul(&small(121_666)), &small(121_665).negate()));
        assert!(same(&D2, &D.add(&D)));
        assert!(same(&SQRT_MINUS_1.square(), &Element::ONE.negate()));
        // Not its negative, which would be right as well, but is not what is written there.
        let (two, mut power) = (small(2), Element::ONE);
        // (p - 1) / 4 = 2^253 - 5
        for bit in (0..253).rev() {
            power = power.square();
            if bit != 2 {
                power = power.mul(&two);
            }
        }
        assert!(same(&SQRT_MINUS_1, &power));
    }

    #[test]
    fn the_table_has_the_odd_multiples_of_the_base_point() {
        assert_eq!(BASE.len(), 1 << (BASE_WIDTH - 2));
        for (index, addend) in BASE.iter().enumerate() {
            let multiple = EdwardsPoint::mul_base(&Theirs::from(2 * index as u64 + 1)).compress().to_bytes();
            let Multiple { addend: expected, z2 } = Point::decode(&multiple).unwrap().extended().multiple();
            assert!(same(&z2, &Element([2, 0, 0, 0, 0, 0, 0, 0])));
            assert!(same(&addend.y_plus_x, &expected.y_plus_x), "{index}");
            assert!(same(&addend.y_minus_x, &expected.y_minus_x), "{index}");
            assert!(same(&addend.t2d, &expected.t2d), "{index}");
        }
    }

    fn check_decoding(bytes: &[u8; 32]) {
        let theirs = CompressedEdwardsY(*bytes).decompress();
        let ours = Point::decode(bytes);
        assert_eq!(ours.is_some(), theirs.is_some(), "{}", hex::encode(bytes));
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            assert_eq!(ours.encode(), theirs.compress().to_bytes(), "{}", hex::encode(bytes));
            assert_eq!(ours.negate().encode(), (-theirs).compress().to_bytes(), "{}", hex::encode(bytes));
            assert_eq!(ours.has_small_order(), theirs.is_small_order(), "{}", hex::encode(bytes));
        }
    }

    #[test]
    fn points_are_read_as_dalek_reads_them() {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..10_000 {
            let mut bytes = [0; 32];
            random.fill_bytes(&mut bytes);
            check_decoding(&bytes);
        }
        // Around 0 and p, with both signs: all encodings that are not canonical are among these.
        for distance in 0..=64u8 {
            let mut low = [0; 32];
            low[0] = distance;
            let mut high = [255; 32];
            high[0] -= distance;
            for mut bytes in [low, high] {
                for highest in [bytes[31] & 127, bytes[31] | 128] {
                    bytes[31] = highest;
                    check_decoding(&bytes);
                }
            }
        }
        for torsion in EIGHT_TORSION {
            let mut bytes = torsion.compress().to_bytes();
            for _ in 0..2 {
                check_decoding(&bytes);
                bytes[31] ^= 128;
            }
        }
    }

    /// Points of every kind: of large, small and mixed order.
    fn points(random: &mut ChaCha20Rng) -> Vec<EdwardsPoint> {
        let point = EdwardsPoint::mul_base(&theirs(&random_scalar(random)));
        EIGHT_TORSION.iter().flat_map(|torsion| [*torsion, point + torsion]).collect()
    }

    #[test]
    fn multiples_are_right_for_points_of_every_order() {
        let mut random = ChaCha20Rng::seed_from_u64(2);
        let zero = Scalar([0; 8]);
        for round in 0..40 {
            for point in points(&mut random) {
                let ours = Point::decode(&point.compress().to_bytes()).unwrap();
                let [mut a, mut b] = [(); 2].map(|()| random_scalar(&mut random));
                match round % 8 {
                    0 => a = zero,
                    1 => b = zero,
                    2 => (a, b) = (zero, zero),
                    // What cancels out, or doubles, in the middle of the sum.
                    3 => b = a,
                    _ => {}
                }
                let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&theirs(&a), &point, &theirs(&b));
                assert_eq!(double_multiple(&a, &ours, &b).encode(), expected.compress().to_bytes());
            }
        }
    }

    /// The base point and its negative as the point: additions meet equal and opposite points.
    #[test]
    fn multiples_are_right_where_sums_meet_themselves() {
        let mut random = ChaCha20Rng::seed_from_u64(3);
        for sign in [false, true] {
            let base = EdwardsPoint::mul_base(&Theirs::ONE);
            let point = if sign { -base } else { base };
            let ours = Point::decode(&point.compress().to_bytes()).unwrap();
            for small in 0..200 {
                let a = Scalar([small, 0, 0, 0, 0, 0, 0, 0]);
                for b in [a, Scalar([small + 1, 0, 0, 0, 0, 0, 0, 0]), random_scalar(&mut random)] {
                    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&theirs(&a), &point, &theirs(&b));
                    assert_eq!(double_multiple(&a, &ours, &b).encode(), expected.compress().to_bytes());
                }
            }
        }
    }
}
