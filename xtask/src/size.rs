//! What the firmware of the emulated board costs: flash, RAM and instructions, each with its limit. And what must not be in
//! it: an allocator, and places in the project's own code that panic.

mod figures;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::elf::{Elf, Place};
use crate::outside::EMULATED;
use crate::process::{Failure, Run};
use crate::route::Route;
use crate::tools::Need;
use crate::workspace::Workspace;
use crate::{bare, firmware};
use figures::{CLOCK, Figures};

/// What a program may cost at most.
struct Budget {
    program: &'static str,
    /// Bytes of flash.
    flash: u64,
    /// Bytes of RAM, the stack included.
    ram: u64,
    /// Instructions of an operation.
    instructions: (&'static str, u64),
}

const BUDGETS: [Budget; 2] = [
    // From the TCP connection to the answer to the first NSUB.
    Budget { program: "notifier", flash: 128 << 10, ram: 64 << 10, instructions: ("connect_to_nsub", 12_000_000) },
    // A message of 16 KiB: encrypted three times, authorized, and taken by the network.
    Budget { program: "sender", flash: 160 << 10, ram: 96 << 10, instructions: ("send", 4_000_000) },
];

/// Limits that are not kept yet, each with what it is about. What is listed here and kept has to be taken off.
const NOT_KEPT: [(&str, &str); 0] = [];

/// How often the programs that print figures are run.
const RUNS: usize = 3;

/// The project's own crates, in which no place that panics may be left.
const OWN: [&str; 6] = ["smp-proto", "smp-curve25519", "smp-crypto", "smp-tls", "smp-embassy", "apps"];

/// The program that talks to nobody: it makes the certificates it measures with, which no other firmware does.
const OFFLINE: &str = "bench";

/// Operations with different secrets, of the program that talks to nobody: two must cost the same, or the time they take
/// tells about the secrets.
const SAME: [[&str; 2]; 4] = [
    ["x25519-agreement", "x25519-agreement-other"],
    ["sntrup761-key-pair", "sntrup761-key-pair-other"],
    ["sntrup761-encapsulation", "sntrup761-encapsulation-other"],
    ["sntrup761-decapsulation", "sntrup761-decapsulation-refused"],
];

/// What the firmware cost when somebody last looked and agreed.
const BASELINE: &str = "size.json";

/// Where the baseline says which compiler it is for.
const COMPILER: &str = "compiler";

/// A program of the emulated board.
struct Program {
    name: String,
    figures: Figures,
    /// Functions of an allocator.
    allocates: Vec<String>,
    /// The places that panic.
    panics: BTreeSet<Place>,
    /// Functions that panic, each with the functions of the core library that do it for them.
    panicking: BTreeMap<String, BTreeSet<String>>,
}

/// `cargo xtask size [--json] [--panics] [--update]`
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.iter().find(|word| !["--json", "--panics", "--update"].contains(&word.as_str())) {
        return Err(Failure::new(format!("there is no option {unknown}; `cargo xtask help` lists them")));
    }
    let chosen = |option| arguments.iter().any(|argument| argument == option);
    for need in [Need::C, Need::BareMetal(bare::TARGET), Need::Qemu] {
        need.ensure(workspace)?;
    }
    // Whoever reads JSON wants nothing else on standard output.
    let run = if chosen("--json") { |run: Run| run.output().map(drop) } else { Run::run };
    let programs = measure(workspace, run)?;
    if chosen("--json") {
        println!("{:#}", to_json(&programs, &compiler(workspace)?));
    } else {
        print!("{}", table(&programs));
        print!("{}", if chosen("--panics") { panics(&programs) } else { String::new() });
    }
    if chosen("--update") {
        let text = format!("{:#}\n", to_json(&programs, &compiler(workspace)?));
        let file = EMULATED.file(BASELINE);
        return fs::write(workspace.root.join(&file), text).map_err(|error| Failure::because(&file, error));
    }
    judge(workspace, &programs)
}

/// A step of `test`: the table, and whether it may stand.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let programs = measure(workspace, Run::run)?;
    print!("{}", table(&programs));
    judge(workspace, &programs)?;
    for (program, what) in NOT_KEPT {
        println!("NOT KEPT: the limit of {what} of the {program}");
    }
    println!("all other limits are kept, and no figure is worse than the baseline by more than 5 %");
    Ok(())
}

/// Builds all programs, runs those that print figures, and looks into all executables.
fn measure(workspace: &Workspace, run: fn(Run) -> Result<(), Failure>) -> Result<Vec<Program>, Failure> {
    EMULATED.build(workspace)?.map_or(Ok(()), run)?;
    let folder = workspace.root.join("target/firmware/figures");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| Failure::because("making a folder for figures", error))?;
    let names = programs(workspace)?;
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..RUNS {
        run(firmware::stories(workspace, &["figures"], Some(&folder)))?;
        for name in &names {
            printed
                .entry(name.clone())
                .or_default()
                .push_str(&fs::read_to_string(folder.join(name)).unwrap_or_default());
        }
    }
    names
        .into_iter()
        .map(|name| {
            let path = firmware::directory(workspace).join(&name);
            let shown = path.display().to_string();
            let file = fs::read(&path).map_err(|error| Failure::because(&shown, error))?;
            let elf = Elf::read(&file).map_err(|failure| Failure::because(&shown, failure))?;
            Ok(Program {
                figures: Figures::new(&elf, printed.get(&name).map_or("", String::as_str)),
                allocates: elf.symbols.iter().filter(|symbol| is_allocator(symbol)).map(|s| (*s).to_owned()).collect(),
                panics: elf.panics().into_iter().filter(|place| !resumes(workspace, place)).collect(),
                panicking: panicking(&elf.calls()),
                name,
            })
        })
        .collect()
}

/// Whether a place is where a future begins: the compiler puts a panic there for those who poll it after its end, which
/// `await` never does.
fn resumes(workspace: &Workspace, place: &Place) -> bool {
    let Ok(source) = fs::read_to_string(workspace.root.join(&place.file)) else { return false };
    let index = |number: u32| usize::try_from(number).unwrap_or_default().saturating_sub(1);
    let line = source.lines().nth(index(place.line)).unwrap_or_default();
    line.get(index(place.column)..).is_some_and(|rest| rest.starts_with("{") || rest.starts_with("async "))
}

/// The names of the programs, in order.
fn programs(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let metadata = EMULATED.cargo(workspace).args(["metadata", "--format-version=1", "--no-deps"]).output()?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|error| Failure::because("reading `cargo metadata`", error))?;
    let targets = metadata["packages"][0]["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let programs = targets.iter().filter(|target| target["kind"][0] == "bin");
    let mut names: Vec<String> = programs.filter_map(|target| Some(target["name"].as_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Whether a symbol is of an allocator or of the crate `alloc`, in whatever way names are mangled.
fn is_allocator(symbol: &str) -> bool {
    let readable = format!("{:#}", rustc_demangle::demangle(symbol));
    let functions = ["malloc", "calloc", "realloc", "free"];
    readable.contains("__rust_alloc")
        || readable.contains("__rust_realloc")
        || readable.contains("__rg_alloc")
        || readable.starts_with("alloc::")
        || readable.contains("<alloc::")
        || readable.contains(" alloc::")
        || functions.contains(&readable.as_str())
}

/// The functions outside the core library that call one which panics or calls another that does.
fn panicking(calls: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut ends: BTreeSet<&str> = calls.keys().copied().filter(|name| name.starts_with("core::panicking::")).collect();
    loop {
        let more: Vec<&str> = calls
            .iter()
            .filter(|(name, called)| {
                name.starts_with("core::") && !ends.contains(*name) && called.iter().any(|name| ends.contains(name))
            })
            .map(|(name, _)| *name)
            .collect();
        if more.is_empty() {
            break;
        }
        ends.extend(more);
    }
    let outside = calls.iter().filter(|(name, _)| !name.starts_with("core::"));
    outside
        .filter_map(|(name, called)| {
            let through: BTreeSet<String> =
                called.iter().filter(|name| ends.contains(*name)).map(|name| (*name).to_owned()).collect();
            (!through.is_empty()).then(|| ((*name).to_owned(), through))
        })
        .collect()
}

fn to_json(programs: &[Program], compiler: &str) -> Value {
    let figures = programs.iter().map(|program| (program.name.clone(), program.figures.to_json()));
    Value::Object(figures.chain([(COMPILER.to_owned(), compiler.into())]).collect())
}

/// Who built the programs: other compilers make other figures.
fn compiler(workspace: &Workspace) -> Result<String, Failure> {
    Ok(Route::find(workspace, bare::TARGET)?.compiler())
}

/// The figures as people read them: bytes and instructions, then the limit behind a slash.
fn table(programs: &[Program]) -> String {
    let mut text =
        format!("{:<10}{:>18}{:>12}{:>12}{:>18}\n", "program", "flash", "static RAM", "peak stack", "RAM in all");
    let limited = |value: u64, limit: Option<u64>| match limit {
        Some(limit) => format!("{} / {}", grouped(value), grouped(limit)),
        None => grouped(value),
    };
    for Program { name, figures, .. } in programs {
        let budget = BUDGETS.iter().find(|budget| budget.program == name);
        text += &format!(
            "{name:<10}{:>18}{:>12}{:>12}{:>18}\n",
            limited(figures.flash, budget.map(|budget| budget.flash)),
            grouped(figures.statics),
            figures.stack.map_or_else(|| "-".to_owned(), grouped),
            limited(figures.ram(), budget.map(|budget| budget.ram)),
        );
    }
    text += &format!("\n{:<10}{:<26}{:>24}{:>9}\n", "program", "operation", "instructions", "stack");
    for Program { name, figures, .. } in programs {
        let budget = BUDGETS.iter().find(|budget| budget.program == name);
        for (operation, count) in &figures.instructions {
            let limit = budget.map(|budget| budget.instructions).filter(|(limited, _)| limited == operation);
            let stack = figures.stacks.get(operation).map_or_else(String::new, |bytes| grouped(*bytes));
            let count = limited(*count, limit.map(|(_, limit)| limit));
            text += &format!("{:<10}{operation:<26}{count:>24}{stack:>9}\n", name);
        }
    }
    text
}

/// Digits in groups of three: `12,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Who panics: places by crate, then functions.
fn panics(programs: &[Program]) -> String {
    let mut text = String::new();
    for program in programs {
        text += &format!("\n{}: {} places that panic\n", program.name, program.panics.len());
        for place in &program.panics {
            text += &format!("  {place}\n");
        }
        text += &format!("{}: {} functions that panic\n", program.name, program.panicking.len());
        for (function, through) in &program.panicking {
            let through: Vec<&str> = through.iter().map(String::as_str).collect();
            text += &format!("  {function}: {}\n", through.join(", "));
        }
    }
    text
}

/// Fails when a limit is exceeded, a figure is worse than the baseline's, or something is there that must not be.
fn judge(workspace: &Workspace, programs: &[Program]) -> Result<(), Failure> {
    let file = EMULATED.file(BASELINE);
    let text = fs::read_to_string(workspace.root.join(&file)).unwrap_or_else(|_| "{}".to_owned());
    let baseline: Value = serde_json::from_str(&text).map_err(|error| Failure::because(&file, error))?;
    let compiler = compiler(workspace)?;
    let comparable = baseline[COMPILER] == compiler.as_str();
    if !comparable {
        println!("the baseline was made with {}, this is {compiler}: only the limits count", baseline[COMPILER]);
    }
    let mut wrong = Vec::new();
    for program in programs {
        wrong.extend(faults(program, comparable.then(|| &baseline[program.name.as_str()])));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.push(format!("If that is as it should be, run `cargo xtask size --update` and commit {file}; limits stay"));
    Err(Failure::new(wrong.join("\n")))
}

/// What is wrong with a program.
fn faults(program: &Program, baseline: Option<&Value>) -> Vec<String> {
    let figures = &program.figures;
    let mut wrong = baseline.map_or_else(Vec::new, |before| figures.regressions(&Figures::from_json(before)));
    if let Some(budget) = BUDGETS.iter().find(|budget| budget.program == program.name) {
        let mut limit = |what: &str, value: Option<u64>, limit: u64| match value {
            Some(value) if NOT_KEPT.contains(&(program.name.as_str(), what)) => {
                if value <= limit {
                    wrong.push(format!("{what}: {value} is within the limit of {limit}; take it off the list"));
                }
            }
            Some(value) if value <= limit => {}
            Some(value) => wrong.push(format!("{what}: {value}, the limit is {limit}")),
            None => wrong.push(format!("{what}: not measured, the limit is {limit}")),
        };
        let (operation, instructions) = budget.instructions;
        limit("bytes of flash", Some(figures.flash), budget.flash);
        limit("bytes of RAM", figures.stack.map(|_| figures.ram()), budget.ram);
        limit(&format!("instructions of {operation}"), figures.instructions.get(operation).copied(), instructions);
    }
    if program.name == OFFLINE {
        for same in SAME {
            let [one, other] = same.map(|operation| figures.instructions.get(operation));
            if one.zip(other).is_none_or(|(one, other)| one.abs_diff(*other) > CLOCK) {
                wrong.push(format!("{} cost {one:?} and {other:?}, which must be the same", same.join(" and ")));
            }
        }
    }
    wrong.extend(program.allocates.iter().map(|symbol| format!("{symbol} is linked, but there is no heap")));
    let own = program.panics.iter().filter(|place| OWN.contains(&place.package()) && program.name != OFFLINE);
    wrong.extend(own.map(|place| format!("{place} panics")));
    wrong.into_iter().map(|wrong| format!("{}: {wrong}", program.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 12_000_000].map(grouped), ["0", "999", "1,000", "12,000,000"]);
    }

    #[test]
    fn allocators_are_known_by_name() {
        for symbol in
            ["__rust_alloc", "_RNvCs1_7___rustc12___rust_alloc", "_ZN5alloc3vec9from_elem17h0123456789abcdefE"]
        {
            assert!(is_allocator(symbol), "{symbol}");
        }
        for symbol in ["main", "_ZN4core9panicking9panic_fmt17h0123456789abcdefE", "allocate_port", "free_slots"] {
            assert!(!is_allocator(symbol), "{symbol}");
        }
    }

    #[test]
    fn panics_are_followed_through_the_core_library() {
        let calls = BTreeMap::from([
            ("core::panicking::panic_fmt", BTreeSet::new()),
            ("core::option::unwrap_failed", BTreeSet::from(["core::panicking::panic_fmt"])),
            ("core::str::from_utf8", BTreeSet::new()),
            ("app::fails", BTreeSet::from(["core::option::unwrap_failed", "core::str::from_utf8"])),
            ("app::works", BTreeSet::from(["core::str::from_utf8", "app::fails"])),
        ]);
        let through = BTreeSet::from(["core::option::unwrap_failed".to_owned()]);
        assert_eq!(panicking(&calls), BTreeMap::from([("app::fails".to_owned(), through)]));
    }

    #[test]
    fn the_time_of_operations_does_not_depend_on_secrets() {
        let faults = |one: u64, other: Option<u64>| {
            let instructions = SAME.into_iter().flat_map(|same| [(same[0], Some(one)), (same[1], other)]);
            let instructions = instructions.filter_map(|(name, count)| Some((name.to_owned(), count?)));
            let figures = Figures { instructions: instructions.collect(), ..Figures::default() };
            let (name, allocates) = (OFFLINE.to_owned(), Vec::new());
            let program = Program { name, figures, allocates, panics: BTreeSet::new(), panicking: BTreeMap::new() };
            faults(&program, None).len()
        };
        assert_eq!(faults(800_000, Some(800_040)), 0);
        assert_eq!(faults(800_000, Some(801_000)), SAME.len());
        assert_eq!(faults(800_000, None), SAME.len());
    }

    #[test]
    fn limits_hold_whatever_the_baseline_says() {
        let figures = Figures { flash: (128 << 10) + 1, statics: 60 << 10, stack: Some(4 << 10), ..Figures::default() };
        let baseline = figures.to_json();
        let place = |file: &str| Place { file: file.to_owned(), line: 7, column: 9 };
        let program = Program {
            name: "notifier".to_owned(),
            figures,
            allocates: vec!["malloc".to_owned()],
            panics: BTreeSet::from([place("/smp/smp-tls/src/codec.rs"), place("/registry/smoltcp-0.12.0/src/lib.rs")]),
            panicking: BTreeMap::new(),
        };
        assert_eq!(
            faults(&program, Some(&baseline)),
            [
                "notifier: bytes of flash: 131073, the limit is 131072",
                "notifier: instructions of connect_to_nsub: not measured, the limit is 12000000",
                "notifier: malloc is linked, but there is no heap",
                "notifier: /smp/smp-tls/src/codec.rs:7:9 panics",
            ]
        );
    }
}
