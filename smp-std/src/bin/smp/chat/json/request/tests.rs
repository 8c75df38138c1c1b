use super::*;
use crate::chat::settings::tests::SERVER;

pub(in crate::chat::json) const CONNECTION: &str = "AAEC-__-PD0--vv8";

/// A line for each command of the agent, with all its members, and the same without those that may be left out.
pub(in crate::chat::json) fn examples() -> Vec<(&'static str, [String; 2])> {
    let c = format!(r#""connection":"{CONNECTION}""#);
    let example = |name, full: String, short: String| {
        let line =
            |rest: String| format!(r#"{{"id":1,"command":"{name}"{}{rest}}}"#, if rest.is_empty() { "" } else { "," });
        (name, [line(full), line(short)])
    };
    let same = |name, rest: &str| example(name, rest.to_owned(), rest.to_owned());
    let link = r#""short":true,"user_data":"a","entity_id_base64":"AQ==""#;
    let options = r#""post_quantum":"in_link","receive_queues":2"#;
    vec![
        example(
            "set_servers",
            format!(
                r#""user":2,"servers":[{{"address":"{SERVER}","operator":"o","storage":false,"proxy":true,"enabled":false}}]"#
            ),
            format!(r#""servers":[{{"address":"{SERVER}"}}]"#),
        ),
        example("invite", format!(r#""user":2,{link},{options},"auto_allow":false"#), String::new()),
        example("create_address", format!(r#""user":2,{link}"#), String::new()),
        example(
            "prepare_invitation",
            format!(r#""user":2,"user_data":"a","entity_id_base64":"AQ==",{options},"auto_allow":false"#),
            String::new(),
        ),
        example("prepare_address", r#""user":2,"user_data":"a","entity_id_base64":"AQ==""#.into(), String::new()),
        example("set_link", format!(r#"{c},"user_data_base64":"_w==""#), c.clone()),
        same("delete_link", &c),
        example("read_link", r#""user":2,"link":"x""#.into(), r#""link":"x""#.into()),
        example("join", format!(r#""user":2,"link":"x","info":"me",{options}"#), r#""link":"x""#.into()),
        example("allow", format!(r#"{c},"info_base64":"/w""#), c.clone()),
        example(
            "accept",
            format!(r#""invitation":"{CONNECTION}","info":"me",{options}"#),
            format!(r#""invitation":"{CONNECTION}""#),
        ),
        same("reject", &format!(r#""invitation":"{CONNECTION}""#)),
        example("send", format!(r#"{c},"text":"hi","notify":false"#), format!(r#"{c},"body_base64":"aGk=""#)),
        example(
            "acknowledge",
            r#""event_id":7,"receipt":false,"receipt_base64":"AQ==""#.into(),
            r#""event_id":7,"receipt":true"#.into(),
        ),
        same("switch", &c),
        same("abort_switch", &c),
        example("resynchronize", format!(r#"{c},"force":true"#), c.clone()),
        same("add_receive_queue", &c),
        same("subscribe_all", ""),
        same("subscribe", &c),
        same("suspend", &c),
        example("delete", format!(r#"{c},"deliver_first":true"#), c.clone()),
        same("forget_message", &format!(r#"{c},"message":9"#)),
        same("network_changed", r#""online":true"#),
    ]
}

/// The variants of a public enum of the agent, as words, from its source.
pub(in crate::chat::json) fn variants(file: &str, name: &str) -> Vec<String> {
    let path = format!("{}/../smp-agent/src/{file}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let variant = |line: &str| {
        let line = line.strip_prefix("    ")?;
        let first = line.chars().next()?;
        first.is_ascii_uppercase().then(|| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>())
    };
    struct Bare(String);
    impl std::fmt::Debug for Bare {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }
    body.lines().filter_map(variant).map(|name| super::super::words::word(&Bare(name))).collect()
}

fn action(line: &str) -> Result<Action, Problem> {
    read(line, b"profile").1
}

fn command(line: &str) -> Command {
    match action(line) {
        Ok(Action::Command(command) | Action::Invite(command, _) | Action::SetServers(command, ..)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_command_of_the_agent_can_be_given() {
    let names: Vec<_> = examples().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, variants("command.rs", "Command"), "in the order of the agent's");
    for (name, lines) in examples() {
        for line in lines {
            // The command's own name is the beginning of how it prints.
            assert_eq!(super::super::words::word(&command(&line)), name);
            assert_eq!(read(&line, b"").0, Some(1.into()));
        }
    }
}

#[test]
fn what_is_left_out_has_defaults() {
    let link = |line: &str| match command(line) {
        Command::Invite { link, options, user } => (link, options, user),
        other => panic!("{other:?}"),
    };
    let (none, options, user) = link(r#"{"command":"invite"}"#);
    assert!(none.is_none() && user == UserId(0) && options == ConnectionOptions::default());
    let (short, ..) = link(r#"{"command":"invite","short":true}"#);
    assert!(short == Some(LinkRequest { user_data: b"profile".to_vec(), entity_id: None }));
    let (short, options, _) = link(&examples()[1].1[0]);
    assert!(short == Some(LinkRequest { user_data: b"a".to_vec(), entity_id: Some(vec![1]) }));
    assert_eq!(options, ConnectionOptions { post_quantum: PostQuantum::InLink, receive_queues: 2 });
    let Command::Join { info, .. } = command(r#"{"command":"join","link":"x"}"#) else { panic!() };
    assert_eq!(info, b"profile");
    let Command::Allow { info, connection } = command(&examples()[9].1[0]) else { panic!() };
    assert_eq!((&info[..], connection.to_string().as_str()), (&b"\xff"[..], CONNECTION));
    let receipt = |rest: &str| match command(&format!(r#"{{"command":"acknowledge","event_id":1{rest}}}"#)) {
        Command::Acknowledge { receipt, .. } => receipt,
        other => panic!("{other:?}"),
    };
    assert_eq!(receipt(""), None);
    assert_eq!(receipt(r#","receipt":true"#), Some(vec![]));
    assert_eq!(receipt(r#","receipt_base64":"AQ==""#), Some(vec![1]));
}

#[test]
fn the_programs_own_commands() {
    let Ok(Action::Invite(_, allow)) = action(r#"{"command":"invite","auto_allow":false}"#) else { panic!() };
    assert_eq!(allow, Some(false));
    let Ok(Action::Configure(all)) = action(r#"{"command":"configure","auto_acknowledge":false}"#) else { panic!() };
    assert_eq!(all, Configure { auto_acknowledge: Some(false), ..Configure::default() });
    assert!(matches!(action(r#"{"command":"stop"}"#), Ok(Action::Stop)));
    let line = format!(r#"{{"command":"verification_code","connection":"{CONNECTION}"}}"#);
    assert!(matches!(action(&line), Ok(Action::VerificationCode(_))));
}

#[test]
fn bad_lines_do_nothing() {
    for (line, code) in [
        ("", "bad_line"),
        ("[]", "bad_line"),
        ("{", "bad_line"),
        (r#"{"command":"stop"} {}"#, "bad_line"),
        (r#"{"id":[],"command":"stop"}"#, "bad_line"),
        ("{}", "bad_command"),
        (r#"{"command":"nothing"}"#, "bad_command"),
        (r#"{"command":7}"#, "bad_command"),
        (r#"{"command":"stop","now":true}"#, "bad_command"),
        (r#"{"command":"configure","auto":true}"#, "bad_command"),
        (r#"{"command":"send","connection":"AAEC-__-PD0--vv8"}"#, "bad_value"),
        (r#"{"command":"send","connection":"AAEC","text":"a"}"#, "bad_value"),
        (r#"{"command":"send","connection":"AAEC-__-PD0--vv8","text":"a","body_base64":""}"#, "bad_value"),
        (r#"{"command":"send","connection":"AAEC-__-PD0--vv8","body_base64":"?"}"#, "bad_value"),
        (r#"{"command":"reject","invitation":"AAEC"}"#, "bad_value"),
        (r#"{"command":"invite","user_data":"a"}"#, "bad_value"),
        (r#"{"command":"invite","receive_queues":256}"#, "bad_command"),
        (r#"{"command":"invite","post_quantum":"maybe"}"#, "bad_command"),
        (r#"{"command":"set_servers","servers":[{"address":"smp://a"}]}"#, "bad_value"),
        (r#"{"command":"acknowledge","event_id":-1}"#, "bad_command"),
    ] {
        assert_eq!(action(line).unwrap_err().code, code, "{line}");
    }
    assert_eq!(read(r#"{"id":"x","command":"nothing"}"#, b"").0, Some("x".into()), "errors can be told apart");
}
