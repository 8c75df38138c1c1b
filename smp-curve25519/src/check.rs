//! The arithmetic against a slow one that shares nothing with it: bit by bit in two halves of 128 bits, and reduced after
//! each step. Tests use it on a computer, and a device can use it on itself.

use crate::field::{Element, low};

/// A number of 256 bits, in two halves, the lower first.
pub(crate) type Number = (u128, u128);

/// p.
pub(crate) const P: Number = (u128::MAX - 18, u128::MAX >> 1);

/// Limbs that carries like.
pub(crate) const LIMBS: [u32; 11] =
    [0, 1, 2, 18, 19, 38, 0x7fff_ffff, 0x8000_0000, 0xffff_ffda, 0xffff_fffe, 0xffff_ffff];

/// Compares the arithmetic on this processor, as this compiler made it, with a slow one: at the extremes of all limbs, around
/// 0, p, 2p and 2^256, and for as many random pairs of numbers, most of them extreme. True when all results are the same.
///
/// Takes about a billion instructions, and then a hundred thousand for each of the `pairs`. For tests of firmware, with
/// the feature `self-check`.
#[must_use]
pub fn self_check(pairs: u32) -> bool {
    let mut random = Random(1);
    edges().all(|edge| check(&edge) && check_pair(&edge, &edge) && check_pair(&edge, &random.element()))
        && (0..pairs).all(|_| check_pair(&random.element(), &random.element()))
}

/// `a - b`, for numbers of which the first is not the smaller one.
pub(crate) fn subtract(a: Number, b: Number) -> Number {
    let (low, borrow) = a.0.overflowing_sub(b.0);
    (low, a.1.wrapping_sub(b.1).wrapping_sub(borrow.into()))
}

/// The remainder modulo p.
pub(crate) fn remainder(mut a: Number) -> Number {
    while (a.1, a.0) >= (P.1, P.0) {
        a = subtract(a, P);
    }
    a
}

/// The sum of two remainders, which is one.
pub(crate) fn add(a: Number, b: Number) -> Number {
    let (low, carry) = a.0.overflowing_add(b.0);
    remainder((low, a.1.wrapping_add(b.1).wrapping_add(carry.into())))
}

/// The remainder of the negative number.
pub(crate) fn negative(a: Number) -> Number {
    remainder(subtract(P, a))
}

/// The bits of a number, the highest first.
pub(crate) fn bits(number: Number) -> impl Iterator<Item = bool> {
    let half = |half: u128| (0..128).rev().map(move |bit: u32| half.wrapping_shr(bit) & 1 == 1);
    half(number.1).chain(half(number.0))
}

/// The product of two remainders, which is one.
pub(crate) fn multiply(a: Number, b: Number) -> Number {
    bits(b).fold((0, 0), |product, bit| {
        let double = add(product, product);
        if bit { add(double, a) } else { double }
    })
}

/// What an element stands for, whatever its limbs.
pub(crate) fn value(element: &Element) -> Number {
    let [a, b, c, d, e, f, g, h] = element.0.map(u128::from);
    remainder((a | b << 32 | c << 64 | d << 96, e | f << 32 | g << 64 | h << 96))
}

/// Whether an element stands for a number, and is written as it.
pub(crate) fn same(element: &Element, number: Number) -> bool {
    let bytes = element.to_bytes();
    let [low, high] = [number.0, number.1].map(u128::to_le_bytes);
    value(element) == number && bytes.iter().eq(low.iter().chain(&high))
}

/// All operations that take one value.
pub(crate) fn check(a: &Element) -> bool {
    let number = value(a);
    same(a, number)
        && same(&a.square(), multiply(number, number))
        && same(&a.negate(), negative(number))
        && a.is_zero() == (number == (0, 0))
        && a.is_odd() == (number.0 & 1 == 1)
}

/// All operations that take two values.
pub(crate) fn check_pair(a: &Element, b: &Element) -> bool {
    let (x, y) = (value(a), value(b));
    same(&a.add(b), add(x, y))
        && same(&a.sub(b), add(x, negative(y)))
        && same(&a.mul(b), multiply(x, y))
        && same(&a.mul_121665_add(b), add(multiply((121_665, 0), x), y))
}

/// Numbers around 0 (and 2^256), 2^255 (and p), 2p and 2^254; then those with one limb or all but one at an extreme.
pub(crate) fn edges() -> impl Iterator<Item = Element> {
    let centers = [[0; 8], [0, 0, 0, 0, 0, 0, 0, 0x8000_0000], [u32::MAX; 8], [0, 0, 0, 0, 0, 0, 0, 0x4000_0000]];
    let around = centers.into_iter().flat_map(|center| (-80..=80).map(move |distance| moved(center, distance)));
    let rests = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let extremes = (0..8usize).flat_map(move |position| {
        LIMBS.into_iter().flat_map(move |extreme| {
            rests.map(|rest| {
                let mut limbs = [rest; 8];
                limbs.iter_mut().skip(position).take(1).for_each(|limb| *limb = extreme);
                Element(limbs)
            })
        })
    });
    around.chain(extremes)
}

/// `number + distance` modulo 2^256.
fn moved(mut number: [u32; 8], distance: i64) -> Element {
    let mut carry = distance;
    for limb in &mut number {
        carry = carry.wrapping_add((*limb).into());
        *limb = low(carry);
        carry >>= 32;
    }
    Element(number)
}

/// Numbers that look random: Marsaglia's xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 32).unwrap_or_default()
    }

    /// One of some values.
    fn choose(&mut self, values: &[u32]) -> u32 {
        let index = usize::try_from(self.number() >> 8).unwrap_or_default().checked_rem(values.len());
        index.and_then(|index| values.get(index)).copied().unwrap_or_default()
    }

    /// Limbs that are extreme more often than not.
    pub(crate) fn element(&mut self) -> Element {
        let style = self.number() >> 29;
        Element(core::array::from_fn(|_| match style {
            0 => self.number(),
            1 | 2 => self.choose(&LIMBS),
            3 => self.choose(&[0, u32::MAX]),
            4 | 5 => u32::MAX.wrapping_sub(self.choose(&[0, 1, 2])),
            _ => self.number().wrapping_shr(self.number()),
        }))
    }
}
