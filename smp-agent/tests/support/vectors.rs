//! The recorded procedures of two reference agents, and what of them any implementation does: its commands, the sizes
//! and kinds of its envelopes and messages, and what its application is told.

use serde_json::Value;

/// Both parties, as the records name them.
pub const PARTIES: [&str; 2] = ["A", "B"];

/// A recorded procedure.
pub struct Procedure {
    pub name: String,
    /// The options of each party, such as `--agent-vr`.
    pub options: [Vec<String>; 2],
    /// For each party, all orders of its commands that were seen.
    pub commands: [Vec<Vec<String>>; 2],
    /// What happened, in order.
    pub steps: Vec<Value>,
}

/// All recorded procedures.
pub fn procedures() -> Vec<Procedure> {
    let text = include_str!("../vectors/agent-procedures.json");
    let file: Value = serde_json::from_str(text).expect("JSON");
    file["cases"].as_array().expect("cases").iter().map(Procedure::read).collect()
}

/// The one with this name.
pub fn procedure(name: &str) -> Procedure {
    procedures().into_iter().find(|procedure| procedure.name == name).expect("a recorded procedure")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

impl Procedure {
    fn read(case: &Value) -> Self {
        let commands = PARTIES.map(|party| {
            let others = case["other_orders"][party].as_array().into_iter().flatten().map(texts);
            std::iter::once(texts(&case["commands"][party])).chain(others).map(of_agent).collect()
        });
        Self {
            name: case["name"].as_str().expect("a name").to_owned(),
            options: PARTIES.map(|party| texts(&case["options"][party])),
            commands,
            steps: case["steps"].as_array().expect("steps").clone(),
        }
    }

    /// The value of an option of a party.
    pub fn option(&self, party: usize, name: &str) -> Option<&str> {
        let mut options = self.options[party].iter();
        options.find(|option| *option == name)?;
        options.next().map(String::as_str)
    }

    /// Whether a party has an option that needs no value.
    pub fn has(&self, party: usize, name: &str) -> bool {
        self.options[party].iter().any(|option| option == name)
    }

    /// A range of versions that a party is limited to.
    pub fn versions(&self, party: usize, name: &str) -> Option<(u16, u16)> {
        let (low, high) = self.option(party, name)?.split_once('-')?;
        Some((low.parse().ok()?, high.parse().ok()?))
    }

    fn of(&self, party: usize, events: &'static [&'static str]) -> impl Iterator<Item = &Value> {
        let events = move |step: &&Value| events.iter().any(|event| step["event"] == *event);
        self.steps.iter().filter(move |step| step["party"] == PARTIES[party]).filter(events)
    }

    /// What the applications asked for: the party, the text, and whether it came right behind the one before.
    pub fn application_commands(&self) -> Vec<(usize, &str, bool)> {
        let mut commands = Vec::new();
        let mut adjacent = false;
        for step in &self.steps {
            let is_command = step["event"] == "application command";
            if is_command {
                let party = PARTIES.iter().position(|party| step["party"] == *party).expect("A or B");
                commands.push((party, step["text"].as_str().expect("a text"), adjacent));
            }
            adjacent = is_command;
        }
        commands
    }

    /// Each message a party sent: its queue, whether the device was to be woken, and the length of the body.
    pub fn sends(&self, party: usize) -> Vec<String> {
        let commands = self.of(party, &["command", "command inside the next PFWD"]);
        let sends = commands.filter(|step| step["command"] == "SEND").map(|step| {
            let fields = &step["fields"];
            let notify = fields["notification"].as_str().unwrap();
            format!("{} {notify} {}", step["entity"].as_str().unwrap(), fields["body_size"])
        });
        sends.collect()
    }

    /// Each queue a party created.
    pub fn creates(&self, party: usize) -> Vec<String> {
        let news = self.of(party, &["command"]).filter(|step| step["command"] == "NEW").map(|step| {
            let fields = &step["fields"];
            let request = &fields["queue_request"];
            // Below version 15 there is a mark for the mode, below 9 nothing.
            let mode = request["mode"].as_str().unwrap_or("any");
            let link = !request["link_data"].is_null();
            format!("{mode} {} link {link}", fields["subscription_mode"].as_str().unwrap())
        });
        news.collect()
    }

    /// Each envelope a party sealed.
    pub fn envelopes(&self, party: usize) -> Vec<String> {
        let envelopes = self.of(party, &["envelope sent"]).map(|step| {
            let message = &step["client_message"];
            let parameters = &message["e2eParams"];
            let parameters = match parameters.is_object() {
                true => format!(" e2e {} kem {}", parameters["version"], text(&parameters["kem"])),
                false => String::new(),
            };
            let ratchet = &message["ratchetMsg_size"];
            let ratchet = if ratchet.is_null() { String::new() } else { format!(" ratchet {ratchet}") };
            let link = &message["kem_key_in_link"];
            let link = if link.is_null() { String::new() } else { format!(" kem in link {link}") };
            format!(
                "client {} key {} header {} agent {} {}{parameters}{ratchet}{link}",
                step["client_version"],
                text(&step["public_key"]),
                text(&message["private_header"]),
                message["agent_version"],
                text(&message["envelope"]),
            )
        });
        envelopes.collect()
    }

    /// Each message a party gave to its ratchet, with its length where no address is in it.
    pub fn messages(&self, party: usize) -> Vec<String> {
        let messages = self.of(party, &["ratchet encrypt"]).map(|step| {
            let message = &step["agent_message"];
            let kind = message["message"].as_str().or(message["kind"].as_str()).unwrap();
            let number = message["sndMsgId"].as_i64().unwrap_or(1);
            let size = match kind {
                "I" | "HELLO" | "A_MSG" | "A_RCVD" | "EREADY" => message["size"].to_string(),
                _ => "any".into(),
            };
            format!("{kind} {number} size {size} padded {}", step["padded"])
        });
        messages.collect()
    }

    /// What a party's application was told.
    pub fn events(&self, party: usize) -> Vec<String> {
        let texts = self.of(party, &["application event"]).map(|step| step["text"].as_str().expect("a text"));
        let mut events: Vec<String> = texts.filter_map(event).collect();
        events.dedup_by(|one, other| one == other && one == "LINK");
        events
    }
}

/// A text, or that there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("none").to_owned()
}

/// Commands that an agent asks for; what an adapter does to reach a relay through a proxy is its own matter, and nothing
/// here asks about queues.
fn of_agent(commands: Vec<String>) -> Vec<String> {
    let of_adapter = |line: &String| ["PRXY", "PFWD", "QUE"].iter().any(|command| line.starts_with(command));
    commands.into_iter().filter(|line| !of_adapter(line)).collect()
}

/// The part of an event behind a name such as `info=`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let start = text.find(name).map_or(text.len(), |start| start + name.len());
    &text[start..]
}

fn word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// An event in the words both sides have; nothing for what only the recording program says.
fn event(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let pq = word(field(line, "pq="));
    Some(match words[0] {
        "LINK" | "SHORTLINK" => "LINK".into(),
        "LINKDATA" if line.contains("vr=") => format!("LDATA {}", field(line, "UserLinkData ").trim_matches('"')),
        "JOINED" | "ACCEPTED" => format!("JOINED {}", field(line, "secured=")),
        "CONF" => format!("CONF pq={pq} {}", field(line, "info=")),
        "REQ" => format!("REQ pq={pq} {}", field(line, "info=")),
        "INFO" => format!("INFO {}", field(line, "info=")),
        "CON" => format!("CON pq={pq}"),
        "MSG" => {
            let body = field(line, "body=").trim_matches('"');
            let body = body.strip_suffix('…').map_or(body, word);
            format!("MSG {} {} pq={pq} {body}", words[3], words[4])
        }
        "SENT" => format!("SENT {}", if words[3] == "direct" { "direct" } else { "proxied" }),
        "RCVD" => format!("RCVD {}", line.rsplit(':').next().unwrap_or_default()),
        "SWITCH" => format!("SWITCH {} {}", words[2], words[3]),
        "RSYNC" => format!("RSYNC {}", words[2]),
        _ if words.get(1) == Some(&"QCONT") => "QCONT".into(),
        _ if words.get(1) == Some(&"MERR") => "MERR".into(),
        _ if words.get(1) == Some(&"ERR") => "ERR".into(),
        "ERROR" => "ERROR".into(),
        _ => return None,
    })
}
