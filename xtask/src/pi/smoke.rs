//! What an operator does first on a new machine: start the relay, send, receive; and pull the plug.

use super::relay::{Folder, Programs, Relay};
use crate::process::Failure;

/// A message goes through the relay; the next one is acknowledged, the relay killed and started again; the message is
/// still there. The other end is `smp` of this computer (`here`), once as the sender and once as the recipient: what two
/// programs for the same processor computed wrongly would look right to both.
pub(super) fn run(programs: &Programs, here: &Programs) -> Result<(), Failure> {
    let folder = Folder::new()?;
    let directory = folder.path("relay");
    let (queue, keys) = (folder.word("queue"), folder.word("keys"));
    let relay = Relay::start(programs, &directory, None)?;
    println!("the relay runs");
    let link = programs.smp(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"])?;
    here.smp(&["send", "--save", &keys, link.trim(), "before the power cut"])?;
    expect(programs, &queue, "before the power cut")?;
    println!("sent from here, received there");
    programs.smp(&["send", "--resume", &keys, "kept through it"])?;
    let relay = relay.again(programs, &directory, None)?;
    println!("killed, and started again");
    expect(here, &queue, "kept through it")?;
    println!("what it had acknowledged is there: sent from there, received here");
    drop(relay);
    Ok(())
}

/// The next message of a queue is this one.
fn expect(programs: &Programs, queue: &str, text: &str) -> Result<(), Failure> {
    let printed = programs.smp(&["receive", "--resume", queue, "--count", "1"])?;
    if printed.lines().any(|line| line == text) {
        Ok(())
    } else {
        Err(Failure::new(format!("smp receive printed {printed:?}, not {text:?}")))
    }
}
