//! Which inputs are worth a place in the tree: few and short ones that together reach the most.
//!
//! libFuzzer says what each input of some folders reaches when it merges them (`-set_cover_merge=1`): it writes a control
//! file, which names the inputs, one in a line, and then has a line `FT number feature feature ...` for each.

use std::collections::{BinaryHeap, HashSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::process::Failure;

/// An input, and what it reaches.
pub(super) struct Reach {
    path: PathBuf,
    features: Vec<u32>,
}

/// Reads a control file of a fuzzer that was started in `root`.
pub(super) fn read(control: impl BufRead, root: &Path) -> Result<Vec<Reach>, Failure> {
    let wrong = || Failure::new("the fuzzer's control file has another form than expected");
    let mut lines = control.lines();
    let mut line = || lines.next().transpose().map_err(|error| Failure::because("reading the control file", error));
    let count: usize = line()?.and_then(|line| line.parse().ok()).ok_or_else(wrong)?;
    // How many of them are in the first folder.
    line()?.ok_or_else(wrong)?;
    let mut inputs = Vec::new();
    for _ in 0..count {
        let path = root.join(line()?.ok_or_else(wrong)?);
        inputs.push(Reach { path, features: Vec::new() });
    }
    while let Some(line) = line()? {
        let Some(rest) = line.strip_prefix("FT ") else { continue };
        let mut numbers = rest.split_ascii_whitespace().map(str::parse::<u32>);
        let number = numbers.next().and_then(Result::ok).ok_or_else(wrong)?;
        let input = usize::try_from(number).ok().and_then(|number| inputs.get_mut(number)).ok_or_else(wrong)?;
        input.features = numbers.collect::<Result<_, _>>().map_err(|_| wrong())?;
    }
    Ok(inputs)
}

/// At most `count` of the inputs of at most `length` bytes that reach the most which neither those in `known` nor each other
/// reach, the best first: each is the one that adds the most to those before it.
pub(super) fn best(inputs: Vec<Reach>, known: &Path, count: usize, length: u64) -> io::Result<Vec<PathBuf>> {
    let mut reached: HashSet<u32> = HashSet::new();
    let mut candidates = Vec::new();
    for input in inputs {
        if input.path.starts_with(known) {
            reached.extend(input.features);
        } else if input.path.metadata()?.len() <= length {
            candidates.push(input);
        }
    }
    // What one adds gets less with each that is taken: the first whose number is still right is the best.
    let mut order: BinaryHeap<(usize, usize)> =
        candidates.iter().enumerate().map(|(number, input)| (input.features.len(), number)).collect();
    let mut taken = Vec::new();
    while let (true, Some((_, number))) = (taken.len() < count, order.pop()) {
        let Some(input) = candidates.get(number) else { continue };
        let adds = input.features.iter().filter(|feature| !reached.contains(feature)).count();
        if order.peek().is_some_and(|(next, _)| *next > adds) {
            order.push((adds, number));
        } else if adds > 0 {
            reached.extend(&input.features);
            taken.push(input.path.clone());
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_inputs_reach_much() {
        let folder = std::env::temp_dir().join(format!("xtask-keep-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("seeds")).unwrap();
        let inputs = [
            ("seeds/0", 3, "1 2 3"),
            ("nothing-new", 3, "1 2"),
            ("some", 3, "3 4 5"),
            ("most", 3, "4 5 6 7"),
            ("other", 3, "1 8"),
            ("too-long", 30, "20 21 22 23 24 25"),
        ];
        let mut control = format!("{}\n1\n", inputs.len());
        for (name, length, _) in inputs {
            std::fs::write(folder.join(name), vec![0; length]).unwrap();
            control += &format!("{name}\n");
        }
        for (number, (_, length, features)) in inputs.iter().enumerate() {
            control += &format!("STARTED {number} {length}\nFT {number} {features}\nCOV {number} 1\n");
        }
        let best = |count| {
            let inputs = read(control.as_bytes(), &folder).unwrap_or_else(|failure| panic!("{failure}"));
            let best = super::best(inputs, &folder.join("seeds"), count, 10).unwrap();
            best.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(best(9), ["most", "other"]);
        assert_eq!(best(1), ["most"]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read(&b"2\n0\none\n"[..], &folder).is_err());
        assert!(read(&b"1\n0\none\nFT 1 2\n"[..], &folder).is_err());
    }
}
