//! The one set of logging macros: `defmt`, `log`, or nothing. What is logged are fixed words and small numbers, never
//! anything that identifies a user, a queue, a key or an address.

#[cfg(all(feature = "defmt", feature = "log"))]
compile_error!("the features `defmt` and `log` of smp-embassy exclude each other");

macro_rules! info {
    ($text:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::info!($text $(, $argument)*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::info!($text $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $(let _ = &$argument;)* }
    }};
}

macro_rules! warning {
    ($text:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::warn!($text $(, $argument)*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::warn!($text $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $(let _ = &$argument;)* }
    }};
}

pub(crate) use {info, warning};
