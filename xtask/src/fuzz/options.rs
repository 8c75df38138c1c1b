//! What `cargo xtask fuzz` is told.

use crate::process::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The profile of `fuzz/Cargo.toml` that targets are compiled in.
    pub(super) profile: &'static str,
    /// How long each target runs.
    pub(super) seconds: u64,
    /// How many targets run at the same time.
    pub(super) jobs: usize,
    /// What was found, and reaches more, is kept in the tree.
    pub(super) keep: bool,
    /// Chosen targets; all when there are none.
    pub(super) targets: Vec<String>,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { profile: "release", seconds: 60, jobs: 1, keep: false, targets: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = |name: &str| {
                let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| Failure::new(format!("{name} wants a whole number")))
            };
            match argument.as_str() {
                "--minutes" => options.seconds = number(argument)?.saturating_mul(60),
                "--seconds" => options.seconds = number(argument)?,
                "--jobs" => options.jobs = usize::try_from(number(argument)?.max(1)).unwrap_or(1),
                "--keep" => options.keep = true,
                other if other.starts_with('-') => {
                    return Err(Failure::new(format!("there is no option {other}; `cargo xtask help` lists them")));
                }
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let read = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let plain = Options { profile: "release", seconds: 60, jobs: 1, keep: false, targets: Vec::new() };
        assert_eq!(read(&[]).unwrap(), plain);
        let chosen =
            Options { seconds: 180, jobs: 2, keep: true, targets: vec!["padding".to_owned()], ..plain.clone() };
        assert_eq!(read(&["padding", "--minutes", "3", "--jobs", "2", "--keep"]).unwrap(), chosen);
        assert_eq!(read(&["--seconds", "5", "--jobs", "0"]).unwrap(), Options { seconds: 5, ..plain.clone() });
        for wrong in [&["--minutes"][..], &["--minutes", "x"], &["--jobs"], &["--hours", "1"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
