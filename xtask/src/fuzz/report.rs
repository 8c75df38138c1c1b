//! What came of a run, as libFuzzer tells it.

/// The figures of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) target: String,
    /// Inputs known before: of the tree, and found earlier.
    pub(super) known: usize,
    pub(super) seconds: u64,
    pub(super) executions: u64,
    /// Edges of the control flow that were reached.
    pub(super) edges: u64,
    /// Edges told apart by how often they were passed, and comparisons by how near they came.
    pub(super) features: u64,
    /// Inputs that each reach something new.
    pub(super) corpus: u64,
}

impl Figures {
    /// Reads what libFuzzer said.
    pub(super) fn read(target: &str, known: usize, seconds: u64, said: &str) -> Self {
        let after = |line: &str, word: &str| -> Option<u64> {
            let value = line.split_once(word)?.1.trim_start();
            let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
            value.get(..digits)?.parse().ok()
        };
        let last = |word: &str| said.lines().rev().find_map(|line| after(line, word)).unwrap_or(0);
        Self {
            target: target.to_owned(),
            known,
            seconds,
            executions: last("stat::number_of_executed_units:"),
            edges: last(" cov: "),
            features: last(" ft: "),
            corpus: last(" corp: "),
        }
    }

    /// One line for who waits.
    pub(super) fn line(&self) -> String {
        let Self { target, known, seconds, executions, .. } = self;
        format!("{target}: {known} inputs replayed, then {executions} runs in {seconds} s")
    }
}

/// The figures of all targets as a table that fits a document.
pub(super) fn table(all: &[Figures]) -> String {
    let mut table =
        "| target | executions | in a second | edges | features | corpus |\n|---|--:|--:|--:|--:|--:|\n".to_owned();
    for Figures { target, seconds, executions, edges, features, corpus, .. } in all {
        let rate = executions.checked_div(*seconds).unwrap_or(0);
        table.push_str(&format!("| `{target}` | {executions} | {rate} | {edges} | {features} | {corpus} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
#2\tINITED cov: 99 ft: 100 corp: 1/1b exec/s: 0 rss: 41Mb
#65536\tpulse  cov: 1016 ft: 4049 corp: 314/11Kb lim: 663 exec/s: 32768 rss: 72Mb
#70001\tDONE   cov: 1020 ft: 4055 corp: 317/12Kb lim: 670 exec/s: 14000 rss: 73Mb
Done 70001 runs in 6 second(s)
stat::number_of_executed_units: 70001
stat::average_exec_per_sec:     11666
";

    #[test]
    fn the_last_figures_count() {
        let figures = Figures::read("padding", 3, 5, SAID);
        let expected = Figures {
            target: "padding".to_owned(),
            known: 3,
            seconds: 5,
            executions: 70_001,
            edges: 1020,
            features: 4055,
            corpus: 317,
        };
        assert_eq!(figures, expected);
        assert!(table(&[figures]).ends_with("| `padding` | 70001 | 14000 | 1020 | 4055 | 317 |\n"));
    }

    #[test]
    fn nothing_said_is_nothing_counted() {
        let figures = Figures::read("padding", 0, 0, "");
        assert_eq!((figures.executions, figures.edges), (0, 0));
        assert!(table(&[figures]).contains("| 0 | 0 |"));
    }
}
