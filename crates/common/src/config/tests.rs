use super::*;

#[test]
fn an_empty_object_is_the_default() {
    assert_eq!(Config::parse("{}").unwrap(), Config::default());
}

#[test]
fn wrong_files_say_where_and_what_is_near() {
    let table: &[(&str, &str)] = &[
        ("", "line 1 column 0"),
        ("{", "line 1 column 1"),
        (r#"{"nmae":"x"}"#, "did you mean `name`?"),
        (r#"{"console":{"prt":81}}"#, "at console"),
        (r#"{"console":{"prt":81}}"#, "did you mean `port`?"),
        (
            r#"{"console":{"port":"80"}}"#,
            "at console.port: invalid type: string \"80\", expected a whole number from 0 to 65535",
        ),
        (
            r#"{"console":{"port":70000}}"#,
            "at console.port: invalid value: integer `70000`",
        ),
        (
            r#"{"hosts":[{"connection":"locl"}]}"#,
            "at hosts[0].connection: unknown variant `locl`",
        ),
        (r#"{"hosts":[{"connection":"locl"}]}"#, "did you mean `local`?"),
        (r#"{"hosts":[{"connection":"ssh"}]}"#, "at hosts[0].address: missing"),
        (
            r#"{"hosts":[{"connection":"ssh","address":"node.example.org"}]}"#,
            "at hosts[0].internal_address: missing",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1","ssh":{"host_key":"MD5:00"}}]}"#,
            "at hosts[0].ssh.host_key: allowed: SHA256:",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1"},{"connection":"ssh","address":"192.0.2.1"}]}"#,
            "at hosts[1].address: \"192.0.2.1\" is also at hosts[0].address",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1","services":["kafka","kafka"]}]}"#,
            "at hosts[0].services: kafka is also at hosts[0]",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1","services":["kafka"]}]}"#,
            "at hosts: nothing runs mongodb, registry, application-manager",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1","services":["kafak"]}]}"#,
            "did you mean `kafka`?",
        ),
        (
            r#"{"hosts":[{"ssh":{"port":2222}}]}"#,
            "at hosts[0].ssh: only with connection `ssh`",
        ),
        (
            r#"{"hosts":[{},{}]}"#,
            "at hosts[0].connection: this machine is one host",
        ),
        (
            r#"{"hosts":[{"connection":"ssh","address":"192.0.2.1"},{}]}"#,
            "at hosts[1].connection: this machine cannot be one of many hosts",
        ),
        (r#"{"api_version":"v2"}"#, "at api_version: unknown variant `v2`"),
        (r#"{"name":"Upper"}"#, "at name: found \"Upper\", allowed:"),
        (
            r#"{"data_dir":"relative"}"#,
            "at data_dir: found \"relative\", allowed:",
        ),
        (r#"{"data_dir":"/"}"#, "at data_dir"),
        (r#"{"data_dir":"/var/../etc"}"#, "at data_dir"),
        (r#"{"kafka":{"mode":"external"}}"#, "at kafka.brokers: missing"),
        (
            r#"{"kafka":{"replication":3}}"#,
            "at kafka.replication: found 3, allowed: 1, or 3 with three hosts",
        ),
        (
            r#"{"mongodb":{"replication":3}}"#,
            "at mongodb.replication: found 3, allowed: 1, or 3 with three hosts",
        ),
        (
            r#"{"mongodb":{"replication":-3}}"#,
            "at mongodb.replication: invalid value: integer `-3`, expected a whole number, not negative",
        ),
        (
            r#"{"kafka":{"replication":3},"hosts":[{"connection":"ssh","address":"192.0.2.1","services":["kafka"]},{"connection":"ssh","address":"192.0.2.2"},{"connection":"ssh","address":"192.0.2.3"}]}"#,
            "at hosts: `services` name kafka on 1 of the hosts, and kafka.replication is 3",
        ),
        (
            r#"{"mongodb":{"uri":"mongodb://x"}}"#,
            "at mongodb.uri: only with mode `external`",
        ),
        (
            r#"{"kafka":{"username":"x"}}"#,
            "at kafka: username, tls, ca and password are for mode `external`",
        ),
        (
            r#"{"mongodb":{"mode":"external","uri":"mongodb://x","username":"x"}}"#,
            "at secrets: `mongodb.username` and the secret `mongodb.password` belong together",
        ),
        (
            r#"{"kafka":{"mode":"external","brokers":"x:1","mechanism":"PLAIN"}}"#,
            "at kafka.mechanism: PLAIN sends the password as it is",
        ),
        (
            r#"{"kafka":{"mechanism":"SCRAM-SHA-256"}}"#,
            "at kafka.mechanism: only with mode `external`",
        ),
        (
            r#"{"kafka":{"mode":"external","brokers":"x:1","ca":"/ca.pem"}}"#,
            "at kafka.ca: only with `tls`",
        ),
        (
            r#"{"tls":{"certificate":"/c","key":"/k"},"console":{"tls_port":8883}}"#,
            "at ports.mqtt_tls: 8883 is also console.tls_port",
        ),
        (r#"{"ports":{"mqtt":0}}"#, "at ports.mqtt: found 0"),
        (r#"{"ports":{"mqtt":80}}"#, "at ports.mqtt: 80 is also console.port"),
        (r#"{"ports":{"admin":65530}}"#, "at ports.admin: found 65530"),
        (r#"{"limits":{"instances":0}}"#, "at limits.instances: found 0"),
        (
            r#"{"limits":{"instance_days":7}}"#,
            "at limits.instance_days: found 7, allowed: 8 or more",
        ),
        (
            r#"{"limits":{"application_cpus":-1.0}}"#,
            "at limits.application_cpus: found -1",
        ),
        (
            r#"{"secrets":{"smtp.pasword":{"file":"/x"}}}"#,
            "did you mean `smtp.password`?",
        ),
        (r#"{"secrets":{"smtp.password":"hunter2"}}"#, "at secrets"),
        ("{} {}", "at (the file): something follows the object"),
    ];
    for (text, expected) in table {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(
            error.contains(expected),
            "{text}\n  said: {error}\n  wanted: {expected}"
        );
    }
}

#[test]
fn services_are_named_as_everywhere() {
    let names: Vec<&str> = crate::names::ServiceName::ALL
        .into_iter()
        .map(crate::names::ServiceName::as_str)
        .collect();
    assert_eq!(names, SERVICES.into_iter().chain(["agent"]).collect::<Vec<_>>());
}

#[test]
fn the_port_for_tls_may_be_a_low_one_as_well() {
    let mut config = Config::default();
    (config.console.port, config.console.applications_port) = (8080, 8081);
    assert!(!config.console_needs_low_ports());
    config.tls = Some(PublicTls {
        certificate: "/c".into(),
        key: "/k".into(),
    });
    assert!(config.console_needs_low_ports());
}

#[test]
fn admin_ports_are_consecutive() {
    let ports = Config::default().admin_ports();
    assert_eq!(ports.get("application-manager"), Some(&7700));
    assert_eq!(ports.get("monitor"), Some(&7705));
    assert_eq!(ports.get("agent"), Some(&7706));
}
