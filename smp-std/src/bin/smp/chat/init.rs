//! `smp chat init`: makes a data folder.

use clap::Args;
use smp_proto::address::ServerUri;
use smp_std::net::WebPort;

use super::book::{Batch, Book};
use super::folder::Folder;
use super::settings::{ServerSetting, Settings};
use crate::failure::{Failure, USAGE};
use crate::progress::note;
use crate::receive::parse_server;

/// Make a data folder, with your relays and the name that others are told.
///
/// Messages to you wait at one of your relays until you receive them: name at least one with --server or --storage. With
/// relays of several operators each conversation gets them chosen so that no operator sees more of it than it has to.
///
/// A passphrase that is forgotten cannot be replaced; nobody but you has it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the other side of a conversation is told that you are called.
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// A relay of yours, for everything: smp://FINGERPRINT[:PASSWORD]@HOST[:PORT]. Can be given several times, as the
    /// next three.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_server)]
    server: Vec<ServerUri>,
    /// A relay that messages to you wait at, and that forwards nothing.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_server)]
    storage: Vec<ServerUri>,
    /// A relay that forwards to others' relays, so that they do not see your IP address, and that stores nothing.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_server)]
    proxy: Vec<ServerUri>,
    /// Who runs which of these relays.
    #[arg(long, value_name = "NAME=HOST[,HOST...]", value_parser = parse_operator)]
    operator: Vec<Operator>,
    /// Reach relays whose address names no port at port 443, where many networks let nothing else through, and look like a
    /// visitor of a web site there: all of them, or those of some domains.
    #[arg(long, value_name = "all|DOMAIN[,DOMAIN...]", value_parser = parse_web_port)]
    web_port: Option<WebPort>,
    /// Do not tell senders that their messages arrived.
    #[arg(long)]
    no_receipts: bool,
    /// Ask before somebody who has an invitation is let in.
    #[arg(long)]
    ask_invited: bool,
    /// Accept everybody who asks at your address without asking you.
    #[arg(long)]
    accept_all: bool,
}

/// An operator and the hosts it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Operator {
    name: String,
    hosts: Vec<String>,
}

fn parse_operator(text: &str) -> Result<Operator, String> {
    let (name, hosts) = text.split_once('=').ok_or("an operator looks like NAME=HOST,HOST")?;
    let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    if name.is_empty() || hosts.iter().any(String::is_empty) {
        return Err("an operator has a name and hosts: NAME=HOST,HOST".to_owned());
    }
    Ok(Operator { name: name.to_owned(), hosts })
}

fn parse_web_port(text: &str) -> Result<WebPort, String> {
    if text == "all" {
        return Ok(WebPort::All);
    }
    let domains: Vec<String> = text.split(',').map(str::to_owned).collect();
    if domains.iter().any(|domain| domain.trim_start_matches('.').is_empty() || domain.contains([':', '/', '@'])) {
        return Err("the word all, or domains: DOMAIN,DOMAIN".to_owned());
    }
    Ok(WebPort::Domains(domains))
}

pub(crate) fn run(folder: &Folder, arguments: Arguments) -> Result<(), Failure> {
    let settings = settings(arguments)?;
    let mut batch = Batch::default();
    batch.settings(&settings);
    Book::new(folder.create()?).commit(batch)?;
    note(format_args!("{} is ready; smp chat invite makes a link for somebody", folder.path().display()));
    Ok(())
}

fn settings(arguments: Arguments) -> Result<Settings, Failure> {
    let roles = [(arguments.server, true, true), (arguments.storage, true, false), (arguments.proxy, false, true)];
    let mut servers = Vec::new();
    for (addresses, storage, proxy) in roles {
        for address in addresses {
            let operator = operator(&arguments.operator, &address);
            servers.push(ServerSetting { address: address.to_string(), operator, storage, proxy, enabled: true });
        }
    }
    if !servers.iter().any(|server| server.storage) {
        return Err(Failure::new(USAGE, "messages to you need a relay to wait at: name one with --server"));
    }
    for Operator { name, .. } in &arguments.operator {
        if !servers.iter().any(|server| server.operator.as_ref() == Some(name)) {
            return Err(Failure::new(USAGE, format_args!("none of the relays has a host that {name} runs")));
        }
    }
    Ok(Settings {
        name: arguments.name,
        servers,
        receipts: !arguments.no_receipts,
        auto_allow: !arguments.ask_invited,
        auto_accept: arguments.accept_all,
        web_port: arguments.web_port.unwrap_or_default(),
    })
}

fn operator(operators: &[Operator], server: &ServerUri) -> Option<String> {
    let hosts: Vec<String> = server.address().hosts.iter().map(|host| host.to_string()).collect();
    let runs = |operator: &&Operator| operator.hosts.iter().any(|host| hosts.contains(host));
    operators.iter().find(runs).map(|operator| operator.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    const HASH: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=";

    fn parse(words: &[&str]) -> Result<Settings, u8> {
        let words = words.iter().map(|word| word.replace("smp:", HASH));
        let line = Line::try_parse_from(["init".to_owned()].into_iter().chain(words)).map_err(|_| USAGE)?;
        settings(line.arguments).map_err(|failure| failure.code())
    }

    #[test]
    fn relays_have_roles_and_operators() {
        let operators = ["--operator", "one=a,b.onion", "--operator", "two=p"];
        let relays = ["--server", "smp:@a,x.onion:5224", "--storage", "smp:@s", "--proxy", "smp:@p"];
        let settings = parse(&[&relays[..], &operators].concat()).unwrap();
        let found: Vec<_> =
            settings.servers.iter().map(|server| (server.operator.as_deref(), server.storage, server.proxy)).collect();
        assert_eq!(found, [(Some("one"), true, true), (None, true, false), (Some("two"), false, true)]);
        assert!(settings.receipts && settings.auto_allow && !settings.auto_accept);
    }

    #[test]
    fn the_web_port_is_for_all_relays_or_for_some() {
        let web_port = |words: &[&str]| parse(&[&["--server", "smp:@a"], words].concat()).unwrap().web_port;
        assert_eq!(web_port(&[]), WebPort::Off);
        assert_eq!(web_port(&["--web-port", "all"]), WebPort::All);
        let two = WebPort::Domains(vec!["a.example".into(), ".b.example".into()]);
        assert_eq!(web_port(&["--web-port", "a.example,.b.example"]), two);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for words in [
            &[][..],
            &["--proxy", "smp:@p"],
            &["--server", "smp:@a", "--operator", "one=b"],
            &["--server", "smp:@a", "--operator", "one"],
            &["--server", "smp:@a", "--operator", "=a"],
            &["--server", "smp:@a", "--operator", "one="],
            &["--server", "xftp://x@a"],
            &["--server", "smp:@a", "--web-port", ""],
            &["--server", "smp:@a", "--web-port", "a.example,"],
            &["--server", "smp:@a", "--web-port", "a.example:443"],
        ] {
            assert_eq!(parse(words).unwrap_err(), USAGE, "{words:?}");
        }
    }
}
