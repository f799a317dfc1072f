//! Payloads of events, encrypted to the keys of whoever may read them, and opened with these.
//!
//! The format is that of age (C2SP, age-encryption.org/v1) with X25519 recipients: what stands in `payload[].data` is an
//! age file in Base64, which the tools of age open as well.

use age::secrecy::ExposeSecret as _;
use age::{Decryptor, Encryptor, x25519};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use correlate::Record;
use detect::{Clear, MAX_LOGGED};
use std::fmt;
use std::io::{Read as _, Write as _};
use zeroize::Zeroizing;

/// Most keys that payloads are encrypted to.
pub const MAX_RECIPIENTS: usize = 16;
/// Longest header of an age file that is opened, in bytes: each key takes some 120.
const MAX_HEADER: usize = 64 << 10;
/// What a private key begins with.
const PRIVATE: &str = "AGE-SECRET-KEY-";

/// Why a text is no public key. Never shows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// It is a private one.
    #[error(
        "a private key where a public one belongs; take it out, it is for whoever reads payloads. The public one begins with age1"
    )]
    Private,
    /// It is something else.
    #[error(
        "no public key of age for X25519, which begins with age1; `mcp-sensor payload keygen -o FILE` makes a pair and prints the public one"
    )]
    Malformed,
}

/// The keys that payloads are encrypted to. The default has none: then nothing is written of what was to be encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Adds a public key, once.
    ///
    /// # Errors
    ///
    /// [`RecipientError`]: it is none.
    pub fn add(&mut self, text: &str) -> Result<(), RecipientError> {
        let text = text.trim();
        if text.get(..PRIVATE.len()).is_some_and(|start| start.eq_ignore_ascii_case(PRIVATE)) {
            return Err(RecipientError::Private);
        }
        let key = text.parse().map_err(|_| RecipientError::Malformed)?;
        if !self.0.contains(&key) {
            self.0.push(key);
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each as text.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Encrypts what of a record is to be encrypted, and takes the clear text out of it. Costs two multiplications on the
    /// curve for each key and message; a record without payload costs nothing.
    pub fn seal(&self, record: &mut Record) {
        let Record::Detection(detection) = record else { return };
        for payload in &mut detection.payload {
            let Some(clear) = payload.clear.take() else { continue };
            payload.recipients = Some(self.0.len() as u64);
            payload.data = self.encrypt(&clear);
        }
    }

    /// `None` where there is no key.
    fn encrypt(&self, clear: &Clear) -> Option<String> {
        let keys = self.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys).ok()?;
        let mut file = Vec::with_capacity(clear.bytes().len() + 1024);
        let mut writer = encryptor.wrap_output(&mut file).ok()?;
        writer.write_all(clear.bytes()).ok()?;
        writer.finish().ok()?;
        Some(STANDARD.encode(file))
    }
}

/// Why an encrypted payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is for other keys.
    #[error("it is encrypted to other keys")]
    OtherKey,
    /// It was damaged or changed, or never was one.
    #[error("it is no age file, or was changed or cut")]
    Damaged,
}

/// Why a file holds no private keys. Never shows any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A line is neither a key nor a comment.
    #[error("line {0} is no private key of age for X25519; such begin with AGE-SECRET-KEY-1")]
    Line(usize),
    /// It has none at all.
    #[error("it holds no private key; `mcp-sensor payload keygen -o FILE` makes one")]
    Empty,
}

/// Private keys. Nothing prints them, and they are wiped when they are dropped.
pub struct Identities(Vec<x25519::Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.0.len()).finish()
    }
}

impl Identities {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(vec![x25519::Identity::generate()])
    }

    /// Reads the text of an identity file: a key a line, beside comments (`#`) and empty lines.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let lines = text.lines().map(str::trim).zip(1..);
        let keys = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = keys
            .map(|(line, number)| line.parse().map_err(|_| IdentityError::Line(number)))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(IdentityError::Empty) } else { Ok(Self(keys)) }
    }

    /// The public keys that belong to them.
    pub fn recipients(&self) -> Recipients {
        Recipients(self.0.iter().map(x25519::Identity::to_public).collect())
    }

    /// The text of an identity file with all of them.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Room for all from the start: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(256 * self.0.len()));
        for key in &self.0 {
            text.push_str("# public key: ");
            text.push_str(&key.to_public().to_string());
            text.push('\n');
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    /// Opens what stands in `data` of an encrypted payload.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: it is for others, or not what was written.
    pub fn open(&self, data: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let file = STANDARD.decode(data).map_err(|_| OpenError::Damaged)?;
        let decryptor = Decryptor::new_buffered(file.as_slice()).map_err(|_| OpenError::Damaged)?;
        let keys = self.0.iter().map(|key| key as &dyn age::Identity);
        let reader = decryptor.decrypt(keys).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys | age::DecryptError::DecryptionFailed => OpenError::OtherKey,
            _ => OpenError::Damaged,
        })?;
        let most = MAX_LOGGED + MAX_HEADER;
        let mut text = Zeroizing::new(Vec::with_capacity(file.len().min(most)));
        reader.take(most as u64).read_to_end(&mut text).map_err(|_| OpenError::Damaged)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jsonl, samples};
    use correlate::record::PayloadRecord;
    use detect::LogPayload;
    use serde_json::Value;

    fn record(clear: &[u8]) -> Record {
        let mut detection = samples::all()
            .into_iter()
            .find_map(|record| match record {
                Record::Detection(detection) => Some(detection),
                _ => None,
            })
            .unwrap();
        detection.payload = vec![PayloadRecord {
            message: "request".into(),
            rpc_id: None,
            policy: "p".into(),
            form: LogPayload::Encrypted,
            bytes: clear.len() as u64,
            truncated: false,
            excerpt: None,
            recipients: None,
            data: None,
            clear: Some(Clear::new(clear)),
        }];
        Record::Detection(detection)
    }

    fn line(record: &Record) -> String {
        let mut out = Vec::new();
        jsonl::line(record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn data(record: &Record) -> Option<String> {
        let event: Value = serde_json::from_str(&line(record)).unwrap();
        event["payload"][0]["data"].as_str().map(str::to_owned)
    }

    #[test]
    fn what_is_sealed_is_opened_by_each_of_its_keys_and_by_no_other() {
        let (ana, ben, eve) = (Identities::generate(), Identities::generate(), Identities::generate());
        let mut to = ana.recipients();
        for key in ben.recipients().texts().chain(ana.recipients().texts()) {
            to.add(&key).unwrap();
        }
        assert_eq!(to.len(), 2, "the same key counts once");
        for text in [&b"{\"x\":\"hush\"}"[..], b"", b"\xff\0 no text", &vec![b'a'; 200_000]] {
            let mut record = record(text);
            to.seal(&mut record);
            let sealed = data(&record).unwrap();
            assert_eq!(ana.open(&sealed).unwrap().as_slice(), text);
            assert_eq!(ben.open(&sealed).unwrap().as_slice(), text);
            assert_eq!(eve.open(&sealed).unwrap_err(), OpenError::OtherKey);
            let mut changed = STANDARD.decode(&sealed).unwrap();
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(ana.open(&STANDARD.encode(&changed)).unwrap_err(), OpenError::Damaged);
        }
        for nonsense in ["", "!", "aGVsbG8=", "YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="] {
            assert_eq!(ana.open(nonsense).unwrap_err(), OpenError::Damaged, "{nonsense}");
        }
    }

    #[test]
    fn clear_text_is_never_written_sealed_or_not() {
        for keys in [Recipients::default(), Identities::generate().recipients()] {
            let mut record = record(b"hush");
            for text in [line(&record), format!("{record:?}")] {
                assert!(!text.contains("hush") && !text.contains("aHVza") && !text.contains("104, 117"), "{text}");
            }
            keys.seal(&mut record);
            assert!(!line(&record).contains("hush"));
            let Record::Detection(detection) = &record else { unreachable!() };
            assert_eq!(detection.payload[0].clear, None);
            assert_eq!(detection.payload[0].data.is_some(), !keys.is_empty());
            assert_eq!(detection.payload[0].recipients, Some(keys.len() as u64));
        }
    }

    #[test]
    fn keys_are_read_and_written_and_never_told() {
        let ana = Identities::generate();
        let text = ana.to_text();
        assert!(!format!("{ana:?}").contains("SECRET"));
        let again = Identities::parse(&format!("# made today\n\n{}\r\n", *text)).unwrap();
        assert_eq!(again.recipients(), ana.recipients());
        assert_eq!(Identities::parse("# nothing\n").unwrap_err(), IdentityError::Empty);
        assert_eq!(Identities::parse("# x\nhush\n").unwrap_err(), IdentityError::Line(2));
        let private = text.lines().last().unwrap();
        let mut keys = Recipients::default();
        for (wrong, want) in [
            (private, RecipientError::Private),
            (&private.to_lowercase(), RecipientError::Private),
            ("", RecipientError::Malformed),
            ("age1qqqq", RecipientError::Malformed),
            ("ssh-ed25519 AAAA", RecipientError::Malformed),
        ] {
            let error = keys.add(wrong).unwrap_err();
            assert_eq!(error, want);
            assert!(wrong.is_empty() || !error.to_string().contains(wrong));
        }
        assert!(keys.is_empty());
    }
}
