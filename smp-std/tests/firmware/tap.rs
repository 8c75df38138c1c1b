//! The applications as a Linux program (`examples/host-tap`), over a TAP device in a network namespace of their own.

mod programs;

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use programs::{Program, Relay};

/// The computer's end of the cable.
const HOST: &str = "192.168.69.1";
/// The program's end.
const PROGRAM: &str = "192.168.69.2/24";

/// A network namespace with a TAP device, and a folder; gone when dropped.
pub(super) struct World {
    namespace: String,
    folder: tempfile::TempDir,
}

impl World {
    /// `None`, with a line on standard error that no test harness hides, where there can be none.
    fn new() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("smp-tap-{}-{number}", std::process::id());
        if let Err(why) = ip(&["netns", "add", &namespace]) {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: a story of tests/firmware/tap.rs needs root, and network namespaces made with the ip program of \
                 iproute2: {why}"
            );
            return None;
        }
        // From here on a failure is one of the test.
        let world = Self { namespace, folder: tempfile::tempdir().unwrap() };
        let here = &["-n", &world.namespace][..];
        for arguments in [
            &["link", "set", "lo", "up"][..],
            &["tuntap", "add", "tap0", "mode", "tap"],
            &["address", "add", &format!("{HOST}/24"), "dev", "tap0"],
            &["link", "set", "tap0", "up"],
        ] {
            ip(&[here, arguments].concat()).unwrap();
        }
        Some(world)
    }

    /// A program in the namespace. `ip` becomes the program, so that its process id is the program's.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command.env("XDG_STATE_HOME", self.folder.path());
        command
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    fn receive(&self, relay: &Relay) -> (Program, String) {
        let mut smp = self.command(env!("CARGO_BIN_EXE_smp"));
        smp.args(["receive", "--server", &relay.address, "--save", &self.file("queue")]);
        let receiver = Program::start(smp);
        let link = receiver.line();
        (receiver, link)
    }

    /// Runs `smp` to its end and gives its first line.
    fn smp(&self, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_smp")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn application(&self, name: &str, more: &[&str]) -> Program {
        let program = std::env::var("SMP_HOST_TAP").expect("SMP_HOST_TAP names the program");
        let mut command = self.command(&program);
        command.args([name, "--tap", "tap0", "--address", PROGRAM, "--flash", &self.file(name)]).args(more);
        Program::start(command)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.namespace]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// The number in front of an alarm's text.
fn number(alarm: &str) -> u64 {
    alarm.strip_suffix(": Enter").expect("an alarm").parse().expect("its number")
}

#[test]
#[ignore = "needs examples/host-tap"]
fn alarms_arrive_though_relay_and_program_are_killed() {
    let Some(world) = World::new() else { return };
    let relay = Relay::start(&world);
    let (receiver, link) = world.receive(&relay);
    let mut program = world.application("alarm", &["--queue", &link]);
    program.wait_for("secured");
    program.press_enter();
    program.wait_for("accepted");
    let first = number(&receiver.line());

    // Nobody is there to take the second one, and then it is only in the flash.
    drop(relay);
    program.press_enter();
    program.wait_for("kept");
    program.kill();
    let relay = Relay::start(&world);
    let mut program = world.application("alarm", &[]);
    program.wait_for("accepted");
    let second = number(&receiver.line());
    assert_eq!(second, first + 1);

    // The third one has a number of its own, though the program forgot which it had used.
    program.press_enter();
    program.wait_for("accepted");
    assert!(number(&receiver.line()) > second);
    drop(relay);
}

#[test]
#[ignore = "needs examples/host-tap"]
fn a_lamp_blinks_until_enter_is_pressed() {
    let Some(world) = World::new() else { return };
    let relay = Relay::start(&world);
    let (receiver, link) = world.receive(&relay);
    let mut program = world.application("lamp", &[]);
    let access = world.smp(&["notifier", "--resume", &world.file("queue"), &program.line()]);
    program.enter(&access);
    program.wait_for("subscribed");
    world.smp(&["send", &link, "hello"]);
    assert_eq!(receiver.line(), "hello");
    for line in ["message", "lamp on", "lamp off", "lamp on"] {
        assert_eq!(program.line(), line);
    }
    program.press_enter();
    // Once more the flash may have begun before the button was still; then it is dark until the next message.
    world.smp(&["notifier", "--resume", &world.file("queue"), "--remove"]);
    program.wait_for("gone");
    assert_eq!(program.code(), 1, "without a queue there is nothing to do");

    // The flash has what was entered: it asks for nothing, and finds that it is not let in any more.
    let program = world.application("lamp", &[]);
    program.wait_for("gone");
    assert_eq!(program.code(), 1);
}
