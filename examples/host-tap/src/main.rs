//! The applications of the firmware as a Linux program: the same client, the same TCP/IP, the same executor; the network is
//! a TAP device, the flash a file, the button the Enter key. See README.md.

mod alarm;
mod arguments;
mod clock;
mod flash;
mod lamp;
mod log;
mod network;
mod store;
mod terminal;

use std::error::Error;
use std::process::ExitCode;

use embassy_executor::{Executor, Spawner};
use static_cell::StaticCell;

use arguments::{Application, Arguments, USAGE};

/// Why the program ended.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    log::start();
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    EXECUTOR.init(Executor::new()).run(|spawner| match run(spawner, arguments) {
        Ok(task) => spawner.spawn(task),
        Err(failure) => end(&failure),
    })
}

#[embassy_executor::task]
async fn run(spawner: Spawner, arguments: Arguments) {
    let ended = match &arguments.application {
        Application::Alarm { queue } => alarm::run(spawner, &arguments, queue.as_deref()).await,
        Application::Lamp => lamp::run(spawner, &arguments).await,
    };
    match ended {
        Ok(()) => std::process::exit(0),
        Err(failure) => end(&*failure),
    }
}

fn end(failure: &dyn Error) -> ! {
    eprintln!("host-tap: {failure}");
    std::process::exit(1)
}
