//! Data folders: made, opened by who has the passphrase, moved.

use serde_json::json;

use super::programs::{Bot, Relay, run, smp_chat, succeed, user};

const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost:5223";

#[test]
fn a_folder_opens_with_its_passphrase_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let missing = run(&data, &["invite"]);
    assert_eq!(missing.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("smp chat init"));
    assert_eq!(run(&data, &["init"]).status.code(), Some(2), "no relay");
    succeed(&data, &["init", "--server", SERVER]);
    assert_eq!(run(&data, &["init", "--server", SERVER]).status.code(), Some(7), "it is there already");
    let wrong = smp_chat(&data, &["--json"]).env("SMP_CHAT_PASSPHRASE", "wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("passphrase is wrong"));
    let nobody = smp_chat(&data, &["--json"]).env_remove("SMP_CHAT_PASSPHRASE").output().unwrap();
    assert_eq!(nobody.status.code(), Some(2), "nobody can be asked");
    let file = folder.path().join("passphrase");
    std::fs::write(&file, format!("{}\n", super::programs::PASSPHRASE)).unwrap();
    let mut command = smp_chat(&data, &["--json", "--passphrase-file", file.to_str().unwrap()]);
    let output = command.env_remove("SMP_CHAT_PASSPHRASE").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"{"), "{output:?}");
    // No names, relays or anything else in the clear.
    for entry in std::fs::read_dir(&data).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"localhost"));
    }
}

#[test]
fn one_program_at_a_time_uses_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    succeed(&data, &["init", "--server", SERVER]);
    let bot = Bot::start(&data, &[]);
    let second = run(&data, &["--json"]);
    assert_eq!(second.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another smp chat"));
    bot.end();
    succeed(&data, &["--json"]);
}

#[test]
fn conversations_move_with_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let alices = user(folder.path(), "alice", &[&relay]);
    let bobs = user(folder.path(), "bob", &[&relay]);
    let link = succeed(&alices, &["invite", "bob"]);
    let mut bob = Bot::start(&bobs, &[]);
    let connection = bob.ask(json!({ "command": "join", "link": link.lines().next() }))["connection"].clone();
    bob.event("joined");
    let file = folder.path().join("export");
    let file = file.to_str().unwrap();
    succeed(&alices, &["export", file]);
    assert_eq!(run(&alices, &["export", file]).status.code(), Some(7), "nothing is overwritten");
    std::fs::remove_dir_all(&alices).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    succeed(&elsewhere, &["import", file]);
    assert_eq!(run(&elsewhere, &["import", file]).status.code(), Some(7));
    let mut alice = Bot::start(&elsewhere, &[]);
    alice.event("connected");
    bob.event("connected");
    bob.ask(json!({ "command": "send", "connection": connection, "text": "welcome back" }));
    assert_eq!(alice.event("message")["text"], "welcome back");
    alice.end();
    bob.end();
}
