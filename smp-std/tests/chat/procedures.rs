//! Either side of each procedure, played by lines: what a run against another implementation does, too.

use serde_json::{Value, json};

use super::programs::{Bot, Relay, user};

/// Two bots, each with a relay of its own, that do nothing by themselves but acknowledge.
struct Scene {
    alice: Bot,
    bob: Bot,
    relays: [Relay; 2],
    _folder: tempfile::TempDir,
}

impl Scene {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let relays = Relay::start_two();
        let [alice, bob] = [("alice", &relays[0]), ("bob", &relays[1])].map(|(name, relay)| {
            let mut bot = Bot::start(&user(folder.path(), name, &[relay]), &[&["--manual"], options].concat());
            let configure = json!({ "command": "configure", "auto_acknowledge": true, "auto_receipt": true });
            assert_eq!(bot.ask(configure)["reply"], "done");
            bot
        });
        Self { alice, bob, relays, _folder: folder }
    }

    /// Connects them by an invitation that is made like this.
    fn connect(&mut self, mut invite: Value) -> (Value, Value) {
        invite["command"] = "invite".into();
        let of_alice = connection(&self.alice.ask(invite));
        let link = self.alice.event("link_ready");
        let link = if link["short_link"].is_null() { &link["link"] } else { &link["short_link"] };
        let of_bob = connection(&self.bob.ask(json!({ "command": "join", "link": link })));
        self.bob.event("joined");
        self.alice.event("confirmation");
        assert_eq!(self.alice.ask(json!({ "command": "allow", "connection": of_alice }))["reply"], "done");
        let connected = (self.alice.event("connected"), self.bob.event("connected"));
        assert_eq!(connected.0["agent_version"], connected.1["agent_version"]);
        assert_eq!((&connected.0["connection"], &connected.1["connection"]), (&of_alice, &of_bob));
        (of_alice, of_bob)
    }

    /// Says something in both directions.
    fn talk(&mut self, (of_alice, of_bob): &(Value, Value)) {
        for number in 0..3 {
            let text = format!("message {number}");
            say(&mut self.alice, of_alice, &mut self.bob, &text);
            say(&mut self.bob, of_bob, &mut self.alice, &text);
        }
    }

    fn end(self) {
        self.alice.end();
        self.bob.end();
    }
}

fn connection(answer: &Value) -> Value {
    assert_eq!(answer["reply"], "connection", "{answer}");
    answer["connection"].clone()
}

fn say(from: &mut Bot, connection: &Value, to: &mut Bot, text: &str) {
    let sent = from.ask(json!({ "command": "send", "connection": connection, "text": text }));
    let message = to.event("message");
    assert_eq!((&message["text"], &message["integrity"]["code"]), (&json!(text), &json!("ok")));
    assert_eq!(from.event("sent")["message"], sent["message"]);
    assert_eq!(from.event("receipt")["message"], sent["message"]);
}

/// Connects, talks, and ends. Messages go through a proxy unless the options say never.
fn play(options: &[&str], invite: Value) {
    let proxied = !options.contains(&"never");
    let mut scene = Scene::start(options);
    let (of_alice, of_bob) = scene.connect(invite);
    let send = json!({ "command": "send", "connection": of_alice, "text": "first" });
    let sent = scene.alice.ask(send)["message"].clone();
    assert_eq!(scene.alice.wait(|line| line["event"] == "sent" && line["message"] == sent)["proxied"], proxied);
    scene.bob.event("message");
    scene.alice.event("receipt");
    scene.talk(&(of_alice, of_bob));
    scene.end();
}

#[test]
fn a_short_link_may_hold_the_key_against_quantum_computers() {
    play(&[], json!({ "short": true, "post_quantum": "in_link" }));
}

#[test]
fn nothing_need_be_sent_directly() {
    play(&["--proxy-mode", "always", "--fallback", "no"], json!({ "post_quantum": "in_link" }));
}

#[test]
fn each_conversation_may_have_connections_of_its_own() {
    play(&["--session-mode", "entity", "--proxy-mode", "never"], json!({ "post_quantum": "off", "short": true }));
}

#[test]
fn old_versions_connect() {
    for options in [
        &["--agent-versions", "2-5"][..],
        &["--smp-versions", "6-7", "--proxy-mode", "never"],
        &["--smp-versions", "8-14"],
        &["--client-versions", "1-2", "--e2e-versions", "2"],
    ] {
        play(options, json!({ "post_quantum": "off" }));
    }
}

#[test]
fn requests_to_an_address_are_accepted_or_rejected_by_hand() {
    let mut scene = Scene::start(&[]);
    let address = connection(&scene.alice.ask(json!({ "command": "create_address", "short": true, "user_data": "A" })));
    let link = scene.alice.event("link_ready")["short_link"].clone();
    assert!(link.is_string());
    // What is behind the link can be read, and changed.
    scene.bob.ask(json!({ "command": "read_link", "link": link }));
    let read = scene.bob.event("link_read");
    assert_eq!((&read["user_data"], &read["invitation"]), (&json!("A"), &json!(false)));
    scene.alice.ask(json!({ "command": "set_link", "connection": address, "user_data": "B" }));
    assert_eq!(scene.alice.event("link_ready")["short_link"], link);
    scene.bob.ask(json!({ "command": "read_link", "link": link }));
    assert_eq!(scene.bob.event("link_read")["user_data"], "B");

    let ask = |bob: &mut Bot| connection(&bob.ask(json!({ "command": "join", "link": link, "info": "please" })));
    ask(&mut scene.bob);
    let request = scene.alice.event("request");
    assert_eq!((&request["info"], &request["connection"]), (&json!("please"), &address));
    let reject = json!({ "command": "reject", "invitation": request["invitation"] });
    assert_eq!(scene.alice.ask(reject.clone())["reply"], "done");
    assert_eq!(scene.alice.ask(reject)["error"]["reason"], "no_invitation");
    let of_bob = ask(&mut scene.bob);
    let request = scene.alice.event("request");
    let accept = json!({ "command": "accept", "invitation": request["invitation"], "info": "welcome" });
    let of_alice = connection(&scene.alice.ask(accept));
    assert_eq!(scene.bob.event("confirmation")["info"], "welcome");
    assert_eq!(scene.bob.ask(json!({ "command": "allow", "connection": of_bob }))["reply"], "done");
    assert_eq!(scene.alice.event("connected")["connection"], of_alice);
    assert_eq!(scene.bob.event("connected")["connection"], of_bob);
    scene.talk(&(of_alice, of_bob));

    assert_eq!(scene.alice.ask(json!({ "command": "delete_link", "connection": address }))["reply"], "done");
    assert_eq!(scene.alice.event("link_deleted")["connection"], address);
    scene.bob.ask(json!({ "command": "read_link", "link": link }));
    assert_eq!(scene.bob.event("failed")["error"]["code"], "relay");
    scene.end();
}

#[test]
fn keys_are_made_anew() {
    let mut scene = Scene::start(&[]);
    let connections = scene.connect(json!({}));
    scene.talk(&connections);
    let command = json!({ "command": "resynchronize", "connection": connections.0, "force": true });
    assert_eq!(scene.alice.ask(command)["reply"], "done");
    assert_eq!(
        scene.alice.wait(|line| line["event"] == "ratchet" && line["state"] == "ok")["connection"],
        connections.0
    );
    assert_eq!(scene.bob.wait(|line| line["event"] == "ratchet" && line["state"] == "ok")["connection"], connections.1);
    scene.talk(&connections);
    scene.end();
}

/// The relays of a user from now on.
fn servers(addresses: &[&str]) -> Value {
    let servers: Vec<Value> = addresses.iter().map(|address| json!({ "address": address })).collect();
    json!({ "command": "set_servers", "servers": servers })
}

#[test]
fn receive_queues_move_or_stay() {
    const NOBODY: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@127.0.0.2:9";
    let mut scene = Scene::start(&["--proxy-mode", "never"]);
    let connections = scene.connect(json!({ "post_quantum": "off" }));
    let second = scene.relays[1].address.clone();
    let of_alice = connections.0.clone();
    let command = |name: &str| json!({ "command": name, "connection": of_alice });
    assert_eq!(scene.alice.ask(command("abort_switch"))["error"]["reason"], "prohibited");

    // A relay that does not answer: given up by hand.
    assert_eq!(scene.alice.ask(servers(&[NOBODY]))["reply"], "done");
    assert_eq!(scene.alice.ask(command("switch"))["reply"], "done");
    assert_eq!(scene.alice.ask(command("switch"))["error"]["reason"], "prohibited");
    assert_eq!(scene.alice.ask(command("abort_switch"))["reply"], "done");
    let aborted = scene.alice.event("switch");
    assert_eq!((&aborted["phase"], &aborted["receiving"]), (&json!("aborted"), &json!(true)));
    scene.talk(&connections);

    assert_eq!(scene.alice.ask(servers(&[&second]))["reply"], "done");
    assert_eq!(scene.alice.ask(command("switch"))["reply"], "done");
    let phases = ["started", "confirmed", "secured", "completed"];
    for phase in phases {
        let switch = scene.alice.event("switch");
        assert_eq!((&switch["phase"], &switch["receiving"]), (&json!(phase), &json!(true)), "{switch}");
        assert_eq!(switch["connection"], of_alice);
    }
    for phase in phases {
        let is = |line: &Value| line["event"] == "switch" && line["phase"] == phase;
        assert_eq!(scene.bob.wait(is)["receiving"], false);
    }
    scene.talk(&connections);
    // Bob knows of one queue only, as far as he has said.
    assert_eq!(scene.alice.ask(command("add_receive_queue"))["error"]["reason"], "prohibited");
    scene.end();
}

#[test]
fn a_receive_queue_is_added_for_peers_that_know_of_it() {
    let mut scene = Scene::start(&["--proxy-mode", "never"]);
    let addresses = scene.relays.each_ref().map(|relay| relay.address.clone());
    for bot in [&mut scene.alice, &mut scene.bob] {
        assert_eq!(bot.ask(servers(&addresses.each_ref().map(String::as_str)))["reply"], "done");
    }
    let of_alice = connection(&scene.alice.ask(json!({ "command": "invite", "post_quantum": "off" })));
    let link = scene.alice.event("link_ready")["link"].clone();
    let of_bob = connection(&scene.bob.ask(json!({ "command": "join", "link": link, "receive_queues": 2 })));
    scene.alice.event("confirmation");
    assert_eq!(scene.alice.ask(json!({ "command": "allow", "connection": of_alice }))["reply"], "done");
    scene.alice.event("connected");
    scene.bob.event("connected");
    let command = json!({ "command": "add_receive_queue", "connection": of_alice });
    assert_eq!(scene.alice.ask(command)["reply"], "done");
    let two = |line: &Value, what: &str| line["event"] == "redundancy" && line[what].as_array().unwrap().len() == 2;
    assert_eq!(scene.alice.wait(|line| two(line, "receiving"))["connection"], of_alice);
    assert_eq!(scene.bob.wait(|line| two(line, "sending"))["connection"], of_bob);
    scene.talk(&(of_alice, of_bob));
    scene.end();
}

#[test]
fn what_is_suspended_takes_nothing_and_what_is_deleted_is_gone() {
    let mut scene = Scene::start(&[]);
    let (of_alice, of_bob) = scene.connect(json!({}));
    assert_eq!(scene.alice.ask(json!({ "command": "suspend", "connection": of_alice }))["reply"], "done");
    scene.bob.ask(json!({ "command": "send", "connection": of_bob, "text": "too late" }));
    assert_eq!(scene.bob.event("not_sent")["connection"], of_bob);
    assert_eq!(scene.alice.ask(json!({ "command": "delete", "connection": of_alice }))["reply"], "done");
    assert_eq!(scene.alice.event("deleted")["failures"], json!([]));
    assert_eq!(scene.alice.ask(json!({ "command": "connections" }))["connections"], json!([]));
    let again = json!({ "command": "delete", "connection": of_alice });
    assert_eq!(scene.alice.ask(again)["error"]["reason"], "no_connection");
    scene.end();
}

#[test]
fn nothing_is_received_before_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let (alices, bobs) = (user(folder.path(), "alice", &[&relay]), user(folder.path(), "bob", &[&relay]));
    let (mut alice, mut bob) = (Bot::start(&alices, &[]), Bot::start(&bobs, &[]));
    let of_alice = connection(&alice.ask(json!({ "command": "invite" })));
    let link = alice.event("link_ready")["link"].clone();
    let of_bob = connection(&bob.ask(json!({ "command": "join", "link": link })));
    alice.event("connected");
    bob.event("connected");
    alice.end();
    let sent = bob.ask(json!({ "command": "send", "connection": of_bob, "text": "hello" }))["message"].clone();
    assert_eq!(bob.event("sent")["message"], sent);
    assert_eq!(bob.ask(json!({ "command": "network_changed", "online": true }))["reply"], "done");
    let forget = json!({ "command": "forget_message", "connection": of_bob, "message": sent });
    assert_eq!(bob.ask(forget)["reply"], "done");
    let mut alice = Bot::start(&alices, &["--no-subscribe"]);
    // An invitation takes as long as a message would: nothing was delivered meanwhile.
    alice.ask(json!({ "command": "invite" }));
    alice.event("link_ready");
    assert!(!alice.has_passed(|line| line["event"] == "message"));
    assert_eq!(alice.ask(json!({ "command": "subscribe", "connection": of_alice }))["reply"], "done");
    assert_eq!(alice.event("message")["text"], "hello");
    alice.end();
    bob.end();
}
