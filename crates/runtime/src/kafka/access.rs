//! How clients sign in, and whom they believe.

use common::settings::{KafkaSettings, Settings, SettingsError, Tls};
use rdkafka::ClientConfig;

/// Options of librdkafka by their name. They hold a password: never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Access(Vec<(&'static str, String)>);

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Access {
    /// As the account of a service, or the one that all share.
    pub(super) fn of(settings: &Settings, account: &str) -> Result<Self, SettingsError> {
        let signs_in = settings.kafka.account.as_ref().map(|kind| kind.of(account));
        let signs_in = signs_in
            .map(|(username, secret)| Ok((username, settings.secret(&secret)?)))
            .transpose()?;
        Ok(Self(options(&settings.kafka, signs_in)))
    }

    pub(super) fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.0 {
            config.set(*name, value);
        }
    }
}

fn options(kafka: &KafkaSettings, signs_in: Option<(String, String)>) -> Vec<(&'static str, String)> {
    let protocol = match (&signs_in, &kafka.tls) {
        (None, None) => "PLAINTEXT",
        (None, Some(_)) => "SSL",
        (Some(_), None) => "SASL_PLAINTEXT",
        (Some(_), Some(_)) => "SASL_SSL",
    };
    let mut options = vec![("security.protocol", protocol.to_owned())];
    if let Some((username, password)) = signs_in {
        options.extend([
            ("sasl.mechanism", kafka.sasl.as_str().to_owned()),
            ("sasl.username", username),
            ("sasl.password", password),
        ]);
    }
    if let Some(Tls { ca: Some(ca) }) = &kafka.tls {
        options.push(("ssl.ca.location", ca.display().to_string()));
    }
    options
}

#[cfg(test)]
mod tests {
    use common::settings::Sasl;

    use super::*;

    #[test]
    fn what_librdkafka_is_told() {
        let kafka = |tls: Option<Tls>| KafkaSettings {
            brokers: "k:9092".to_owned(),
            replication: 1,
            account: None,
            sasl: Sasl::ScramSha512,
            tls,
        };
        let told = |tls, signs_in: bool| {
            let signs_in = signs_in.then(|| ("scheduler".to_owned(), "secret".to_owned()));
            options(&kafka(tls), signs_in)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let own = || {
            Some(Tls {
                ca: Some("/ca.pem".into()),
            })
        };
        assert_eq!(told(None, false), "security.protocol=PLAINTEXT");
        assert_eq!(told(Some(Tls { ca: None }), false), "security.protocol=SSL");
        let scram = "sasl.mechanism=SCRAM-SHA-512 sasl.username=scheduler sasl.password=secret";
        assert_eq!(told(None, true), format!("security.protocol=SASL_PLAINTEXT {scram}"));
        assert_eq!(
            told(own(), true),
            format!("security.protocol=SASL_SSL {scram} ssl.ca.location=/ca.pem")
        );
    }

    #[test]
    fn passwords_are_not_shown() {
        let access = Access(vec![("sasl.password", "secret".to_owned())]);
        assert_eq!(format!("{access:?}"), r#"{"sasl.password"}"#);
    }
}
