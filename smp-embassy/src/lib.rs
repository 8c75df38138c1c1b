//! A client of SimpleX relays for microcontrollers: notifier, sender and receiver, async, without allocation.
#![no_std]
