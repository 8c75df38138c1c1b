//! Clocks, peripherals, and the tasks that every program needs.

use defmt::unwrap;
use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::flash::Flash;
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embassy_stm32::peripherals::{IWDG, RNG, USART3};
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale,
};
use embassy_stm32::rng::Rng;
use embassy_stm32::time::Hertz;
use embassy_stm32::usart::{self, BufferedUart};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Config, bind_interrupts, dts, eth, interrupt, rng, uid};
use embassy_time::{Duration, Ticker};
use static_cell::StaticCell;

use crate::network;
use crate::{Button, GreenLamp, Random, StoreFlash, Temperature};

bind_interrupts!(pub(crate) struct Interrupts {
    DTS => dts::InterruptHandler;
    ETH => eth::InterruptHandler;
    EXTI13 => exti::InterruptHandler<interrupt::typelevel::EXTI13>;
    RNG => rng::InterruptHandler<RNG>;
    USART3 => usart::BufferedInterruptHandler<USART3>;
});

/// The serial port at the debug probe's end of the USB cable.
pub type Terminal = BufferedUart<'static>;

/// After how long without a sign of life the processor starts again, in microseconds. Longer than the slowest thing one
/// task does without letting others run: the signatures of a handshake, well under a second.
const WATCHDOG_MICROSECONDS: u32 = 8_000_000;

/// Everything a program may use.
pub struct Board {
    /// The network, which asks for an address by itself.
    pub network: Stack<'static>,
    /// The source of every secret.
    pub random: Random,
    /// Where the store is kept.
    pub flash: StoreFlash,
    /// B1.
    pub button: Button,
    /// LD1.
    pub lamp: GreenLamp,
    /// The processor's temperature.
    pub temperature: Temperature,
    /// USART3.
    pub terminal: Terminal,
}

impl Board {
    /// Starts the board: 250 MHz, watchdog, network.
    pub fn start(spawner: Spawner) -> Self {
        let p = embassy_stm32::init(clocks());
        let mut watchdog = IndependentWatchdog::new(p.IWDG, WATCHDOG_MICROSECONDS);
        watchdog.unleash();
        spawner.spawn(unwrap!(pet(watchdog)));

        let mut random = Random::new(Rng::new(p.RNG, Interrupts));
        let device = network::device(
            network::Parts {
                mac: p.ETH,
                ref_clk: p.PA1,
                crs: p.PA7,
                rx_d0: p.PC4,
                rx_d1: p.PC5,
                tx_d0: p.PG13,
                tx_d1: p.PB15,
                tx_en: p.PG11,
                management: p.ETH_SMA,
                mdio: p.PA2,
                mdc: p.PC1,
            },
            network::hardware_address(&uid::uid()),
        );
        // Without randomness there is no connection, so nothing is lost by starting again.
        let seed = unwrap!(random.seed());
        let (stack, runner) = network::stack(device, seed);
        spawner.spawn(unwrap!(network::run(runner)));

        static TRANSMIT: StaticCell<[u8; 64]> = StaticCell::new();
        static RECEIVE: StaticCell<[u8; 512]> = StaticCell::new();
        let terminal = BufferedUart::new(
            p.USART3,
            p.PD9,
            p.PD8,
            TRANSMIT.init([0; 64]),
            RECEIVE.init([0; 512]),
            Interrupts,
            usart::Config::default(),
        );
        Self {
            network: stack,
            random,
            flash: StoreFlash::new(Flash::new_blocking(p.FLASH).into_blocking_regions().bank2_region),
            // Pressed is high.
            button: Button(ExtiInput::new(p.PC13, p.EXTI13, Pull::Down, Interrupts)),
            lamp: GreenLamp(Output::new(p.PB0, Level::Low, Speed::Low)),
            temperature: Temperature::new(p.DTS),
            terminal: unwrap!(terminal),
        }
    }
}

/// 250 MHz from the 8 MHz that the debug probe gives; 48 MHz for the random number generator.
fn clocks() -> Config {
    let mut config = Config::default();
    config.rcc.hsi = None;
    config.rcc.hsi48 = Some(Default::default());
    config.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::BypassDigital });
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV2,
        mul: PllMul::MUL125,
        divp: Some(PllDiv::DIV2),
        divq: Some(PllDiv::DIV2),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    // The thermometer wants less than 127 MHz.
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    config.rcc.apb2_pre = APBPrescaler::DIV1;
    config.rcc.apb3_pre = APBPrescaler::DIV1;
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.voltage_scale = VoltageScale::Scale0;
    config
}

/// Tells the watchdog that the executor still runs its tasks.
#[embassy_executor::task]
async fn pet(mut watchdog: IndependentWatchdog<'static, IWDG>) {
    let mut ticker = Ticker::every(Duration::from_secs(2));
    loop {
        watchdog.pet();
        ticker.next().await;
    }
}
