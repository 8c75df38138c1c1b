//! A sensor that tells when it measures too much.

use embassy_time::{Duration, Instant, Ticker};
use smp_embassy::store::NumberStore;

use crate::button::numbered;
use crate::text::{append, append_value};
use crate::{Limits, Report, Sensor, Text, Texts, Watch};

/// What is measured, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// What the value is called in texts.
    pub name: &'a str,
    /// What follows the value, " °C" for example.
    pub unit: &'a str,
    /// How many decimals a value has: with one, 215 is 21.5.
    pub decimals: u8,
    /// How often to measure.
    pub interval: Duration,
    /// When to tell.
    pub limits: Limits,
}

/// Measures, and puts a text into the outbox when there is something to tell, as "17: boiler 71.5 °C, limit 70.0". Never
/// ends.
pub async fn watch_sensor(
    mut sensor: impl Sensor,
    mut numbers: impl NumberStore,
    mut texts: impl Texts,
    gauge: &Gauge<'_>,
) -> ! {
    let mut watch = Watch::new(gauge.limits);
    let mut ticker = Ticker::every(gauge.interval);
    loop {
        let reading = sensor.read().await.ok();
        if let Some(report) = watch.reading(Instant::now(), reading) {
            texts.put(numbered(&mut numbers, &gauge.text(report)).await).await;
        }
        ticker.next().await;
    }
}

impl Gauge<'_> {
    /// What a report says, without its number.
    #[must_use]
    pub fn text(&self, report: Report) -> Text {
        let mut text = Text::new();
        append(&mut text, self.name);
        append(&mut text, " ");
        let (value, end) = match report {
            Report::Above(value) => (value, ", limit "),
            Report::StillAbove(value) => (value, ", still above "),
            Report::Below(value) => (value, ", again below "),
            Report::Failed => {
                append(&mut text, "is not measured: the sensor does not answer");
                return text;
            }
        };
        append_value(&mut text, value, self.decimals);
        append(&mut text, self.unit);
        append(&mut text, end);
        append_value(&mut text, self.limits.limit, self.decimals);
        text
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;

    use super::*;
    use crate::testing::{Counter, Sent, run};

    #[test]
    fn tells_when_it_is_too_warm_and_when_the_sensor_breaks() {
        let gauge = Gauge {
            name: "boiler",
            unit: " °C",
            decimals: 1,
            interval: Duration::from_millis(100),
            limits: Limits {
                limit: 700,
                hysteresis: 20,
                spacing: Duration::from_secs(1),
                repeat: Duration::from_secs(10),
                failures: 3,
            },
        };
        let (value, numbers, sent) = (Cell::new(Some(650)), Counter::from(1), Sent::default());
        run(watch_sensor(&value, &numbers, &sent, &gauge), |run| {
            run.pass(5000);
            assert!(sent.take().is_empty());
            value.set(Some(715));
            run.pass(150);
            assert_eq!(sent.take(), ["1: boiler 71.5 °C, limit 70.0"]);
            run.pass(10_000);
            assert_eq!(sent.take(), ["2: boiler 71.5 °C, still above 70.0"]);
            value.set(Some(-5));
            run.pass(1000);
            assert_eq!(sent.take(), ["3: boiler -0.5 °C, again below 70.0"]);
            value.set(None);
            run.pass(1000);
            assert_eq!(sent.take(), ["4: boiler is not measured: the sensor does not answer"]);
        });
    }
}
