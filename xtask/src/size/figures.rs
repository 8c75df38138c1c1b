//! The figures of a program, where they come from, and how they compare.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::elf::Elf;

/// Instructions between two readings of the board's clock that may as well be none: it counts in steps of 40.
pub(super) const CLOCK: u64 = 80;

/// What a program costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Bytes of flash: code, constants, and what statics begin with.
    pub(crate) flash: u64,
    /// Bytes of RAM for statics: buffers, tasks, the network.
    pub(crate) statics: u64,
    /// The most bytes of stack in use at one time, if the program said so.
    pub(crate) stack: Option<u64>,
    /// Instructions of operations.
    pub(crate) instructions: BTreeMap<String, u64>,
    /// Bytes of stack of single operations.
    pub(crate) stacks: BTreeMap<String, u64>,
}

impl Figures {
    /// Those of a program and of what it printed.
    pub(crate) fn new(elf: &Elf<'_>, printed: &str) -> Self {
        let mut figures = Self { flash: elf.flash(), statics: elf.statics(), ..Self::default() };
        for line in printed.lines() {
            figures.line(line);
        }
        figures
    }

    /// Of several runs the cheapest counts, and the deepest stack: what other runs cost more is packets that came otherwise.
    fn line(&mut self, line: &str) {
        let note = |map: &mut BTreeMap<String, u64>, name: &str, value: u64, choose: fn(u64, u64) -> u64| {
            let known = map.entry(name.to_owned()).or_insert(value);
            *known = choose(value, *known);
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.last().and_then(|word| word.parse::<u64>().ok());
        match (words.as_slice(), number) {
            (["stack", _], Some(bytes)) => self.stack = self.stack.max(Some(bytes)),
            (["measure", operation, _], Some(count)) => note(&mut self.instructions, operation, count, u64::min),
            (["event", "stack-of", operation, _], Some(bytes)) => note(&mut self.stacks, operation, bytes, u64::max),
            _ => {}
        }
    }

    /// Bytes of RAM in all.
    pub(crate) fn ram(&self) -> u64 {
        self.statics.saturating_add(self.stack.unwrap_or_default())
    }

    /// As the baseline holds it.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = Map::new();
        value.insert("flash".to_owned(), json!(self.flash));
        value.insert("static_ram".to_owned(), json!(self.statics));
        if let Some(stack) = self.stack {
            value.insert("stack".to_owned(), json!(stack));
        }
        for (name, map) in [("instructions", &self.instructions), ("stack_of", &self.stacks)] {
            if !map.is_empty() {
                value.insert(name.to_owned(), json!(map));
            }
        }
        Value::Object(value)
    }

    /// From the baseline. What is not there was not known.
    pub(crate) fn from_json(value: &Value) -> Self {
        let map = |name: &str| -> BTreeMap<String, u64> {
            let members = value[name].as_object().into_iter().flatten();
            members.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
        };
        Self {
            flash: value["flash"].as_u64().unwrap_or_default(),
            statics: value["static_ram"].as_u64().unwrap_or_default(),
            stack: value["stack"].as_u64(),
            instructions: map("instructions"),
            stacks: map("stack_of"),
        }
    }

    /// All figures by name.
    fn all(&self) -> BTreeMap<String, u64> {
        let named = |(name, value): (&str, u64)| (name.to_owned(), value);
        let mut all: BTreeMap<String, u64> =
            [("bytes of flash", self.flash), ("bytes of static RAM", self.statics)].map(named).into();
        all.extend(self.stack.map(|stack| ("bytes of stack".to_owned(), stack)));
        all.extend(self.instructions.iter().map(|(name, count)| (format!("instructions of {name}"), *count)));
        all.extend(self.stacks.iter().map(|(name, bytes)| (format!("bytes of stack of {name}"), *bytes)));
        all
    }

    /// What became dearer than `before` by more than a twentieth, or is not in one of the two.
    pub(crate) fn regressions(&self, before: &Self) -> Vec<String> {
        let (now, before) = (self.all(), before.all());
        let mut found = Vec::new();
        for (name, was) in &before {
            match now.get(name) {
                None => found.push(format!("{name}: not measured any more")),
                Some(is) if name.starts_with("instructions") && *is <= was.saturating_add(CLOCK) => {}
                Some(is) if is.saturating_mul(20) > was.saturating_mul(21) => {
                    found.push(format!("{name}: {is}, it was {was}"));
                }
                Some(_) => {}
            }
        }
        let new = now.keys().filter(|name| !before.contains_key(*name));
        found.extend(new.map(|name| format!("{name}: not in the baseline")));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(printed: &str) -> Figures {
        let mut figures = Figures { flash: 1_000, statics: 2_000, ..Figures::default() };
        printed.lines().for_each(|line| figures.line(line));
        figures
    }

    #[test]
    fn what_firmware_prints_is_read() {
        let figures = figures(
            "event started\nstack 300\nmeasure send 70\nmeasure send 71\nmeasure send 69\nstack 200\n\
             event stack-of sign 5\nmeasure broken\nmeasure send x\n",
        );
        assert_eq!(figures.stack, Some(300));
        assert_eq!(figures.ram(), 2_300);
        assert_eq!(figures.instructions, BTreeMap::from([("send".to_owned(), 69)]));
        assert_eq!(figures.stacks, BTreeMap::from([("sign".to_owned(), 5)]));
        assert_eq!(Figures::from_json(&figures.to_json()), figures);
    }

    #[test]
    fn a_twentieth_more_passes_and_not_a_byte_beyond() {
        let before = figures("stack 100\nmeasure send 2000");
        assert!(before.regressions(&before).is_empty());
        assert!(figures("stack 105\nmeasure send 1").regressions(&before).is_empty());
        assert_eq!(figures("stack 106\nmeasure send 2000").regressions(&before), ["bytes of stack: 106, it was 100"]);
        let dearer = figures("stack 100\nmeasure send 2101").regressions(&before);
        assert_eq!(dearer, ["instructions of send: 2101, it was 2000"]);
        assert!(figures("measure nothing 40").regressions(&figures("measure nothing 0")).is_empty());
        assert_eq!(figures("stack 100").regressions(&before), ["instructions of send: not measured any more"]);
        let more = figures("stack 100\nmeasure send 2000\nmeasure receive 1");
        assert_eq!(more.regressions(&before), ["instructions of receive: not in the baseline"]);
    }
}
