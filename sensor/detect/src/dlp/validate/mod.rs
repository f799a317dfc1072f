//! What must hold of a value besides its form.

mod money;
mod people;
mod sums;
mod tokens;

use std::fmt;
use std::str::FromStr;

/// A condition on a value that an expression matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// One of the checks that are built in, by its place among them.
    Check(u8),
    /// At least so many thousandths of a bit of Shannon entropy for each byte.
    Entropy(u32),
}

/// A check, by the name it has in rule files.
type Check = (&'static str, fn(&str) -> bool);

const CHECKS: &[Check] = &[
    // Money.
    ("luhn", sums::luhn),
    ("card", money::card),
    ("iban", money::iban),
    ("aba", money::aba),
    // People.
    ("us-ssn", people::us_ssn),
    ("us-itin", people::us_itin),
    ("uk-nino", people::uk_nino),
    ("uk-nhs", people::uk_nhs),
    ("de-steuer-id", people::de_steuer_id),
    ("fr-insee", people::fr_insee),
    ("es-dni", people::es_dni),
    ("it-codice-fiscale", people::it_codice_fiscale),
    ("nl-bsn", people::nl_bsn),
    ("be-national-number", people::be_national_number),
    ("pl-pesel", people::pl_pesel),
    ("pt-nif", people::pt_nif),
    ("se-personnummer", people::se_personnummer),
    ("no-fodselsnummer", people::no_fodselsnummer),
    ("fi-hetu", people::fi_hetu),
    ("ch-ahv", people::ch_ahv),
    ("ro-cnp", people::ro_cnp),
    ("tr-tckn", people::tr_tckn),
    ("br-cpf", people::br_cpf),
    ("cl-rut", people::cl_rut),
    ("ar-cuit", people::ar_cuit),
    ("mx-curp", people::mx_curp),
    ("ca-sin", people::ca_sin),
    ("in-aadhaar", people::in_aadhaar),
    ("cn-resident-id", people::cn_resident_id),
    ("kr-rrn", people::kr_rrn),
    ("jp-my-number", people::jp_my_number),
    ("sg-nric", people::sg_nric),
    ("au-tfn", people::au_tfn),
    ("za-id", people::za_id),
    // Keys and tokens.
    ("mixed", tokens::mixed),
    ("crc32-base62", tokens::crc32_base62),
    ("aws-key-id", tokens::aws_key_id),
    ("bech32", tokens::bech32),
    ("pem", tokens::pem),
    ("jwt", tokens::jwt),
];

/// The text names no validator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such validator: {0:?}")]
pub struct UnknownValidator(pub String);

impl Validator {
    /// What to write.
    pub(super) const HELP: &'static str =
        "such as luhn, iban, jwt or entropy(3.5); docs/dlp.md names all, and without one the expression alone decides";

    /// Whether a value is as it should be.
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Check(at) => CHECKS.get(usize::from(at)).is_some_and(|(_, check)| check(value)),
            Self::Entropy(least) => tokens::entropy(value) * 1000.0 >= f64::from(least),
        }
    }

    /// How much of a value, from its front, is as it should be. The length of an account number is known only by its
    /// country, which no expression can say; of all else it is the whole or nothing.
    pub(super) fn fits(self, value: &str) -> Option<usize> {
        let part = match self {
            Self::Check(at) if CHECKS.get(usize::from(at)).is_some_and(|(name, _)| *name == "iban") => {
                value.get(..money::iban_end(value)?)?
            }
            _ => value,
        };
        self.accepts(part).then_some(part.len())
    }

    /// The names of all that take no number.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CHECKS.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(at) => f.write_str(CHECKS.get(usize::from(*at)).map_or("", |(name, _)| name)),
            Self::Entropy(least) => write!(f, "entropy({})", f64::from(*least) / 1000.0),
        }
    }
}

impl FromStr for Validator {
    type Err = UnknownValidator;

    fn from_str(text: &str) -> Result<Self, UnknownValidator> {
        let unknown = || UnknownValidator(text.to_owned());
        if let Some(number) = text.strip_prefix("entropy(").and_then(|rest| rest.strip_suffix(')')) {
            // In thousandths, so that equal rules are equal; at most the eight bits a byte has.
            let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
            let good = |digits: &str| (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if !good(whole) || !good(part) {
                return Err(unknown());
            }
            let thousandths = format!("{whole}{part:0<3}").parse().map_err(|_| unknown())?;
            return if thousandths <= 8000 { Ok(Self::Entropy(thousandths)) } else { Err(unknown()) };
        }
        let at = CHECKS.iter().position(|(name, _)| *name == text).ok_or_else(unknown)?;
        u8::try_from(at).map(Self::Check).map_err(|_| unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_validators_go_both_ways() {
        for (at, name) in Validator::names().enumerate() {
            assert_eq!(name.parse::<Validator>().unwrap().to_string(), name);
            assert!(Validator::names().skip(at + 1).all(|other| other != name), "{name} twice");
        }
        for text in ["entropy(3.5)", "entropy(4)", "entropy(0.125)"] {
            assert_eq!(text.parse::<Validator>().unwrap().to_string(), text);
        }
        for bad in ["", "Luhn", "entropy", "entropy()", "entropy(-1)", "entropy(9)", "entropy(1e3)", "entropy(3.5"] {
            assert_eq!(bad.parse::<Validator>(), Err(UnknownValidator(bad.to_owned())));
        }
    }

    #[test]
    fn no_check_panics_or_accepts_nothing_at_all() {
        for name in Validator::names() {
            let validator: Validator = name.parse().unwrap();
            for text in ["", "0", "\0", "é", "-", "9999999999999999999999999999999999999999", "ÄÖÜ0000000"] {
                assert!(!validator.accepts(text), "{name} accepts {text:?}");
            }
        }
    }
}
