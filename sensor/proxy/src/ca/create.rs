//! Makes a CA.

use super::certificate::CaCertificate;
use super::key::{self, Signer};
use super::name::Host;
use super::{CaError, files};
use crate::clock;
use crate::options::CaFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
    SerialNumber,
};
use time::OffsetDateTime;

/// What a new CA is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCa {
    /// Its name; at most [`NewCa::MAX_NAME_CHARS`] characters. Eight random digits are put behind it, so that clients
    /// which trust several tell them apart.
    pub name: String,
    /// Days that it is valid for, from 1 to [`NewCa::MAX_DAYS`].
    pub days: u32,
    /// Domains that it may sign for, each with all below it; then no addresses. Empty for everything.
    pub permitted: Vec<String>,
}

impl Default for NewCa {
    fn default() -> Self {
        Self { name: "mcp-sensor CA".to_owned(), days: 5 * 365, permitted: Vec::new() }
    }
}

impl NewCa {
    /// Most characters of a name: 64 (RFC 5280, `ub-common-name`) less what is put behind it.
    pub const MAX_NAME_CHARS: usize = 64 - 9;
    /// Most days: twenty years.
    pub const MAX_DAYS: u32 = 20 * 365;

    /// Makes key and certificate, and writes them to files that are not there yet.
    ///
    /// # Errors
    ///
    /// [`CaError`].
    pub(super) fn create(&self, files: &CaFiles) -> Result<CaCertificate, CaError> {
        let params = self.params()?;
        files::check_absent(&files.certificate)?;
        files::check_absent(&files.key)?;
        let passphrase = files.passphrase.as_deref().map(key::read_passphrase).transpose()?;
        let signer = Signer::generate()?;
        let made = params.self_signed(&signer).map_err(|_| CaError::Crypto("make a certificate"))?;
        let certificate = CaCertificate::made(made.into())?;
        let text = signer.to_pem(passphrase.as_deref().map(Vec::as_slice))?;
        files::make_folder(&files.key)?;
        files::make_folder(&files.certificate)?;
        files::write_new(&files.key, text.as_bytes(), 0o600)?;
        if let Err(error) = files::write_new(&files.certificate, certificate.anchor_pem().as_bytes(), 0o644) {
            // A key without its certificate would be in the way of the next attempt.
            let _ = std::fs::remove_file(&files.key);
            return Err(error);
        }
        Ok(certificate)
    }

    fn params(&self) -> Result<CertificateParams, CaError> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > Self::MAX_NAME_CHARS || name.chars().any(char::is_control) {
            let most = Self::MAX_NAME_CHARS;
            return Err(CaError::Unfit(format!("the name of a CA has 1 to {most} characters that can be printed")));
        }
        if !(1..=Self::MAX_DAYS).contains(&self.days) {
            return Err(CaError::Unfit(format!("a CA is valid for 1 to {} days, such as 1825", Self::MAX_DAYS)));
        }
        let tag = u32::from_be_bytes(key::random()?);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "mcp-sensor");
        params.distinguished_name.push(DnType::CommonName, format!("{name} {tag:08x}"));
        params.serial_number = Some(SerialNumber::from(key::serial()?.to_vec()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // From yesterday on: clocks of clients may be slow.
        let now = clock::now().seconds();
        let at = |unix| OffsetDateTime::from_unix_timestamp(unix).map_err(|_| CaError::Crypto("count so far"));
        params.not_before = at(now - super::DAY)?;
        params.not_after = at(now + i64::from(self.days) * super::DAY)?;
        params.name_constraints = self.constraints()?;
        Ok(params)
    }

    fn constraints(&self) -> Result<Option<NameConstraints>, CaError> {
        if self.permitted.is_empty() {
            return Ok(None);
        }
        let mut permitted = Vec::with_capacity(self.permitted.len());
        for domain in &self.permitted {
            match Host::parse(domain) {
                Ok(Host::Name(name)) => permitted.push(GeneralSubtree::DnsName(name)),
                Ok(Host::Address(_)) => {
                    return Err(CaError::Unfit(format!("{domain} is an address; name a domain, such as example.com")));
                }
                Err(error) => {
                    return Err(CaError::Unfit(format!("{domain:?} is no domain such as example.com: {error}")));
                }
            }
        }
        // A constraint of names says nothing of addresses; without this the CA could still sign for all of them.
        let all = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
        let excluded = all.into_iter().map(GeneralSubtree::IpAddress).collect();
        Ok(Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }))
    }
}
