use proptest::prelude::*;
use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-01-31T08:00:00Z".parse().unwrap()
}

fn climate() -> Type {
    serde_json::from_value(json!({
        "name": "climate", "title": "Climate", "kind": "sensor",
        "properties": {"humidity": {"unit": "%RH", "minimum": 0, "maximum": 100}, "temperature": {"unit": "Cel", "minimum": -40, "maximum": 85}}
    }))
    .unwrap()
}

fn temperature() -> Type {
    let mut kind = climate();
    kind.name = "temperature".parse().unwrap();
    kind.properties.remove("humidity");
    kind
}

fn read(payload: &str, kind: &Type) -> Result<Vec<Reading>, String> {
    let sensor = SensorId::derive(&["s"]);
    parse(payload.as_bytes(), None)?
        .iter()
        .map(|raw| check(raw, kind, sensor, now()))
        .collect()
}

fn one(payload: &str, kind: &Type) -> Reading {
    let mut readings = read(payload, kind).unwrap();
    assert_eq!(readings.len(), 1, "{payload}");
    readings.remove(0)
}

#[test]
fn the_formats_of_one_reading() {
    for payload in [
        "21.5",
        " 21.5\n",
        r#"{"value": 21.5}"#,
        r#"{"values": {"temperature": 21.5}}"#,
        r#"{"values": {"value": 21.5}, "time": null}"#,
        "[21.5]",
        r#"[{"n": "temperature", "v": 21.5}]"#,
        r#"[{"n": "urn:dev:ow:10e2073a01080063", "u": "Cel", "v": 21.5}]"#,
        r#"[{"bn": "urn:dev:ow:10e2073a0108006:", "bu": "Cel", "bv": 20}, {"n": "temperature", "v": 1.5}]"#,
        r#"[{"bn": "urn:dev:mac:0024befffe804ff1_", "n": "temperature", "v": 21.5}]"#,
        r#"[{"bn": "room/", "n": "temperature", "v": 21.5}]"#,
    ] {
        let reading = one(payload, &temperature());
        assert_eq!(
            reading.values,
            BTreeMap::from([("temperature".to_owned(), 21.5)]),
            "{payload}"
        );
        assert_eq!((reading.time, reading.received), (now(), now()), "{payload}");
    }
    assert_eq!(
        one("true", &temperature()).values["temperature"].to_bits(),
        1.0_f64.to_bits()
    );
}

#[test]
fn time_boot_and_seq() {
    let reading = one(
        r#"{"values": {"temperature": 1, "humidity": 2}, "time": "2026-01-31T08:59:59+01:00", "boot": 1769846400, "seq": 0}"#,
        &climate(),
    );
    assert_eq!(reading.time.to_string(), "2026-01-31T07:59:59.000Z");
    assert_eq!((reading.boot, reading.seq), (Some(1_769_846_400), Some(0)));
    let largest = one(
        r#"{"value": 1, "boot": "18446744073709551615", "seq": 17}"#,
        &temperature(),
    );
    assert_eq!((largest.boot, largest.seq), (Some(u64::MAX), Some(17)));
}

#[test]
fn arrays_keep_their_order() {
    let readings = read(
        r#"[1, {"value": 2}, {"values": {"temperature": 3}, "seq": 9}]"#,
        &temperature(),
    )
    .unwrap();
    let values: Vec<f64> = readings.iter().map(|reading| reading.values["temperature"]).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}

#[test]
fn senml_packs_resolve_base_values_and_join_what_has_the_same_time() {
    let pack = r#"[{"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1769846400, "bu": "%RH", "n": "humidity", "v": 20, "t": -5},
                   {"n": "temperature", "u": "Cel", "v": 21, "t": -5}, {"n": "humidity", "v": 22}]"#;
    let readings = read(pack, &climate()).unwrap();
    assert_eq!(readings.len(), 2);
    assert_eq!(readings[0].time.to_string(), "2026-01-31T07:59:55.000Z");
    assert_eq!(readings[0].values.len(), 2);
    assert_eq!(readings[1].time, now());
    let relative = one(r#"[{"n": "temperature", "v": 1, "t": -60}]"#, &temperature());
    assert_eq!(relative.time.to_string(), "2026-01-31T07:59:00.000Z");
    let motion = parse(
        br#"[{"n": "motion", "vb": true}]"#,
        Some("application/senml+json; charset=utf-8"),
    )
    .unwrap();
    assert_eq!(motion[0].values, BTreeMap::from([("motion".to_owned(), 1.0)]));
}

#[test]
fn refusals_say_what_was_found_and_what_is_allowed() {
    for (payload, parts) in [
        ("", &["empty", "allowed are a number"][..]),
        ("NaN", &["not valid JSON"]),
        ("1e999", &["not valid JSON"]),
        ("\"21.5\"", &["a text", "allowed are a number"]),
        ("[]", &["empty"]),
        ("[[1]]", &["reading 1 of 1", "an array"]),
        ("[1, null]", &["reading 2 of 2", "null"]),
        ("{}", &["neither `value` nor `values`"]),
        (r#"{"value": 1, "values": {"temperature": 1}}"#, &["both"]),
        (r#"{"value": "1"}"#, &["`value` is a text", "allowed is a number"]),
        (r#"{"values": 5}"#, &["`values` is a number", "an object"]),
        (r#"{"values": {}}"#, &["0 properties", "1 to 100"]),
        (
            r#"{"value": 1, "tmie": "x"}"#,
            &["`tmie`", "value, values, time, boot and seq"],
        ),
        (r#"{"value": 1, "time": "yesterday"}"#, &["`yesterday`", "RFC 3339"]),
        (r#"{"value": 1, "time": 5}"#, &["`time` is a number"]),
        (r#"{"value": 1, "seq": -1}"#, &["`seq` is -1", "0 to"]),
        (r#"{"value": 1, "boot": 1.5}"#, &["`boot` is 1.5"]),
        (r#"{"value": 86}"#, &["`temperature` is 86", "-40 to 85 Cel"]),
        ("-40.1", &["out of range"]),
        (
            r#"{"values": {"humidity": 5}}"#,
            &["unknown property `humidity`", "measures temperature"],
        ),
        (r#"{"values": {"value": 5, "temperature": 5}}"#, &["twice"]),
        (
            r#"{"value": 1, "time": "2026-01-31T09:00:00.001Z"}"#,
            &["in the future", "1 h"],
        ),
        (
            r#"[{"n": "temperature", "u": "F", "v": 70}]"#,
            &["in F", "allowed is Cel"],
        ),
        (
            r#"[{"n": "temperature", "vs": "warm"}]"#,
            &["found `vs`", "allowed are `v`"],
        ),
        (r#"[{"n": "temperature"}]"#, &["no value"]),
        (
            r#"[{"n": "temperature", "v": 1, "x_": 1}]"#,
            &["`x_`", "must be understood"],
        ),
        (r#"[{"bver": 11, "n": "temperature", "v": 1}]"#, &["`bver` is 11"]),
        (r#"[{"bn": "x"}]"#, &["no value"]),
        (r#"[{"v": 1}, 5]"#, &["record 2 of 2", "a number"]),
    ] {
        let error = read(payload, &temperature()).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{payload}: {error}");
        }
    }
    assert!(read("21.5", &climate()).unwrap_err().contains("humidity, temperature"));
    let many = format!("[{}1]", "1,".repeat(MAX_READINGS));
    assert!(read(&many, &temperature()).unwrap_err().contains("at most 1000"));
    assert!(
        parse(b"x", Some("application/senml+cbor"))
            .unwrap_err()
            .contains("senml+json")
    );
    assert!(
        parse(b"5", Some("application/senml+json"))
            .unwrap_err()
            .contains("array")
    );
}

#[test]
fn half_open_ranges_and_what_is_not_finite() {
    let mut kind = temperature();
    kind.properties.get_mut("temperature").unwrap().maximum = None;
    assert!(read("-41", &kind).unwrap_err().contains("-40 and more Cel"));
    kind.properties.get_mut("temperature").unwrap().minimum = None;
    let mut raw = parse(b"1", None).unwrap().remove(0);
    raw.values.insert(VALUE.to_owned(), f64::NAN);
    assert!(
        check(&raw, &kind, SensorId::new(), now())
            .unwrap_err()
            .contains("finite")
    );
    kind.properties.get_mut("temperature").unwrap().maximum = Some(5.0);
    assert!(read("6", &kind).unwrap_err().contains("at most 5"));
    kind.properties.clear();
    assert!(read("6", &kind).unwrap_err().contains("measures nothing"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<f64>().prop_map(|f| json!(f)),
        any::<i64>().prop_map(|i| json!(i)),
        ".{0,12}".prop_map(|s| json!(s)),
    ];
    let name = prop_oneof![
        "value", "values", "time", "boot", "seq", "bn", "n", "bt", "t", "v", "vb", "bu", ".{0,4}"
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&payload, None));
        drop(parse(&payload, Some("application/senml+json")));
    }

    #[test]
    fn random_json_never_panics_and_what_passes_can_be_true(document in json_value(), senml in any::<bool>()) {
        let payload = document.to_string();
        let content = senml.then_some("application/senml+json");
        for raw in parse(payload.as_bytes(), content).unwrap_or_default() {
            if let Ok(reading) = check(&raw, &temperature(), SensorId::new(), now()) {
                prop_assert!(reading.values.values().all(|value| (-40.0..=85.0).contains(value)));
                prop_assert!(reading.time.millis_since(now()) <= MAX_AHEAD_MS);
            }
        }
    }

    #[test]
    fn what_is_written_is_read(value in -40.0..85.0_f64, boot in any::<u64>(), seq in any::<u64>()) {
        let payload = json!({"values": {"temperature": value}, "time": now(), "boot": boot, "seq": seq}).to_string();
        let reading = one(&payload, &temperature());
        // serde_json's parser may be one unit in the last place off.
        prop_assert!((reading.values["temperature"] - value).abs() <= value.abs() * f64::EPSILON);
        prop_assert_eq!((reading.boot, reading.seq), (Some(boot), Some(seq)));
    }
}
