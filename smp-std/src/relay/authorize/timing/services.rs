//! In sessions of services, where SUB and NSUB carry the service's signature besides the entity's authorization.

use smp_proto::smp::service::ServiceRole;

use super::population::{Ids, Kind, OTHER_SERVICE, OWN_SERVICE, Population};
use super::session::TestSession;
use super::statistics::{heading, measure, report};
use super::{REPEATED, Signed, Stranger, Wanted, samples};

#[test]
#[ignore = "measures"]
fn timing_of_services() {
    let memory = Population::in_memory(100_000);
    of_services("services, memory store, 100,000 queues", &memory);
    drop(memory);
    let folder = tempfile::tempdir().unwrap();
    let disk = Population::on_disk(folder.path(), 200_000);
    of_services("services, fjall store, 200,000 queues", &disk);
}

fn of_services(what: &str, population: &Population) {
    heading(&format!("{what}, {REPEATED} ids of each class asked for again and again"));
    for (role, wanted, all_queues) in [
        (ServiceRole::Messaging, Wanted::Subscribe, Wanted::Service),
        (ServiceRole::Notifier, Wanted::Notifications, Wanted::NotifierService),
    ] {
        let session = TestSession::of_service(role);
        for kind in Kind::ALL {
            of_queues(population, &session, wanted, kind);
        }
        of_all(population, &session, all_queues);
    }
}

/// SUB and NSUB: unknown ids, and queues that are the service's, another's and nobody's.
fn of_queues(population: &Population, session: &TestSession, wanted: Wanted, kind: Kind) {
    let mut stranger = Stranger::new();
    let other = if kind == Kind::X25519 { Kind::Ed448 } else { Kind::X25519 };
    let mut groups: Vec<(&str, Vec<[u8; 24]>)> = vec![("unknown", stranger.unknown())];
    let ids = |ids: &[Ids]| ids.iter().take(REPEATED).map(|ids| wanted.id(ids)).collect();
    groups.push(("nobody's", ids(&population.associated(kind, None))));
    groups.push(("its own", ids(&population.associated(kind, Some(OWN_SERVICE)))));
    groups.push(("another's", ids(&population.associated(kind, Some(OTHER_SERVICE)))));
    groups.push(("its own, other kind of key", ids(&population.associated(other, Some(OWN_SERVICE)))));
    for signed in [Signed::Rightly, Signed::Wrongly] {
        // A wrong signature of the service says all before the kind of the other matters.
        if signed == Signed::Wrongly && kind != Kind::Ed25519 {
            continue;
        }
        let samples = if kind == Kind::Ed448 { samples() / 10 } else { samples() };
        compare(population, session, &format!("{wanted:?}, {kind:?}, {signed:?}"), samples, &groups, |id| {
            stranger.transmission(session, Some(kind), id, wanted, signed)
        });
    }
}

/// SUBS and NSUBS: the service, another one, and one that is not there.
fn of_all(population: &Population, session: &TestSession, wanted: Wanted) {
    let mut stranger = Stranger::new();
    let groups =
        [("unknown", stranger.unknown()), ("the service", vec![OWN_SERVICE]), ("another service", vec![OTHER_SERVICE])];
    compare(population, session, &format!("{wanted:?}, Ed25519"), samples(), &groups, |id| {
        stranger.transmission(session, Some(Kind::Ed25519), id, wanted, Signed::No)
    });
}

fn compare(
    population: &Population,
    session: &TestSession,
    what: &str,
    samples: usize,
    groups: &[(&str, Vec<[u8; 24]>)],
    mut ask: impl FnMut(&[u8]) -> Vec<u8>,
) {
    let terms = session.terms();
    let mut cursors = vec![0; groups.len()];
    let prepare = |class: usize| {
        let (_, ids) = &groups[class];
        let id = ids[cursors[class] % ids.len()];
        cursors[class] += 1;
        ask(&id)
    };
    let times = measure(groups.len(), samples, prepare, |transmission| {
        let refused = terms.authorize_at_once(&population.store, transmission).is_err();
        assert!(refused);
        refused
    });
    let classes: Vec<_> = groups.iter().map(|(name, _)| *name).collect();
    report(what, &classes, &times);
}
