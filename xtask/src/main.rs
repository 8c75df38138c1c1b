//! The project's own chores, started as `cargo xtask`. `cargo xtask help` lists them.
//!
//! Everything that a change has to pass is one command, `cargo xtask test`, for a developer and for continuous
//! integration alike. It needs rustup and a C compiler, and installs the rest where it may.

mod agent_seeds;
mod api;
mod bare;
mod console;
mod elf;
mod family;
mod features;
mod firmware;
mod fuzz;
mod locks;
mod minimal;
mod outside;
mod pi;
mod process;
mod programs;
mod ratchet_seeds;
mod relay_seeds;
mod release;
mod route;
mod sbom;
mod seeds;
mod size;
mod steps;
mod supply;
mod tools;
mod workspace;

use std::process::ExitCode;

use console::Console;
use process::Failure;
use workspace::Workspace;

const HELP: &str = "\
The project's chores.

  cargo xtask test [--quick] [STEP...]     everything a change has to pass; stops at the first failure
  cargo xtask fuzz [--minutes N] [--jobs N] [--keep] [TARGET...]
                                           runs the fuzz targets, N minutes each (default 1), one or --jobs at a time,
                                           keeps what they find in fuzz/corpus and fuzz/artifacts, and tells how far
                                           they came; with --keep the best of it is kept in fuzz/found
  cargo xtask seeds                        makes fuzz/seeds anew from the test vectors
  cargo xtask locks                        brings all other lock files in line with Cargo.lock
  cargo xtask api [--bless]                the public interface of each library crate against docs/api, or writes that anew
  cargo xtask advisories [--offline]       known holes of what all lock files hold: cargo-deny and RustSec's list of them
  cargo xtask minimal                      compiles the last commit with the oldest dependencies that it allows; minutes
  cargo xtask release [--target TRIPLE]    the relay and smp to hand out, with their sums and bills of materials, in
                                           target/dist/files
  cargo xtask reproduce [--target TRIPLE]  builds the last commit twice, in different folders, and compares; minutes
  cargo xtask sbom [--target TRIPLE] [FOLDER]
                                           what is in the relay, in smp and in firmware, in CycloneDX's form
  cargo xtask size [--json] [--panics] [--update]
                                           what the firmware costs, against its limits and examples/qemu-mps2-an386/
                                           size.json, which --update rewrites; --panics lists what in it can panic
  cargo xtask pi                           the relay and smp for a Raspberry Pi (64-bit ARM with Linux), and their sizes
  cargo xtask pi smoke                     the same, and a message through them in an emulator, with a power cut
  cargo xtask pi small [--mib N] [--connections N] [--queues N] [--rate N] [--seconds N]
                                           the relay with 512 MB, 2000 connections and 200000 queues, beyond its limits,
                                           and with too little memory; as root
  cargo xtask pi wear [SECONDS]            bytes written to the disk of TMPDIR for each message
  cargo xtask help                         this text

Steps of `test`, in their order (--quick leaves out those with a star):
";

const ENVIRONMENT: &str = "
Environment:
  XTASK_BARE_METAL=rustup|debian   where libraries for other processors come from (default: rustup, else the distribution)
  FUZZ_SECONDS=N                   how long `test` runs each fuzz target (default 2)
  NO_COLOR=1                       no colour on a terminal either
";

fn main() -> ExitCode {
    if let Some(code) = api::as_rustdoc().or_else(fuzz::compile) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let console = Console::new();
    match run(&arguments, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String], console: &Console) -> Result<(), Failure> {
    let (chore, arguments) = match arguments.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("help", arguments),
    };
    match chore {
        "help" | "--help" | "-h" => {
            print!("{HELP}{}{ENVIRONMENT}", steps::list());
            Ok(())
        }
        "test" => steps::test(&Workspace::find()?, console, arguments),
        "fuzz" => fuzz::chore(&Workspace::find()?, console, arguments),
        "api" => api::chore(&Workspace::find()?, arguments),
        "sbom" => sbom::chore(&Workspace::find()?, arguments),
        "minimal" => minimal::chore(&Workspace::find()?, arguments),
        "release" => release::chore(&Workspace::find()?, arguments),
        "reproduce" => release::reproduce(&Workspace::find()?, arguments),
        "size" => size::chore(&Workspace::find()?, arguments),
        "seeds" => seeds::make(&Workspace::find()?),
        "pi" => pi::chore(&Workspace::find()?, arguments),
        "advisories" => supply::advisories(&Workspace::find()?, arguments),
        "locks" => locks::refresh(&Workspace::find()?),
        other => Err(Failure::new(format!("there is no chore called {other:?}; `cargo xtask help` lists them"))),
    }
}
