use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Line::try_parse_from(line.split_whitespace()).map(|line| line.arguments)
}

const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost:5223";

#[test]
fn the_folder_is_named_before_or_after_the_subcommand() {
    for line in ["chat --data f invite", "chat invite --data f", "chat --data f", "chat connect LINK --data f --wait"] {
        assert_eq!(parse(line).unwrap().folder.path().to_str(), Some("f"), "{line}");
    }
    assert_eq!(parse("chat").unwrap().folder.path().to_str(), Some("./smp-chat"));
}

#[test]
fn what_the_help_says_is_taken() {
    for line in [
        format!("chat init --name Alice --server {SERVER} --proxy {SERVER} --operator me=localhost --no-passphrase"),
        "chat invite --pq --short --wait bob --socks 127.0.0.1:9050".into(),
        "chat connect LINK bob --wait --proxy-mode never".into(),
        "chat export f --passphrase-file p".into(),
        "chat import f --no-passphrase".into(),
        "chat --json --manual --no-subscribe --agent-versions 2-6 --fallback yes".into(),
    ] {
        assert!(parse(&line).is_ok(), "{line}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "chat connect",
        "chat export",
        "chat --manual",
        "chat --no-subscribe",
        "chat --json invite",
        "chat --proxy-mode always invite",
        "chat --agent-versions 9-2",
        "chat init --server smp://nothing",
        "chat --passphrase-file f --no-passphrase",
        "chat --proxy-mode sometimes",
    ] {
        assert!(parse(line).map_or(true, |arguments| arguments.check().is_err()), "{line}");
    }
}
