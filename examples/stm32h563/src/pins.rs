//! The button and the lamp.

use apps::{Input, Output};
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::gpio;
use embassy_stm32::mode::Async;

/// B1, the blue button.
pub struct Button(pub(crate) ExtiInput<'static, Async>);

impl Input for Button {
    async fn wait_until(&mut self, active: bool) {
        if active {
            self.0.wait_for_high().await;
        } else {
            self.0.wait_for_low().await;
        }
    }
}

/// LD1, the green lamp.
pub struct GreenLamp(pub(crate) gpio::Output<'static>);

impl Output for GreenLamp {
    fn set(&mut self, on: bool) {
        self.0.set_level(on.into());
    }
}
