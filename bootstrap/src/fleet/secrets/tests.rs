use super::*;

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

#[test]
fn what_hosts_have_is_kept() {
    let mut secrets = Secrets::default();
    assert!(secrets.learn(ONE, "token.key aa\nhost.token bb\n"));
    assert!(!secrets.learn(ONE, "token.key other\n"), "two installations in one");
    secrets.complete(&Config::default(), false).unwrap();
    let before = secrets.fingerprint("scheduler");
    secrets.complete(&Config::default(), false).unwrap();
    assert_eq!(secrets.files(true)["token.key"], "aa");
    assert_eq!(secrets.first_password(), None, "it was used long ago");
    assert_eq!(secrets.fingerprint("scheduler"), before);
    assert!(!format!("{secrets:?}").contains("aa"));
}

#[test]
fn a_new_installation_gets_all_and_only_the_console_knows_the_password() {
    let mut secrets = Secrets::default();
    secrets.complete(&Config::default(), false).unwrap();
    assert!(secrets.first_password().is_some());
    assert_eq!(secrets.files(true).len(), 3);
    assert_eq!(secrets.files(false).len(), 2);
    assert_eq!(secrets.accounts().len(), 12);
}

#[test]
fn kafka_is_another_one_when_no_broker_has_data_and_else_the_same() {
    let config = Config::default();
    let mut new = Secrets::default();
    new.complete(&config, false).unwrap();
    let said = format!("token.key k\nkafka.id {}\n", new.kafka_id());
    let (mut again, mut older, mut lost) = (Secrets::default(), Secrets::default(), Secrets::default());
    assert!(again.learn(ONE, &said) && older.learn(ONE, "token.key k\n") && lost.learn(ONE, &said));
    again.complete(&config, false).unwrap();
    older.complete(&config, false).unwrap();
    lost.forget_kafka();
    lost.complete(&config, true).unwrap();
    assert_eq!(again.kafka_id(), new.kafka_id());
    assert_eq!(older.kafka_id(), kafka::cluster_id("iot"));
    assert!(lost.kafka_id() != new.kafka_id() && lost.kafka_id() != older.kafka_id());
}

#[test]
fn certificates_are_kept_by_hosts_and_the_key_by_managers() {
    let machine = |last| Machine {
        name: format!("h{last}"),
        address: format!("192.0.2.{last}"),
        internal: Ipv4Addr::new(10, 0, 0, last),
        roles: std::collections::BTreeSet::new(),
        manages: true,
    };
    let (machines, now) = ([machine(1), machine(2)], Timestamp::from_second(1_800_000_000).unwrap());
    let mut first = Secrets::default();
    first.certify("iot", &machines, true, now).unwrap();
    // What the hosts say at the next `up`.
    let said = |secrets: &Secrets, machine: &Machine, key: bool| {
        let mut files = vec![secrets.host(machine.internal), secrets.authority()];
        files.extend(key.then(|| secrets.authority_key()));
        let lines = files
            .into_iter()
            .map(|(name, text)| format!("{name} {}\n", BASE64.encode(text)));
        lines.collect::<String>()
    };
    let mut next = Secrets::default();
    for machine in &machines {
        assert!(next.learn(machine.internal, &said(&first, machine, true)));
    }
    next.certify("iot", &machines, true, now).unwrap();
    assert_eq!((next.host(ONE), next.authority()), (first.host(ONE), first.authority()));
    // A host comes that has none.
    let more = [machine(1), machine(2), machine(3)];
    assert!(next.certify("iot", &more, true, now).unwrap().is_empty());
    assert_eq!(next.host(ONE), first.host(ONE));
    assert!(!next.host(Ipv4Addr::new(10, 0, 0, 3)).1.is_empty());
    // The host with the key cannot be asked: what is there stays, and nobody new is certified.
    let mut without = Secrets::default();
    without.learn(ONE, &said(&first, &machines[0], false));
    assert_eq!(without.certify("iot", &more, false, now).unwrap(), ["h2", "h3"]);
    assert_eq!(
        (without.host(ONE), without.authority()),
        (first.host(ONE), first.authority())
    );
    assert_eq!(without.authority_key().1, "");
    // Everybody was asked, and nobody has it.
    let mut lost = Secrets::default();
    lost.learn(ONE, &said(&first, &machines[0], false));
    assert!(lost.certify("iot", &more, true, now).unwrap().is_empty());
    assert_ne!(lost.authority(), first.authority());
}

#[test]
fn of_two_sets_of_passwords_the_newer_holds() {
    let password = |secrets: &Secrets| secrets.passwords().service("scheduler").to_owned();
    let said = |secrets: &Secrets| {
        let lines = secrets
            .accounts()
            .into_iter()
            .map(|(name, value)| format!("{name} {value}\n"));
        lines.chain(["token.key k\n".to_owned()]).collect::<String>()
    };
    let mut old = Secrets::default();
    old.complete(&Config::default(), false).unwrap();
    let mut new = old.clone();
    new.rotate();
    new.complete(&Config::default(), false).unwrap();
    assert_ne!(password(&new), password(&old));
    for order in [[&old, &new], [&new, &old]] {
        let mut learned = Secrets::default();
        for (last, secrets) in (1..).zip(order) {
            assert!(learned.learn(Ipv4Addr::new(10, 0, 0, last), &said(secrets)));
        }
        learned.complete(&Config::default(), false).unwrap();
        assert_eq!(learned.accounts(), new.accounts());
    }
}

#[test]
fn a_restore_that_goes_on_keeps_the_kafka_that_it_began() {
    let mut secrets = Secrets::default();
    let backup = without_kafka("token.key k\nkafka.id OLD\nhost.token t\n");
    assert_eq!(backup, "token.key k\nhost.token t\n");
    assert!(secrets.learn(Ipv4Addr::LOCALHOST, &backup));
    assert!(secrets.learn(Ipv4Addr::new(192, 0, 2, 1), "token.key k\nkafka.id NEW\n"));
    secrets.complete(&Config::default(), false).unwrap();
    assert_eq!(secrets.kafka_id(), "NEW");
}
