use super::*;

#[test]
fn template_is_the_defaults() {
    let config = Config::parse(&template(&Choices::default())).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn template_holds_the_choices() {
    let choices = Choices {
        listen: vec!["127.0.0.1:7001".parse().unwrap(), "[::1]:7002".parse().unwrap()],
        hosts: vec!["relay.example".to_owned(), "abc.onion".to_owned()],
        port: Some(443),
        password: Some("tricky\"pass\\word#".to_owned()),
        engine: Some(Engine::Memory),
    };
    let config = Config::parse(&template(&choices)).unwrap();
    assert_eq!(config.server.listen, choices.listen);
    assert_eq!(config.server.hosts, choices.hosts);
    assert_eq!(config.address_port(), 443);
    assert_eq!(config.queues.password, choices.password);
    assert_eq!(config.store.engine, Engine::Memory);
}

#[test]
fn what_is_printed_can_be_read_and_has_no_secrets() {
    let choices = Choices {
        listen: vec!["127.0.0.1:7001".parse().unwrap(), "[::1]:7002".parse().unwrap()],
        hosts: vec!["relay.example".to_owned()],
        password: Some("open-sesame".to_owned()),
        ..Choices::default()
    };
    let mut config = Config::parse(&template(&choices)).unwrap();
    config.queues.max = Some(7);
    config.information.operator = Some("Operator \"of\" relays".to_owned());
    config.information.hosting_type = Some(HostingType::Owned);
    config.web.https = vec!["[::]:443".parse().unwrap()];
    (config.web.certificate, config.web.key) = (Some("web.crt".into()), Some("web.key".into()));
    config.proxy.socks_proxy = Some("127.0.0.1:9050".parse().unwrap());
    config.proxy.own_server_domains = vec!["example.org".to_owned()];
    config.metrics.listen = Some("127.0.0.1:9223".parse().unwrap());
    config.names.resolver = Some("http://127.0.0.1:8000".to_owned());
    config.names.authorization = Some("bearer very-secret".to_owned());
    let text = config.to_toml().unwrap();
    assert!(!text.contains("open-sesame") && !text.contains("very-secret"), "{text}");
    (config.queues.password, config.names.authorization) = (None, None);
    assert_eq!(format!("{:?}", Config::parse(&text).unwrap()), format!("{config:?}"));
    let defaults = Config::parse(&Config::default().to_toml().unwrap()).unwrap();
    assert_eq!(format!("{defaults:?}"), format!("{:?}", Config::default()));
}

#[test]
fn nonsense_is_refused_by_name() {
    for (text, word) in [
        ("[messages]\nquota = 0", "quota"),
        ("[server]\nlisten = []", "listen"),
        ("[server]\nlistne = []", "listne"),
        ("[queues]\npassword = \"a b\"", "password"),
        ("[limits]\ntls_timeout_seconds = 0", "time-outs"),
        ("[store]\nengine = \"sqlite\"", "sqlite"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
