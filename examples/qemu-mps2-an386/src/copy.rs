//! Copies and fills, several words at a time. The compiler asks for them by these names (C's, and those of Arm's run-time ABI,
//! IHI 0043, section 4.3.4). The versions that come with Rust are weak symbols, which give way to these; they take about
//! twice as many instructions for 40 bytes, and field elements of the curve, which have 40 bytes, are copied tens of
//! thousands of times in a handshake. They are larger, too, by 2 KiB.

#![expect(unsafe_code, reason = "copying and clearing memory, in assembly")]

use core::hint::black_box;

core::arch::global_asm!(
    ".section .text.memcpy, \"ax\"",
    ".global memcpy",
    ".global __aeabi_memcpy",
    ".global __aeabi_memcpy4",
    ".global __aeabi_memcpy8",
    ".type memcpy, %function",
    ".type __aeabi_memcpy, %function",
    ".type __aeabi_memcpy4, %function",
    ".type __aeabi_memcpy8, %function",
    ".balign 4",
    ".thumb_func",
    "memcpy:",
    ".thumb_func",
    "__aeabi_memcpy:",
    ".thumb_func",
    "__aeabi_memcpy4:",
    ".thumb_func",
    "__aeabi_memcpy8:",
    // r0: to, r1: from, r2: bytes. r3 and r12 are free, the others are kept; memcpy gives back `to`.
    "push {{r0, r4, r5, r6, lr}}",
    // Several words at once only from and to whole words.
    "orr r3, r0, r1",
    "lsls r3, r3, #30",
    "bne 3f",
    "subs r2, #20",
    "blo 2f",
    "1:",
    "ldmia r1!, {{r3, r4, r5, r6, r12}}",
    "stmia r0!, {{r3, r4, r5, r6, r12}}",
    "subs r2, #20",
    "bhs 1b",
    "2:",
    "adds r2, #20",
    "beq 6f",
    // Single words may stand anywhere on a Cortex-M4.
    "3:",
    "subs r2, #4",
    "blo 4f",
    "ldr r3, [r1], #4",
    "str r3, [r0], #4",
    "b 3b",
    "4:",
    "adds r2, #4",
    "beq 6f",
    "5:",
    "ldrb r3, [r1], #1",
    "strb r3, [r0], #1",
    "subs r2, #1",
    "bne 5b",
    "6:",
    "pop {{r0, r4, r5, r6, pc}}",
    ".size memcpy, . - memcpy",
);

core::arch::global_asm!(
    ".section .text.memmove, \"ax\"",
    ".global memmove",
    ".global __aeabi_memmove",
    ".global __aeabi_memmove4",
    ".global __aeabi_memmove8",
    ".type memmove, %function",
    ".type __aeabi_memmove, %function",
    ".type __aeabi_memmove4, %function",
    ".type __aeabi_memmove8, %function",
    ".balign 4",
    ".thumb_func",
    "memmove:",
    ".thumb_func",
    "__aeabi_memmove:",
    ".thumb_func",
    "__aeabi_memmove4:",
    ".thumb_func",
    "__aeabi_memmove8:",
    // Copies go forwards and read before they write: only a start within what is copied is in their way.
    "subs r3, r0, r1",
    "cmp r3, r2",
    "bhs memcpy",
    // From the end, until the pointers are at the start again.
    "add r0, r2",
    "add r1, r2",
    "1:",
    "subs r2, #4",
    "blo 2f",
    "ldr r3, [r1, #-4]!",
    "str r3, [r0, #-4]!",
    "b 1b",
    "2:",
    "adds r2, #4",
    "beq 4f",
    "3:",
    "ldrb r3, [r1, #-1]!",
    "strb r3, [r0, #-1]!",
    "subs r2, #1",
    "bne 3b",
    "4:",
    "bx lr",
    ".size memmove, . - memmove",
);

core::arch::global_asm!(
    ".section .text.memset, \"ax\"",
    ".global memset",
    ".global __aeabi_memclr",
    ".global __aeabi_memclr4",
    ".global __aeabi_memclr8",
    ".global __aeabi_memset",
    ".global __aeabi_memset4",
    ".global __aeabi_memset8",
    ".type memset, %function",
    ".type __aeabi_memclr, %function",
    ".type __aeabi_memclr4, %function",
    ".type __aeabi_memclr8, %function",
    ".type __aeabi_memset, %function",
    ".type __aeabi_memset4, %function",
    ".type __aeabi_memset8, %function",
    ".balign 4",
    // r0: to, r1: byte, r2: bytes. Arm's ABI has the last two the other way round.
    ".thumb_func",
    "memset:",
    "mov r3, r1",
    "mov r1, r2",
    "mov r2, r3",
    "b 1f",
    ".thumb_func",
    "__aeabi_memclr:",
    ".thumb_func",
    "__aeabi_memclr4:",
    ".thumb_func",
    "__aeabi_memclr8:",
    "movs r2, #0",
    ".thumb_func",
    "__aeabi_memset:",
    ".thumb_func",
    "__aeabi_memset4:",
    ".thumb_func",
    "__aeabi_memset8:",
    // r0: to, and given back; r1: bytes; r2: byte.
    "1:",
    "push {{r4, r5, lr}}",
    "mov r12, r0",
    "uxtb r2, r2",
    "orr r2, r2, r2, lsl #8",
    "orr r2, r2, r2, lsl #16",
    // Several words at once only to whole words.
    "lsls r3, r0, #30",
    "bne 4f",
    "mov r3, r2",
    "mov r4, r2",
    "mov r5, r2",
    "subs r1, #16",
    "blo 3f",
    "2:",
    "stmia r12!, {{r2, r3, r4, r5}}",
    "subs r1, #16",
    "bhs 2b",
    "3:",
    "adds r1, #16",
    "beq 7f",
    "4:",
    "subs r1, #4",
    "blo 5f",
    "str r2, [r12], #4",
    "b 4b",
    "5:",
    "adds r1, #4",
    "beq 7f",
    "6:",
    "strb r2, [r12], #1",
    "subs r1, #1",
    "bne 6b",
    "7:",
    "pop {{r4, r5, pc}}",
    ".size memset, . - memset",
);

/// Room for what is tried, with a margin on both sides that must stay as it is.
const LENGTH: usize = 128;

/// Whether copies and fills of all lengths, from and to all places in words, do what they should and nothing else.
#[must_use]
pub fn is_right() -> bool {
    let pattern: [u8; LENGTH] = core::array::from_fn(|index| index as u8 ^ 0x5a);
    let places = || (0..8).flat_map(|to| (0..8).map(move |from| (to, from)));
    (0..=80).all(|length| {
        places().all(|(to, from)| {
            // Overlaps by all distances, forwards and backwards.
            [(to + 8, from + 8), (to + 8, from + 8 + length / 2), (to + 8 + length / 2, from + 8)]
                .into_iter()
                .all(|(to, from)| moves(&pattern, to, from, length))
                && copies(&pattern, to, from, length)
                && fills(&pattern, to, length)
        })
    })
}

/// Whether each byte of `bytes` is what `expected` says, so that no copy is compared with a copy.
fn is_each(bytes: &[u8; LENGTH], expected: impl Fn(usize) -> u8) -> bool {
    bytes.iter().enumerate().all(|(index, byte)| black_box(*byte) == expected(index))
}

fn moves(pattern: &[u8; LENGTH], to: usize, from: usize, length: usize) -> bool {
    let mut bytes = *pattern;
    if from + length > LENGTH || to + length > LENGTH {
        return true;
    }
    black_box(&mut bytes).copy_within(black_box(from..from + length), to);
    is_each(&bytes, |index| pattern[if (to..to + length).contains(&index) { index - to + from } else { index }])
}

fn copies(pattern: &[u8; LENGTH], to: usize, from: usize, length: usize) -> bool {
    let mut bytes = [0; LENGTH];
    black_box(&mut bytes)[to..to + black_box(length)].copy_from_slice(&pattern[from..from + length]);
    is_each(&bytes, |index| if (to..to + length).contains(&index) { pattern[index - to + from] } else { 0 })
}

fn fills(pattern: &[u8; LENGTH], to: usize, length: usize) -> bool {
    [0, 0xa5].into_iter().all(|value| {
        let mut bytes = *pattern;
        black_box(&mut bytes)[to..to + black_box(length)].fill(value);
        is_each(&bytes, |index| if (to..to + length).contains(&index) { value } else { pattern[index] })
    })
}
