use super::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn random(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn server(hosts: &str) -> Server {
    Server::parse(&format!("smp://LcJU@{hosts}")).unwrap()
}

fn configured(hosts: &str, operator: u32, roles: &str) -> ConfiguredServer {
    ConfiguredServer {
        // 0 stands for none.
        operator: (operator > 0).then_some(OperatorId(operator)),
        storage: roles.contains('s'),
        proxy: roles.contains('p'),
        enabled: !roles.contains('-'),
        ..ConfiguredServer::new(server(hosts), None)
    }
}

fn list(servers: &[ConfiguredServer]) -> ServerList {
    ServerList::from(servers.to_vec())
}

/// All that can be chosen, by their first hosts.
fn reachable(servers: &ServerList, role: Role, used: &[Server]) -> BTreeSet<String> {
    let mut random = random(1);
    (0..200).map(|_| name(next(servers, role, used, &mut random).unwrap())).collect()
}

fn name(configured: &ConfiguredServer) -> String {
    format!("{}", configured.server.address().hosts.iter().next().unwrap())
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(String::from).into()
}

#[test]
fn another_operator_and_another_host() {
    let servers = list(&[
        configured("test1.simplex.im", 1, "sp"),
        configured("test2.simplex.im", 1, "sp"),
        configured("srv1.example.com", 2, "p"),
        configured("srv2.example.com", 2, "p"),
    ]);
    let used = |hosts: &[&str]| hosts.iter().map(|host| server(host)).collect::<Vec<_>>();
    let reachable = |role, hosts: &[&str]| reachable(&servers, role, &used(hosts));
    assert_eq!(reachable(Role::Storage, &[]), names(["test1.simplex.im", "test2.simplex.im"]), "the only operator");
    assert_eq!(reachable(Role::Storage, &["test1.simplex.im"]), names(["test2.simplex.im"]), "another host");
    let second = names(["srv1.example.com", "srv2.example.com"]);
    assert_eq!(reachable(Role::Proxy, &["test1.simplex.im"]), second, "another operator");
    assert_eq!(reachable(Role::Proxy, &["test1.simplex.im", "test2.simplex.im"]), second);
    let others = names(["test2.simplex.im", "srv2.example.com"]);
    assert_eq!(reachable(Role::Proxy, &["test1.simplex.im", "srv1.example.com"]), others, "all operators are used");
    assert_eq!(reachable(Role::Proxy, &["elsewhere.example"]).len(), 4, "nothing is known of it");
}

#[test]
fn servers_without_an_operator_count_as_of_one() {
    let servers = list(&[configured("a", 0, "sp"), configured("b", 0, "sp"), configured("c", 3, "sp")]);
    assert_eq!(reachable(&servers, Role::Storage, &[server("a")]), names(["c"]));
    assert_eq!(reachable(&servers, Role::Storage, &[server("c")]), names(["a", "b"]));
}

#[test]
fn any_host_of_a_used_server_counts_and_so_do_servers_without_the_role() {
    let servers = list(&[
        configured("a,a.onion", 1, "s"),
        configured("b", 1, "p"),
        configured("c", 2, "p"),
        configured("d", 2, "s-"),
    ]);
    assert_eq!(reachable(&servers, Role::Proxy, &[server("x,a.onion:443")]), names(["c"]));
    assert_eq!(reachable(&servers, Role::Proxy, &[server("d")]), names(["b"]), "also one that is not enabled");
}

#[test]
fn an_empty_list_has_no_server() {
    let servers = list(&[]);
    assert!(next(&servers, Role::Storage, &[], &mut random(1)).is_none());
    assert!(next_untried(&servers, Role::Proxy, &[server("a")], &mut Tried::none(), &mut random(1)).is_none());
    assert!(several(&servers, Role::Storage, 3, &[], &mut random(1)).is_empty());
}

#[test]
fn all_servers_stand_in_where_none_has_the_role() {
    let servers = list(&[configured("a", 1, "s-"), configured("b", 2, "s")]);
    assert_eq!(reachable(&servers, Role::Proxy, &[]), names(["a", "b"]));
    assert_eq!(reachable(&servers, Role::Storage, &[]), names(["b"]));
}

#[test]
fn every_equal_is_chosen_as_often() {
    let servers = list(&["a", "b", "c", "d", "e"].map(|host| configured(host, 1, "sp")));
    let mut random = random(2);
    let mut counts = alloc::collections::BTreeMap::<String, u32>::new();
    for _ in 0..10_000 {
        *counts.entry(name(next(&servers, Role::Storage, &[], &mut random).unwrap())).or_default() += 1;
    }
    assert_eq!(counts.len(), 5);
    assert!(counts.values().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
}

#[test]
fn all_are_tried_before_one_is_tried_again() {
    // The used server's operator is avoided although others fail.
    let servers = list(&[
        configured("a", 1, "sp"),
        configured("b", 2, "sp"),
        configured("c", 2, "sp"),
        configured("d", 3, "sp"),
        configured("d,e", 3, "sp"),
    ]);
    for seed in 0..50 {
        let mut random = random(seed);
        let mut tried = Tried::none();
        let mut round = || -> Vec<String> {
            let mut attempt =
                || name(next_untried(&servers, Role::Storage, &[server("a")], &mut tried, &mut random).unwrap());
            [attempt(), attempt(), attempt()].into()
        };
        for _ in 0..3 {
            let round = round();
            let different: BTreeSet<_> = round.iter().cloned().collect();
            assert_eq!(different, names(["b", "c", "d"]), "{round:?}");
        }
    }
}

#[test]
fn used_hosts_are_avoided_in_the_second_round_too() {
    let servers = list(&[configured("a", 1, "sp"), configured("b", 1, "sp"), configured("c", 1, "sp")]);
    for seed in 0..50 {
        let mut random = random(seed);
        let mut tried = Tried::none();
        let mut attempt =
            || name(next_untried(&servers, Role::Storage, &[server("a")], &mut tried, &mut random).unwrap());
        for _ in 0..4 {
            assert_eq!(BTreeSet::from([attempt(), attempt()]), names(["b", "c"]));
        }
    }
}

#[test]
fn several_are_of_different_operators_and_hosts() {
    let servers = list(&[
        configured("a1", 1, "sp"),
        configured("a2", 1, "sp"),
        configured("a3", 1, "sp"),
        configured("b1", 2, "sp"),
        configured("b2", 2, "sp"),
        configured("c1", 0, "sp"),
        configured("p", 4, "p"),
    ]);
    for seed in 0..50 {
        let of = |count, used: &[Server]| {
            let chosen = several(&servers, Role::Storage, count, used, &mut random(seed));
            let mut operators: Vec<u32> = chosen.iter().map(|s| s.operator.map_or(0, |operator| operator.0)).collect();
            operators.sort_unstable();
            operators
        };
        assert_eq!(of(3, &[]), [0, 1, 2]);
        assert_eq!(of(2, &[server("b1")]), [0, 1]);
        assert_eq!(of(3, &[server("b1")]), [0, 1, 2]);
        // Once all operators had their turn, those with servers left have another one.
        assert_eq!(of(5, &[]), [0, 1, 1, 2, 2]);
        assert_eq!(of(9, &[]), [0, 1, 1, 1, 2, 2]);
        assert!(of(0, &[]).is_empty());
    }
}

#[test]
fn several_never_share_a_host() {
    let servers = list(&[configured("a,b", 1, "sp"), configured("b,c", 2, "sp"), configured("a:443", 3, "sp")]);
    for seed in 0..50 {
        let chosen = several(&servers, Role::Storage, 3, &[], &mut random(seed));
        assert!(!chosen.is_empty() && chosen.len() < 3);
    }
}

/// A list of up to six servers with few hosts and operators, so that they collide, and what is used and tried.
fn scenario(random: &mut ChaCha20Rng) -> (ServerList, Role, Vec<Server>, Tried) {
    let mut below = |limit: u32| random.next_u32() % limit;
    let hosts = |below: &mut dyn FnMut(u32) -> u32| {
        let host = |number: u32| char::from(b'a' + number as u8);
        if below(3) == 0 { format!("{},{}", host(below(6)), host(below(6))) } else { format!("{}", host(below(8))) }
    };
    let servers: Vec<_> = (0..below(7))
        .map(|_| {
            let roles = ["sp", "s", "p", "sp-", "sp", ""][below(6) as usize];
            configured(&hosts(&mut below), below(4), roles)
        })
        .collect();
    let used = (0..below(3)).map(|_| server(&hosts(&mut below))).collect();
    let tried = Tried((0..below(3)).map(|_| server(&hosts(&mut below))).collect());
    (list(&servers), if below(2) == 0 { Role::Storage } else { Role::Proxy }, used, tried)
}

/// The rule of the wire reference, spelled out once more: all that may be chosen.
fn allowed<'l>(servers: &'l ServerList, role: Role, used: &[Server], tried: &[Server]) -> Vec<&'l ConfiguredServer> {
    let hosts =
        |server: &Server| -> BTreeSet<String> { server.address().hosts.iter().map(|host| format!("{host}")).collect() };
    let used_hosts: BTreeSet<String> = used.iter().flat_map(hosts).collect();
    let tried_hosts: BTreeSet<String> = tried.iter().flat_map(hosts).collect();
    let uses = |taken: &BTreeSet<String>, own: &ConfiguredServer| !hosts(&own.server).is_disjoint(taken);
    let operators: BTreeSet<_> = servers.iter().filter(|own| uses(&used_hosts, own)).map(|own| own.operator).collect();
    let mut all: Vec<_> = servers.iter().filter(|own| own.serves(role)).collect();
    if all.is_empty() {
        all = servers.iter().collect();
    }
    let mut result = all.clone();
    result.retain(|own| !operators.contains(&own.operator));
    if result.is_empty() {
        result = all;
    }
    for taken in [used_hosts.union(&tried_hosts).cloned().collect(), used_hosts] {
        let fresh: Vec<_> = result.iter().copied().filter(|own| !uses(&taken, own)).collect();
        if !fresh.is_empty() {
            return fresh;
        }
    }
    result
}

#[test]
fn every_choice_obeys_the_rule() {
    let mut random = random(3);
    for _ in 0..5_000 {
        let (servers, role, used, before) = scenario(&mut random);
        let mut tried = before.clone();
        let chosen = next_untried(&servers, role, &used, &mut tried, &mut random);
        let allowed = allowed(&servers, role, &used, &before.0);
        match chosen {
            None => assert!(servers.is_empty()),
            Some(chosen) => {
                assert!(allowed.iter().any(|allowed| core::ptr::eq(*allowed, chosen)), "{servers:?}");
                assert_eq!(tried.0.last(), Some(&chosen.server));
                assert!(tried.0.len() == 1 || tried.0.len() == before.0.len() + 1);
            }
        }
    }
}

#[test]
fn every_choice_of_several_obeys_its_rule() {
    let mut random = random(4);
    for _ in 0..5_000 {
        let (servers, role, used, _) = scenario(&mut random);
        let count = (random.next_u32() % 5) as usize;
        let chosen = several(&servers, role, count, &used, &mut random);
        let candidates = servers.for_role(role);
        assert!(chosen.len() <= count);
        for (index, one) in chosen.iter().enumerate() {
            assert!(candidates.iter().any(|candidate| core::ptr::eq(*candidate, *one)));
            assert!(chosen[..index].iter().all(|other| !other.server.shares_host(&one.server)));
        }
        let free = |own: &&&ConfiguredServer| chosen.iter().all(|one| !one.server.shares_host(&own.server));
        let left: Vec<_> = candidates.iter().filter(free).collect();
        assert!(chosen.len() == count || left.is_empty(), "no server is left out");
        // No operator has two of them while another one, whose servers are free, has none.
        let operators: BTreeSet<_> = chosen.iter().map(|one| one.operator).collect();
        let new = |operator: &Option<OperatorId>| !operators.contains(operator);
        if operators.len() < chosen.len() {
            assert!(!left.iter().any(|own| new(&own.operator)), "{servers:?}");
        }
        // The first one is what would have been chosen alone.
        if let Some(first) = chosen.first() {
            let allowed = allowed(&servers, role, &used, &[]);
            assert!(allowed.iter().any(|allowed| core::ptr::eq(*allowed, *first)), "{servers:?}");
        }
    }
}
