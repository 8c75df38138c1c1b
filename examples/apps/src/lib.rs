//! What the firmware examples do, whatever the board.
#![no_std]
