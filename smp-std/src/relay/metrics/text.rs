//! The text formats: Prometheus 0.0.4, and OpenMetrics 1.0 for who asks for it. They differ in the names of counters in
//! comments, and in the end mark.

use std::fmt::Write;

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// It grows until the relay stops.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values by size: each sample is how many were no larger than its label `le`, and the last is all of them.
    Histogram {
        /// Of all values.
        sum: f64,
    },
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }
}

/// Numbers of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    /// Each with its labels, as they stand between the braces.
    pub(super) samples: Vec<(String, f64)>,
}

impl Family {
    /// The name of its samples.
    pub(super) fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram { .. } => self.name.to_owned(),
        }
    }
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What a header `Accept` asks for.
    pub(super) fn accepted(accept: &str) -> Self {
        let refused = |parameters: &str| parameters.replace(' ', "").split(';').any(|it| it == "q=0" || it == "q=0.0");
        let wanted = accept.split(',').any(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            kind.trim() == "application/openmetrics-text" && !refused(parameters)
        });
        if wanted { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families as text.
pub(super) fn render(families: &[Family], format: Format) -> String {
    let mut text = String::with_capacity(16 << 10);
    for family in families {
        let sample_name = family.sample_name();
        let name = match format {
            Format::Prometheus => sample_name.as_str(),
            Format::OpenMetrics => family.name,
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {}", family.help);
        let _ = writeln!(text, "# TYPE {name} {}", family.kind.name());
        for (labels, value) in &family.samples {
            let suffix = if matches!(family.kind, Kind::Histogram { .. }) { "_bucket" } else { "" };
            let _ = match labels.as_str() {
                "" => writeln!(text, "{sample_name} {value}"),
                labels => writeln!(text, "{sample_name}{suffix}{{{labels}}} {value}"),
            };
        }
        if let (Kind::Histogram { sum }, Some((_, count))) = (family.kind, family.samples.last()) {
            let _ = writeln!(text, "{sample_name}_sum {sum}\n{sample_name}_count {count}");
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_asks() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Prometheus),
            ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text; q=0", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn a_histogram_has_a_sum_and_a_count() {
        let samples = vec![("le=\"0.5\"".to_owned(), 2.0), ("le=\"+Inf\"".to_owned(), 3.0)];
        let family = Family { name: "smp_c", kind: Kind::Histogram { sum: 1.5 }, help: "Third.", samples };
        let lines = "smp_c_bucket{le=\"0.5\"} 2\nsmp_c_bucket{le=\"+Inf\"} 3\nsmp_c_sum 1.5\nsmp_c_count 3\n";
        let text = format!("# HELP smp_c Third.\n# TYPE smp_c histogram\n{lines}");
        assert_eq!(render(&[family], Format::Prometheus), text);
    }

    #[test]
    fn the_formats_name_counters_differently() {
        let families = [
            Family { name: "smp_a", kind: Kind::Counter, help: "First.", samples: vec![("x=\"y\"".into(), 3.0)] },
            Family { name: "smp_b", kind: Kind::Gauge, help: "Second.", samples: vec![(String::new(), 0.5)] },
        ];
        let gauge = "# HELP smp_b Second.\n# TYPE smp_b gauge\nsmp_b 0.5\n";
        assert_eq!(
            render(&families, Format::Prometheus),
            format!("# HELP smp_a_total First.\n# TYPE smp_a_total counter\nsmp_a_total{{x=\"y\"}} 3\n{gauge}")
        );
        assert_eq!(
            render(&families, Format::OpenMetrics),
            format!("# HELP smp_a First.\n# TYPE smp_a counter\nsmp_a_total{{x=\"y\"}} 3\n{gauge}# EOF\n")
        );
    }
}
