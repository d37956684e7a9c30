//! The authority of an installation on many hosts, and the certificate by which each host shows who it is.
//!
//! Certificates hold for [`HOST_DAYS`]; one that has less than a third of that left is made anew by the next `up`.

use anyhow::{Context as _, Result};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// How long a host's certificate holds.
pub(super) const HOST_DAYS: i64 = 398;
/// How long the authority holds.
const AUTHORITY_DAYS: i64 = 3650;

/// Who signs. The key is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authority {
    /// Private key, PEM.
    pub(super) key: String,
    /// Certificate, PEM.
    pub(super) certificate: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one.
    pub(super) fn make(installation: &str, now: Timestamp) -> Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority of the platform {installation}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        holds(&mut params, now, AUTHORITY_DAYS)?;
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Whether the key is that of the certificate: an interrupted change may leave two that are not.
    pub(super) fn is_whole(&self) -> bool {
        KeyPair::from_pem(&self.key)
            .ok()
            .zip(read(&self.certificate))
            .is_some_and(|(key, pem)| {
                pem.parse_x509()
                    .is_ok_and(|found| found.public_key().subject_public_key.data == key.der_bytes())
            })
    }

    /// Whether it holds long enough to sign for a host, and its key is its own.
    pub(super) fn lasts(&self, now: Timestamp) -> bool {
        self.is_whole() && days_left(&self.certificate, now).is_some_and(|days| days > HOST_DAYS)
    }

    /// Private key and certificate of a host with all its names and addresses, PEM.
    pub(super) fn issue(&self, names: &[String], now: Timestamp) -> Result<String> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let mut params = CertificateParams::new(names.to_vec())?;
        let name = names.first().context("a host without a name")?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        holds(&mut params, now, HOST_DAYS)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }

    /// Whether a host may keep what it has: signed by this authority, for exactly these names, and not soon over.
    pub(super) fn vouches(&self, host: &str, names: &[String], now: Timestamp) -> bool {
        let (Some(own), Some(ca)) = (read(host), read(&self.certificate)) else {
            return false;
        };
        let (Ok(own), Ok(ca)) = (own.parse_x509(), ca.parse_x509()) else {
            return false;
        };
        let signed = own.verify_signature(Some(ca.public_key())).is_ok();
        let mut found = match own.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        let mut wanted = names.to_vec();
        wanted.sort();
        found.sort();
        signed && found == wanted && days_left(host, now).is_some_and(|days| days > HOST_DAYS / 3)
    }
}

/// The whole days for which a certificate (the first in a PEM text) still holds; negative once it has ended.
pub(crate) fn days_left(pem: &str, now: Timestamp) -> Option<i64> {
    let pem = read(pem)?;
    let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Some((end - now.as_second()).div_euclid(86_400))
}

fn holds(params: &mut CertificateParams, now: Timestamp, days: i64) -> Result<()> {
    let date = |days: i64| -> Result<_> {
        let date = now.to_zoned_datetime(TimeZone::UTC).checked_add(days.days())?.date();
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    // Clocks of hosts differ.
    params.not_before = date(-1)?;
    params.not_after = date(days)?;
    Ok(())
}

/// The first certificate of a text.
fn read(text: &str) -> Option<Pem> {
    Pem::iter_from_buffer(text.as_bytes())
        .flatten()
        .find(|pem| pem.label == "CERTIFICATE")
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four: [u8; 4] = (*bytes).try_into().ok()?;
            Some(std::net::Ipv4Addr::from(four).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_host_keeps_its_certificate_as_long_as_it_is_good() {
        let (one, other) = (
            Authority::make("iot", now()).unwrap(),
            Authority::make("iot", now()).unwrap(),
        );
        let own = names(&["10.0.0.1", "one.example"]);
        let host = one.issue(&own, now()).unwrap();
        assert!(one.vouches(&host, &own, now()));
        assert!(one.vouches(&host, &names(&["one.example", "10.0.0.1"]), now()));
        assert!(!other.vouches(&host, &own, now()), "signed by another");
        assert!(!one.vouches(&host, &names(&["10.0.0.2"]), now()), "another address");
        assert!(!one.vouches("", &own, now()));
        let later = |days: i64| now() + (24 * days).hours();
        assert!(one.vouches(&host, &own, later(260)));
        assert!(!one.vouches(&host, &own, later(270)), "soon over");
        assert!(one.lasts(later(3200)));
        assert!(!one.lasts(later(3300)), "would end before what it signs");
        let mixed = Authority {
            key: other.key,
            ..one.clone()
        };
        assert!(!mixed.lasts(now()), "another's key");
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_certificate_has_ended_from_its_end_on() {
        let host = Authority::make("iot", now())
            .unwrap()
            .issue(&names(&["one.example"]), now())
            .unwrap();
        let days = days_left(&host, now()).unwrap();
        let after = |hours: i64| days_left(&host, now() + (24 * (days + 1) + hours).hours()).unwrap();
        assert_eq!((after(-48), after(0), after(24)), (1, -1, -2));
        assert_eq!(days_left("", now()), None);
    }
}
