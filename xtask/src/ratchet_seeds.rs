//! Seeds for the fuzz targets of the ratchet, as these read them: see `fuzz/fuzz_targets/ratchet_*.rs`.

/// What a message of `ratchet_decrypt` says first: party, turn, number, number before, encapsulation, key, version, highest
/// version, form of the header, length and padding of the text, what is wrong, and where.
type Control = [u8; 16];

/// Right messages to every kind of party, and messages with one thing wrong.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let right: Control = [0, 4, 0, 0, 0, 0, 0, 0, 0, 3, 0, 5, 3, 0, 0, 0];
    let change = |changes: &[(usize, u8)], text: &[u8]| {
        let mut control = right;
        for (index, value) in changes {
            if let Some(byte) = control.get_mut(*index) {
                *byte = *value;
            }
        }
        [&control[..], text].concat()
    };
    // Parties of version 2, of version 3, with encapsulation, and new ones.
    let parties = [1, 4, 11, 14, 21, 24, 27, 30, 31];
    let turns = [0, 3, 4, 7];
    let all = parties.iter().flat_map(|party| turns.map(|turn| change(&[(0, *party), (1, turn)], b"hello")));
    let wrong = (1..8).map(|wrong| change(&[(0, 14), (1, 0), (13, wrong), (15, 9)], b"\x01\x02"));
    let gaps = [192, 193, 194, 224, 240].map(|how| change(&[(0, 14), (1, 0), (2, how), (3, how)], b"hello"));
    let encapsulated = [2, 3, 6, 7].map(|slot| change(&[(0, 24), (6, slot), (10, 210)], b"hello"));
    let versions = [200, 201, 251].map(|version| change(&[(0, 14), (8, version)], b"hello"));
    all.chain(wrong).chain(gaps).chain(encapsulated).chain(versions).collect()
}

/// Changed ratchets, and the beginnings of the other stored forms.
pub(crate) fn stored() -> Vec<Vec<u8>> {
    let pair = [&[56][..], &[7; 56], &[56], &[8; 56]].concat();
    let pairs = pair.repeat(2);
    let ratchets = (0..31).step_by(3).map(|party| vec![1, party, 0, party * 8, 1]);
    let others = [
        [&[2, 1, 2, 3][..], &pairs, &[0]].concat(),
        [&[3, 1, 3, 3][..], &pairs, &[0], &pair, &[0]].concat(),
        [&[4, 1, 3, 3][..], &pairs, &[0]].concat(),
        [&[5, 1, 2][..], &[9; 48], &[235, 1], &[4; 235]].concat(),
        [&[6, 1, 1, 2][..], &[3; 32], &[0, 5], &[1; 48], &[0, 6], &[2; 48]].concat(),
    ];
    ratchets.chain(others).collect()
}

/// Messages and headers in the forms of versions 2 and 3.
pub(crate) fn headers() -> Vec<Vec<u8>> {
    let key = [&[68, 0x30, 0x42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6f, 3, 0x39, 0][..], &[5; 56]].concat();
    let counts = [0, 0, 0, 1, 0, 0, 0, 2];
    let proposed = [&b"1P\x04\x86"[..], &[6; 1158]].concat();
    let encrypted = [&[0, 3][..], &[1; 32], &[0, 88], &[2; 88]].concat();
    vec![
        [&[0, 0, 124][..], &encrypted, &[3; 16], &[4; 40]].concat(),
        [&[0, 124][..], &encrypted, &[3; 16], &[4; 40]].concat(),
        [&[1][..], &encrypted].concat(),
        [&[2, 0, 3][..], &key, &counts].concat(),
        [&[3, 0, 3][..], &key, b"0", &counts].concat(),
        [&[3, 0, 3][..], &key, &proposed, &counts].concat(),
        [&[6][..], &proposed[1..]].concat(),
        [&[5, 0, 3][..], &key, &key, b"0"].concat(),
    ]
}
