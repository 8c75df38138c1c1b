//! The reference's `smp-server.ini` (wire reference, 14.2): sections with `key = value` or `key: value`.

use std::collections::BTreeMap;

/// What the file says. Names are as they are written; the reference tells upper from lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini {
    /// Line numbers go along, for reports.
    options: BTreeMap<(String, String), (u64, String)>,
    unreadable: Vec<u64>,
}

impl Ini {
    /// Reads the text of a file. Lines that make no sense are remembered by their number.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut ini = Self::default();
        let mut section = None;
        for (number, line) in (1u64..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = Some(name.trim().to_owned());
                continue;
            }
            match (&section, line.split_once(['=', ':'])) {
                (Some(section), Some((key, value))) if !key.trim().is_empty() => {
                    let name = (section.clone(), key.trim().to_owned());
                    // The first one counts.
                    ini.options.entry(name).or_insert_with(|| (number, value.trim().to_owned()));
                }
                _ => ini.unreadable.push(number),
            }
        }
        ini
    }

    /// The value of an option. An empty one is as good as none.
    #[must_use]
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let (_, value) = self.options.get(&(section.to_owned(), key.to_owned()))?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// Whether an option is on; `default` when it is not there. `None` when it is neither `on` nor `off`.
    #[must_use]
    pub fn switch(&self, section: &str, key: &str, default: bool) -> Option<bool> {
        match self.get(section, key) {
            None => Some(default),
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some(_) => None,
        }
    }

    /// All options: section, key, value, in the order of the names.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.options.iter().map(|((section, key), (_, value))| (section.as_str(), key.as_str(), value.as_str()))
    }

    /// Numbers of the lines that are neither a section nor an option.
    #[must_use]
    pub fn unreadable_lines(&self) -> &[u64] {
        &self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_comments_and_nonsense() {
        let ini = Ini::parse(
            "lost = 1\n[STORE_LOG]\nenable = on\n# x = 1\n; y = 2\nexpire_messages_days: 7\nnonsense\nenable = off\n\
             [ TRANSPORT ]\nhost = <domain>\nport=5223,443\nempty =\nurl = a=b:c\n",
        );
        assert_eq!(ini.switch("STORE_LOG", "enable", false), Some(true));
        assert_eq!(ini.switch("STORE_LOG", "expire_messages_days", false), None);
        assert_eq!(ini.switch("STORE_LOG", "absent", true), Some(true));
        assert_eq!(ini.get("STORE_LOG", "expire_messages_days"), Some("7"));
        assert_eq!(ini.get("TRANSPORT", "port"), Some("5223,443"));
        assert_eq!(ini.get("TRANSPORT", "empty"), None);
        assert_eq!(ini.get("TRANSPORT", "url"), Some("a=b:c"));
        assert_eq!(ini.get("STORE_LOG", "x"), None);
        assert_eq!(ini.unreadable_lines(), [1, 7]);
    }
}
