//! Numbers modulo p = 2^255 - 19.
//!
//! An [`Element`] is eight limbs of 32 bits, the lowest first. Every one of the 2^256 values of the limbs is allowed and
//! stands for its remainder modulo p. Each operation takes any values and gives one of these: there are no bounds to
//! keep in mind between operations, and none that a caller could break.
//!
//! # Why nothing is lost
//!
//! What an operation computes has more than 256 bits, and 2^255 is 19 modulo p. So the highest limb is computed first, the
//! part of it from bit 255 on (`over`) is taken off, and 19 times that part goes into the lowest limb, from where one
//! chain of carries runs upwards. The chain ends in what is left of the highest limb, less than 2^31, which has room for
//! its last carry (the bounds stand at each operation). That no carry is lost is no more than that.
//!
//! # Why it is fast on a microcontroller
//!
//! The unit of work, [`u32::carrying_mul_add`], is one instruction of Cortex-M processors from the M4 on, UMAAL, and
//! cannot overflow: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1. The compiler finds it where both summands may be
//! anything. Where one is a known zero it makes longer code, which is why some constants are hidden from it
//! ([`core::hint::black_box`]). Nothing but speed depends on that.
//!
//! # Time
//!
//! No operation here branches on a value or uses one as an index.

#[cfg(test)]
mod tests;

use core::hint::black_box;

use subtle::Choice;
use zeroize::Zeroize;

/// Bits 0 to 30 of the highest limb, which are bits 224 to 254 of a number.
const LOW: u32 = 0x7fff_ffff;

/// A number modulo p.
#[derive(Clone, Copy)]
pub(crate) struct Element(pub(crate) [u32; 8]);

impl Zeroize for Element {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Element {
    pub(crate) const ZERO: Self = Self([0; 8]);
    pub(crate) const ONE: Self = Self([1, 0, 0, 0, 0, 0, 0, 0]);

    /// Takes 32 bytes, the lowest first. The highest bit is ignored (RFC 7748, section 5); p and above are allowed.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut limbs = limbs(bytes);
        let [.., highest] = &mut limbs;
        *highest &= LOW;
        Self(limbs)
    }

    /// The number, less than p, as 32 bytes, the lowest first.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut number = self.0;
        let top = take_top(&mut number);
        let number = plus(number, top.wrapping_mul(19));
        // Less than 2^255 + 19, so p is in it at most once, and it is if 19 more reach 2^255. Then these 19 more, less
        // 2^255, are p less.
        let top = take_top(&mut plus(number, 19));
        let mut number = plus(number, top.wrapping_mul(19));
        take_top(&mut number);
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(number).for_each(|(bytes, limb)| *bytes = limb.to_le_bytes());
        bytes
    }

    /// Whether it is 0 modulo p. Takes the same time for all numbers, but what the caller does with the answer may not.
    pub(crate) fn is_zero(self) -> bool {
        self.to_bytes().iter().fold(0, |bits, byte| bits | byte) == 0
    }

    /// The lowest bit of the number when it is less than p: the "sign" in encodings of points (RFC 8032, section 5.1.2).
    pub(crate) fn is_odd(self) -> bool {
        let [lowest, ..] = self.to_bytes();
        lowest & 1 == 1
    }

    #[inline(never)]
    pub(crate) fn add(&self, other: &Self) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.0;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = other.0;
        // The sum of the highest limbs is less than 2^33: over is at most 3, each carry at most 2.
        let (r7, carry) = a7.overflowing_add(b7);
        let over = (u32::from(carry) << 1) | (r7 >> 31);
        let (r0, c) = sum(a0, b0, over.wrapping_mul(19));
        let (r1, c) = sum(a1, b1, c);
        let (r2, c) = sum(a2, b2, c);
        let (r3, c) = sum(a3, b3, c);
        let (r4, c) = sum(a4, b4, c);
        let (r5, c) = sum(a5, b5, c);
        let (r6, c) = sum(a6, b6, c);
        Self([r0, r1, r2, r3, r4, r5, r6, (r7 & LOW).wrapping_add(c)])
    }

    #[inline(never)]
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.0;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = other.0;
        // The difference of the highest limbs is between -2^32 and 2^32: over, rounded down, between -2 and 1. One more is
        // taken off and left in the limb, from which the chain may borrow: it is at least 2^31. What goes into the lowest
        // limb is then 0 or negative, and so is each carry, -2 at the least.
        let highest = i64::from(a7).wrapping_sub(i64::from(b7));
        let over = (highest >> 31).wrapping_sub(1);
        let (r0, c) = difference(a0, b0, over.wrapping_mul(19));
        let (r1, c) = difference(a1, b1, c);
        let (r2, c) = difference(a2, b2, c);
        let (r3, c) = difference(a3, b3, c);
        let (r4, c) = difference(a4, b4, c);
        let (r5, c) = difference(a5, b5, c);
        let (r6, c) = difference(a6, b6, c);
        // Of a number modulo 2^32 the low bits are enough.
        let r7 = (low(highest) | !LOW).wrapping_add(low(c));
        Self([r0, r1, r2, r3, r4, r5, r6, r7])
    }

    pub(crate) fn negate(&self) -> Self {
        Self::ZERO.sub(self)
    }

    /// `self * factor + other`, for factors of up to 24 bits.
    #[inline(never)]
    fn mul_small_add(&self, factor: u32, other: &Self) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.0;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = other.0;
        // With a factor of 24 bits the highest limb becomes less than 2^56: over is less than 2^25, 19 times that less than
        // 2^30, each carry at most 2^24.
        let (r7, highest) = a7.carrying_mul_add(factor, b7, 0);
        let over = (highest << 1) | (r7 >> 31);
        let (r0, c) = a0.carrying_mul_add(factor, b0, over.wrapping_mul(19));
        let (r1, c) = a1.carrying_mul_add(factor, b1, c);
        let (r2, c) = a2.carrying_mul_add(factor, b2, c);
        let (r3, c) = a3.carrying_mul_add(factor, b3, c);
        let (r4, c) = a4.carrying_mul_add(factor, b4, c);
        let (r5, c) = a5.carrying_mul_add(factor, b5, c);
        let (r6, c) = a6.carrying_mul_add(factor, b6, c);
        Self([r0, r1, r2, r3, r4, r5, r6, (r7 & LOW).wrapping_add(c)])
    }

    /// `self * 121665 + other`, a step of the ladder (RFC 7748, section 5).
    pub(crate) fn mul_121665_add(&self, other: &Self) -> Self {
        self.mul_small_add(121_665, other)
    }

    /// The product: four limbs of one factor at a time with all limbs of the other.
    #[inline(never)]
    pub(crate) fn mul(&self, other: &Self) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.0;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = other.0;
        let zero = black_box(0);

        let (a, sums) = ([a0, a1, a2, a3], [zero, zero, zero, zero]);
        let (t0, sums) = row(a, b0, sums, zero);
        let (t1, sums) = row(a, b1, sums, zero);
        let (t2, sums) = row(a, b2, sums, zero);
        let (t3, sums) = row(a, b3, sums, zero);
        let (t4, sums) = row(a, b4, sums, zero);
        let (t5, sums) = row(a, b5, sums, zero);
        let (t6, sums) = row(a, b6, sums, zero);
        let (t7, [t8, t9, t10, t11]) = row(a, b7, sums, zero);

        let (a, sums) = ([a4, a5, a6, a7], [zero, zero, zero, zero]);
        let (t4, sums) = row(a, b0, sums, t4);
        let (t5, sums) = row(a, b1, sums, t5);
        let (t6, sums) = row(a, b2, sums, t6);
        let (t7, sums) = row(a, b3, sums, t7);
        let (t8, sums) = row(a, b4, sums, t8);
        let (t9, sums) = row(a, b5, sums, t9);
        let (t10, sums) = row(a, b6, sums, t10);
        let (t11, [t12, t13, t14, t15]) = row(a, b7, sums, t11);

        reduce([t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15])
    }

    /// The square: 44 products instead of 64.
    ///
    /// Products of two different limbs count twice. They are made with the limbs of 2a instead of a. In row i, which begins
    /// at limb 2i with the square of limb i, all higher limbs count twice and the lower ones not at all. So the row goes
    /// on with limb i + 1 of 2a without the bit that limb i gave it, and then with the limbs of 2a as they are.
    #[inline(never)]
    pub(crate) fn square(&self) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.0;
        let d2 = (a2 << 1) | (a1 >> 31);
        let d3 = (a3 << 1) | (a2 >> 31);
        let d4 = (a4 << 1) | (a3 >> 31);
        let d5 = (a5 << 1) | (a4 >> 31);
        let d6 = (a6 << 1) | (a5 >> 31);
        let d7 = (a7 << 1) | (a6 >> 31);
        let d8 = a7 >> 31;
        let zero = black_box(0);

        let (t0, c) = a0.carrying_mul_add(a0, zero, zero);
        let (t1, c) = a0.carrying_mul_add(a1 << 1, c, zero);
        let (t2, c) = a0.carrying_mul_add(d2, c, zero);
        let (t3, c) = a0.carrying_mul_add(d3, c, zero);
        let (t4, c) = a0.carrying_mul_add(d4, c, zero);
        let (t5, c) = a0.carrying_mul_add(d5, c, zero);
        let (t6, c) = a0.carrying_mul_add(d6, c, zero);
        let (t7, c) = a0.carrying_mul_add(d7, c, zero);
        let (t8, t9) = a0.carrying_mul_add(d8, c, zero);

        let (t2, c) = a1.carrying_mul_add(a1, t2, zero);
        let (t3, c) = a1.carrying_mul_add(a2 << 1, t3, c);
        let (t4, c) = a1.carrying_mul_add(d3, t4, c);
        let (t5, c) = a1.carrying_mul_add(d4, t5, c);
        let (t6, c) = a1.carrying_mul_add(d5, t6, c);
        let (t7, c) = a1.carrying_mul_add(d6, t7, c);
        let (t8, c) = a1.carrying_mul_add(d7, t8, c);
        let (t9, t10) = a1.carrying_mul_add(d8, t9, c);

        let (t4, c) = a2.carrying_mul_add(a2, t4, zero);
        let (t5, c) = a2.carrying_mul_add(a3 << 1, t5, c);
        let (t6, c) = a2.carrying_mul_add(d4, t6, c);
        let (t7, c) = a2.carrying_mul_add(d5, t7, c);
        let (t8, c) = a2.carrying_mul_add(d6, t8, c);
        let (t9, c) = a2.carrying_mul_add(d7, t9, c);
        let (t10, t11) = a2.carrying_mul_add(d8, t10, c);

        let (t6, c) = a3.carrying_mul_add(a3, t6, zero);
        let (t7, c) = a3.carrying_mul_add(a4 << 1, t7, c);
        let (t8, c) = a3.carrying_mul_add(d5, t8, c);
        let (t9, c) = a3.carrying_mul_add(d6, t9, c);
        let (t10, c) = a3.carrying_mul_add(d7, t10, c);
        let (t11, t12) = a3.carrying_mul_add(d8, t11, c);

        let (t8, c) = a4.carrying_mul_add(a4, t8, zero);
        let (t9, c) = a4.carrying_mul_add(a5 << 1, t9, c);
        let (t10, c) = a4.carrying_mul_add(d6, t10, c);
        let (t11, c) = a4.carrying_mul_add(d7, t11, c);
        let (t12, t13) = a4.carrying_mul_add(d8, t12, c);

        let (t10, c) = a5.carrying_mul_add(a5, t10, zero);
        let (t11, c) = a5.carrying_mul_add(a6 << 1, t11, c);
        let (t12, c) = a5.carrying_mul_add(d7, t12, c);
        let (t13, t14) = a5.carrying_mul_add(d8, t13, c);

        let (t12, c) = a6.carrying_mul_add(a6, t12, zero);
        let (t13, c) = a6.carrying_mul_add(a7 << 1, t13, c);
        let (t14, t15) = a6.carrying_mul_add(d8, t14, c);

        let (t14, c) = a7.carrying_mul_add(a7, t14, zero);
        // The square is less than 2^512, so this is less than 2^32.
        let t15 = t15.wrapping_add(c);

        reduce([t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15])
    }

    /// The power with exponent 2^`times`.
    fn squared(&self, times: u32) -> Self {
        let mut power = *self;
        for _ in 0..times {
            power = power.square();
        }
        power
    }

    /// The powers with exponents 2^250 - 1 and 11.
    fn power_250(&self) -> (Self, Self) {
        let two = self.square();
        let nine = two.squared(2).mul(self);
        let eleven = nine.mul(&two);
        let ones_5 = eleven.square().mul(&nine);
        let ones_10 = ones_5.squared(5).mul(&ones_5);
        let ones_20 = ones_10.squared(10).mul(&ones_10);
        let ones_40 = ones_20.squared(20).mul(&ones_20);
        let ones_50 = ones_40.squared(10).mul(&ones_10);
        let ones_100 = ones_50.squared(50).mul(&ones_50);
        let ones_200 = ones_100.squared(100).mul(&ones_100);
        let ones_250 = ones_200.squared(50).mul(&ones_50);
        (ones_250, eleven)
    }

    /// The inverse, which is the power with exponent p - 2 = 2^255 - 21. Of 0 it is 0.
    pub(crate) fn invert(&self) -> Self {
        let (power, eleven) = self.power_250();
        power.squared(5).mul(&eleven)
    }

    /// The power with exponent (p - 5) / 8 = 2^252 - 3, for square roots.
    pub(crate) fn power_p58(&self) -> Self {
        let (power, _) = self.power_250();
        power.squared(2).mul(self)
    }

    /// Exchanges two numbers or does not, in the same time.
    pub(crate) fn swap(one: &mut Self, other: &mut Self, choice: Choice) {
        // The compiler does not know what a choice holds: it cannot make a branch of this.
        let mask = u32::from(choice.unwrap_u8()).wrapping_neg();
        for (one, other) in one.0.iter_mut().zip(&mut other.0) {
            let difference = mask & (*one ^ *other);
            *one ^= difference;
            *other ^= difference;
        }
    }
}

/// 32 bytes as limbs, the lowest first.
pub(crate) fn limbs(bytes: &[u8; 32]) -> [u32; 8] {
    let mut limbs = [0; 8];
    limbs.iter_mut().zip(bytes.as_chunks().0).for_each(|(limb, bytes)| *limb = u32::from_le_bytes(*bytes));
    limbs
}

/// A limb and a carry of `a + b + carry`. With a carry of less than 2^31 the result is one of at most 2.
#[inline(always)]
pub(crate) fn sum(a: u32, b: u32, carry: u32) -> (u32, u32) {
    let sum = u64::from(a).wrapping_add(b.into()).wrapping_add(carry.into());
    // The halves of 64 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    (sum as u32, (sum >> 32) as u32)
}

/// A limb and a carry, which is never positive, of `a - b + carry`. With a carry of -57 or more the result is one of -2 or
/// more.
#[inline(always)]
fn difference(a: u32, b: u32, carry: i64) -> (u32, i64) {
    let difference = i64::from(a).wrapping_sub(b.into()).wrapping_add(carry);
    (low(difference), difference >> 32)
}

/// The number modulo 2^32.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "that is the number modulo 2^32")]
pub(crate) fn low(number: i64) -> u32 {
    number as u32
}

/// Adds the product of four limbs and one to four sums and `add`: gives the lowest limb, and four sums one limb higher.
#[inline(always)]
fn row(a: [u32; 4], b: u32, sums: [u32; 4], add: u32) -> (u32, [u32; 4]) {
    let [a0, a1, a2, a3] = a;
    let [s0, s1, s2, s3] = sums;
    let (t0, c) = a0.carrying_mul_add(b, s0, add);
    let (t1, c) = a1.carrying_mul_add(b, s1, c);
    let (t2, c) = a2.carrying_mul_add(b, s2, c);
    let (t3, c) = a3.carrying_mul_add(b, s3, c);
    (t0, [t1, t2, t3, c])
}

/// A number of 512 bits modulo p: 2^256 is 38.
#[inline(always)]
fn reduce(t: [u32; 16]) -> Element {
    let [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = t;
    let factor = black_box(38);
    // The highest limb becomes less than 39 * 2^32: over is less than 78, 19 times that less than 2^11, each carry at most
    // 38 (and the first one too: 38 (2^32 - 1) + 2^32 - 1 + 2^11 is less than 39 * 2^32).
    let (r7, highest) = t15.carrying_mul_add(38, t7, 0);
    let over = black_box((highest << 1) | (r7 >> 31));
    let (r0, c) = t8.carrying_mul_add(factor, t0, over.wrapping_mul(19));
    let (r1, c) = t9.carrying_mul_add(factor, c, t1);
    let (r2, c) = t10.carrying_mul_add(factor, c, t2);
    let (r3, c) = t11.carrying_mul_add(factor, c, t3);
    let (r4, c) = t12.carrying_mul_add(factor, c, t4);
    let (r5, c) = t13.carrying_mul_add(factor, c, t5);
    let (r6, c) = t14.carrying_mul_add(factor, c, t6);
    Element([r0, r1, r2, r3, r4, r5, r6, (r7 & LOW).wrapping_add(c)])
}

/// `number + small` modulo 2^256.
fn plus(mut number: [u32; 8], small: u32) -> [u32; 8] {
    let mut carry = small;
    for limb in &mut number {
        (*limb, carry) = sum(*limb, 0, carry);
    }
    number
}

/// Takes off what a number has from bit 255 on: 0 or 1, which is given too.
fn take_top(number: &mut [u32; 8]) -> u32 {
    let [.., highest] = number;
    let top = *highest >> 31;
    *highest &= LOW;
    top
}
