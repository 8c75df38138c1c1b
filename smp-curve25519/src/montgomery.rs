//! X25519 (RFC 7748): the Montgomery ladder, in constant time.

use subtle::Choice;
use zeroize::Zeroize;

use crate::field::Element;

/// Agrees on a secret: multiplies a point, given by its u-coordinate, with the clamped secret key (RFC 7748, section 5).
///
/// As the RFC demands, the highest bit of the point is ignored and coordinates of p and above count modulo p. The result is
/// zero when the point has small order: a caller who needs a secret has to refuse that.
///
/// The scalar and the ladder are wiped afterwards; what single multiplications leave on the stack is not, nor is the result,
/// which is the caller's.
///
/// The time taken depends on neither of the two: see the [crate's front page](crate#time).
// Not inlined: it is called in more than one place.
#[inline(never)]
#[must_use]
pub fn x25519(secret: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    let mut scalar = *secret;
    let [lowest, .., highest] = &mut scalar;
    *lowest &= 0xf8;
    *highest = (*highest & 0x7f) | 0x40;

    let base = Element::from_bytes(point);
    let mut ladder = Ladder { x2: Element::ONE, z2: Element::ZERO, x3: base, z3: Element::ONE };
    let mut swapped = 0;
    // Bit 255 is 0 after clamping, and the step for it changes nothing but a factor of x3 and z3, the base (times 4). When
    // that is 0, all is 0 from there on, as is the result.
    for byte in scalar.iter().rev() {
        for bit in (0..8).rev() {
            let bit = (byte >> bit) & 1;
            ladder.swap((swapped ^ bit).into());
            ladder.step(&base);
            swapped = bit;
        }
    }
    ladder.swap(swapped.into());
    let shared = ladder.x2.mul(&ladder.z2.invert()).to_bytes();
    scalar.zeroize();
    ladder.zeroize();
    shared
}

/// The public key of a secret key: the base point, whose u-coordinate is 9, multiplied with it.
///
/// It costs as much as an agreement.
#[must_use]
pub fn x25519_public_key(secret: &[u8; 32]) -> [u8; 32] {
    let mut base = [0; 32];
    let [lowest, ..] = &mut base;
    *lowest = 9;
    x25519(secret, &base)
}

/// Two multiples of a point, whose difference is the point, as fractions: x over z.
struct Ladder {
    x2: Element,
    z2: Element,
    x3: Element,
    z3: Element,
}

impl Ladder {
    fn swap(&mut self, choice: Choice) {
        Element::swap(&mut self.x2, &mut self.x3, choice);
        Element::swap(&mut self.z2, &mut self.z3, choice);
    }

    /// Doubles the first and adds it to the second (RFC 7748, section 5, whose names these are in lower case).
    fn step(&mut self, base: &Element) {
        let a = self.x2.add(&self.z2);
        let b = self.x2.sub(&self.z2);
        let da = self.x3.sub(&self.z3).mul(&a);
        let cb = self.x3.add(&self.z3).mul(&b);
        self.x3 = da.add(&cb).square();
        self.z3 = da.sub(&cb).square().mul(base);
        let aa = a.square();
        let bb = b.square();
        let e = aa.sub(&bb);
        self.x2 = aa.mul(&bb);
        self.z2 = e.mul_121665_add(&aa).mul(&e);
    }
}

impl Zeroize for Ladder {
    fn zeroize(&mut self) {
        let Self { x2, z2, x3, z3 } = self;
        [x2, z2, x3, z3].into_iter().for_each(Zeroize::zeroize);
    }
}
