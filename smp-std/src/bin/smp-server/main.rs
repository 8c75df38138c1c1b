//! `smp-server`: the relay as a program.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments of arguments are help for people, where brackets mean optional"
)]

mod backup;
mod control;
mod moving;
mod start;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use smp_proto::wire::Base64;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::relay::LogSetter;
use smp_std::relay::config::{self, Choices, Config, Engine};
use tracing_subscriber::EnvFilter;

/// The allocator gives memory of finished handshakes and blocks back to the system, which the default one does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A relay of the SimpleX network: keeps message queues, knows no users.
///
/// Without a command it starts, and creates its identity, configuration and store first when there are none in the directory.
/// On stdout it prints its address alone on a line, then "ready" alone on a line once it accepts connections; its log
/// goes to stderr (level by RUST_LOG, "info" by default).
#[derive(Parser)]
#[command(name = "smp-server", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "\
Examples:
  smp-server                                   start; data in ./smp-data
  smp-server --host relay.example.org          the same, for clients on other machines
  smp-server init --dir /srv/smp --host relay.example.org --password secret
  smp-server start --dir /srv/smp
  smp-server address --dir /srv/smp
  smp-server import --config-dir /etc/opt/simplex --data-dir /var/opt/simplex --dir /srv/smp
  smp-server control --dir /srv/smp stats      ask the relay that runs there
  smp-server backup --dir /srv/smp --to /backup/smp

Exit codes: 0 stopped as asked, 1 failed (stderr says why and what to do), 2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    /// Create identity and configuration in an empty directory, print the address, and end.
    Init,
    /// Start the relay (the default). Options given here replace those of smp-server.toml for this run.
    Start,
    /// Print the address of the relay in a directory.
    Address,
    /// Make a relay of a reference server's files, which are only read; docs/moving.md tells the whole way.
    Import(moving::ImportOptions),
    /// Write what a stopped relay has as the reference server's files.
    Export(moving::ExportOptions),
    /// Ask or tell the running relay something: "help" lists what. Without words, commands come on stdin.
    Control {
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        words: Vec<String>,
    },
    /// Copy the relay, running or not, to a new or empty directory from which it can be started.
    Backup {
        /// Where to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Leave out keys and certificates.
        #[arg(long)]
        without_identity: bool,
    },
}

#[derive(Args, Clone)]
struct Options {
    /// Directory of identity, configuration and store.
    #[arg(long, value_name = "DIR", default_value = "smp-data", global = true)]
    dir: PathBuf,
    /// Address and port to accept connections on; can be repeated. [default: [::]:5223]
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    listen: Vec<SocketAddr>,
    /// Host name for the relay's address; can be repeated, the main one first. [default: localhost]
    #[arg(long, value_name = "NAME", global = true, value_parser = host)]
    host: Vec<String>,
    /// Port in the relay's address, and to listen on unless --listen says otherwise. [default: 5223]
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Password that clients need to create queues; it becomes part of the address.
    #[arg(long, global = true, value_parser = password)]
    password: Option<String>,
    /// Algorithm of the certificates; only when the identity is created. [default: ed25519]
    #[arg(long, value_enum, global = true)]
    sign_algorithm: Option<Algorithm>,
    /// Where queues and messages are kept. [default: fjall]
    #[arg(long, value_enum, global = true)]
    store: Option<StoreKind>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    Ed25519,
    Ed448,
}

#[derive(Clone, Copy, ValueEnum)]
enum StoreKind {
    /// In memory: everything is gone when the relay stops.
    Memory,
    /// On disk: nothing that was acknowledged is lost.
    Fjall,
}

impl From<StoreKind> for Engine {
    fn from(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Memory => Self::Memory,
            StoreKind::Fjall => Self::Fjall,
        }
    }
}

fn host(text: &str) -> Result<String, String> {
    if config::valid_host(text) {
        Ok(text.to_owned())
    } else {
        Err("not a host name or IP address (give the port with --port)".to_owned())
    }
}

fn password(text: &str) -> Result<String, String> {
    if config::valid_password(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 255 printable characters without spaces, '@', ':' and '/'".to_owned())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        // It would be reported there, too, with a panic when that fails: a log on a full disk must not end tasks.
        .log_internal_errors(false)
        .with_filter_reloading();
    let handle = log.reload_handle();
    log.init();
    let set_log = move |text: &str| {
        let filter = EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    match run(&arguments, Box::new(set_log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("smp-server: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, set_log: LogSetter) -> Result<()> {
    let options = &arguments.options;
    match &arguments.command {
        Some(Command::Init) => {
            if !is_new(&options.dir)? {
                bail!("there is a relay in {} already: start it, or choose another --dir", options.dir.display());
            }
            initialise(options)?;
            print_line(&load(options)?.address())
        }
        Some(Command::Control { words }) => control::control(&options.dir, words),
        Some(Command::Backup { to, without_identity }) => backup::backup(options, to, !without_identity),
        Some(Command::Address) => print_line(&load(options)?.address()),
        Some(Command::Import(import)) => {
            options.refuse_settings()?;
            moving::import(import, &options.dir)
        }
        Some(Command::Export(export)) => {
            options.refuse_settings()?;
            moving::export(export, &options.dir)
        }
        Some(Command::Start) | None => {
            if smp_std::relay::moving::is_unfinished(&options.dir) {
                bail!("an import into {} was interrupted: run it again, or use another --dir", options.dir.display());
            }
            if is_new(&options.dir)? {
                initialise(options)?;
            } else if options.sign_algorithm.is_some() {
                bail!("--sign-algorithm is for new identities; {} has one already", options.dir.display());
            }
            start::start(options, set_log)
        }
    }
}

/// Whether there is no relay in the directory yet. What else is there, such as `lost+found`, does not matter.
fn is_new(directory: &Path) -> Result<bool> {
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => bail!("{} is not a directory", directory.display()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read {}", directory.display()))
        }
        _ => Ok(!Identity::exists(directory)),
    }
}

impl Options {
    /// For commands that take everything but the directory from files.
    fn refuse_settings(&self) -> Result<()> {
        let Self { dir: _, listen, host, port, password, sign_algorithm, store } = self;
        let given = !listen.is_empty() || !host.is_empty() || port.is_some() || password.is_some();
        if given || sign_algorithm.is_some() || store.is_some() {
            bail!("of the relay's options this command takes only --dir; change the others in smp-server.toml");
        }
        Ok(())
    }
}

fn create_directory(directory: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create {}", directory.display()))
}

/// Creates identity and configuration.
fn initialise(options: &Options) -> Result<()> {
    let directory = &options.dir;
    create_directory(directory)?;
    let listen = match (options.listen.is_empty(), options.port) {
        (true, Some(port)) => vec![SocketAddr::from(([0u16; 8], port))],
        _ => options.listen.clone(),
    };
    let choices = Choices {
        listen,
        hosts: options.host.clone(),
        port: options.port,
        password: options.password.clone(),
        engine: options.store.map(Engine::from),
    };
    let algorithm = match options.sign_algorithm {
        None | Some(Algorithm::Ed25519) => KeyAlgorithm::Ed25519,
        Some(Algorithm::Ed448) => KeyAlgorithm::Ed448,
    };
    let name = options.host.first().map_or("localhost", String::as_str);
    // The configuration first: a directory with an identity is complete.
    let path = directory.join(config::FILE_NAME);
    match write_private(&path, &config::template(&choices)) {
        // Prepared by the operator, or left by an attempt that was interrupted.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.with_context(|| format!("cannot write {}", path.display()))?,
    }
    Identity::create(directory, algorithm, name).context("cannot create the server identity")?;
    tell(format_args!(
        "Created a relay in {dir}.\n\
         Move {dir}/ca.key to a safe place off this machine: it is the relay's identity, and only needed again to\n\
         issue a new server.key. Whoever has it can pretend to be this relay.",
        dir = directory.display()
    ));
    Ok(())
}

/// The file may hold a password.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A relay that is ready to be started.
struct Loaded {
    directory: PathBuf,
    config: Config,
    identity: Identity,
}

impl Loaded {
    fn address(&self) -> String {
        let password = self.config.queues.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!(
            "smp://{fingerprint}{password}@{hosts}:{port}",
            fingerprint = Base64(self.identity.fingerprint()),
            hosts = self.config.server.hosts.join(","),
            port = self.config.address_port(),
        )
    }
}

fn load(options: &Options) -> Result<Loaded> {
    let directory = options.dir.clone();
    let path = directory.join(config::FILE_NAME);
    let mut config = Config::load(&directory)
        .with_context(|| format!("cannot use {} (create a relay with: smp-server init --dir DIR)", path.display()))?;
    let identity =
        Identity::load(&directory).with_context(|| format!("cannot use the identity in {}", directory.display()))?;
    if !options.listen.is_empty() {
        config.server.listen.clone_from(&options.listen);
    }
    if !options.host.is_empty() {
        config.server.hosts.clone_from(&options.host);
    }
    if let Some(port) = options.port {
        config.server.port = Some(port);
        if options.listen.is_empty() {
            for address in &mut config.server.listen {
                address.set_port(port);
            }
        }
    }
    if options.password.is_some() {
        config.queues.password.clone_from(&options.password);
    }
    if let Some(store) = options.store {
        config.store.engine = store.into();
    }
    config.check().context("the options do not go together")?;
    Ok(Loaded { directory, config, identity })
}

/// Tells people something, if anybody can be told.
fn tell(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{what}");
}

fn print_line(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("cannot write to stdout")
}
