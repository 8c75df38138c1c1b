//! Building the targets: the project's own crates with what the fuzzer needs to see, those of others as they are.
//!
//! The compiler instruments the code when told so by stable code generation flags; these are the ones `cargo fuzz` passes,
//! less AddressSanitizer. That one needs a nightly compiler and looks for memory errors, and the crates under test
//! forbid `unsafe`. What others wrote is not what the fuzzer is to explore: without the flags their crates are built in
//! a part of the time, and the ciphers among them run several times as fast. What is generic in them is compiled, and
//! seen, where it is used.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::process::{Failure, Run};
use crate::workspace::Workspace;

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Says to this program, started by cargo, that it stands in for the compiler, and where the project's own crates are.
const OWN: &str = "XTASK_FUZZ_OWN";

/// Builds the targets in a profile of `fuzz/Cargo.toml` and says where they are.
pub(super) fn build(workspace: &Workspace, profile: &str, targets: &[String]) -> Result<PathBuf, Failure> {
    let host = Run::new("rustc").args(["--version", "--verbose"]).output()?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc names no host"))?.to_owned();
    let this = std::env::current_exe().map_err(|error| Failure::because("finding this program", error))?;
    // Naming the target keeps the flags away from build scripts and procedural macros.
    let mut run = workspace
        .cargo()
        .env("RUSTFLAGS", FLAGS)
        .env("RUSTC_WRAPPER", this)
        .env(OWN, &workspace.root)
        .args(["build", "--profile", profile, "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "fuzz/target"])
        .args(["--target", &host]);
    for target in targets {
        run = run.args(["--bin", target]);
    }
    run.run()?;
    Ok(workspace.fuzz().join("target").join(host).join(profile))
}

/// In the place of the compiler: passes on what cargo says, without the flags when the crate is not the project's own.
/// Nothing when this program was started by a person.
pub(crate) fn compile() -> Option<ExitCode> {
    let own = PathBuf::from(std::env::var_os(OWN)?);
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next()?);
    let is_own = std::env::var_os("CARGO_MANIFEST_DIR").is_some_and(|folder| Path::new(&folder).starts_with(&own));
    let is_flag = |argument: &std::ffi::OsStr| {
        argument
            .to_str()
            .is_some_and(|text| text.starts_with("-C") && FLAGS.split_whitespace().any(|flag| flag == text))
    };
    command.args(arguments.filter(|argument| is_own || !is_flag(argument)));
    // Whatever a build script starts is no business of this program.
    command.env_remove(OWN);
    let code = command.status().ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
