//! The processor's digital temperature sensor.

use apps::Sensor;
use embassy_stm32::Peri;
use embassy_stm32::dts::{Config, Dts, SampleTime};
use embassy_stm32::peripherals::DTS;
use embassy_stm32::rcc::frequency;
use embassy_time::{Duration, with_timeout};

use crate::board::Interrupts;

/// How long a measurement may take.
const TIME_OUT: Duration = Duration::from_millis(100);

/// How many periods of the sensor one measurement counts.
const PERIODS: SampleTime = SampleTime::ClockCycles15;

/// There was no measurement in time, or none that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct NoReading;

/// Measures the temperature of the processor, in tenths of a degree Celsius. It is some degrees warmer than the room; for a
/// cellar or a freezer, connect a sensor of your own and implement [`Sensor`] for it.
pub struct Temperature(Dts<'static>);

impl Temperature {
    pub(crate) fn new(peripheral: Peri<'static, DTS>) -> Self {
        let mut config = Config::default();
        config.sample_time = PERIODS;
        Self(Dts::new(peripheral, Interrupts, config))
    }
}

impl Sensor for Temperature {
    type Error = NoReading;

    async fn read(&mut self) -> Result<i32, NoReading> {
        let counted = with_timeout(TIME_OUT, self.0.read()).await.map_err(|_| NoReading)?;
        let calibration = Dts::factory_calibration();
        // The sensor's frequency grows with the temperature; the clock was counted during some of its periods.
        let clock = i64::from(frequency::<DTS>().0).saturating_mul(PERIODS as i64);
        let sensor = clock.checked_div(i64::from(counted)).ok_or(NoReading)?;
        let above = sensor.saturating_sub(i64::from(calibration.fmt0.0)).saturating_mul(10);
        let above = above.checked_div(i64::from(calibration.ramp_coeff)).ok_or(NoReading)?;
        i32::try_from(above.saturating_add(i64::from(calibration.t0) * 10)).map_err(|_| NoReading)
    }
}
