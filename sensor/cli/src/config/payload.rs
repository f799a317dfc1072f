//! `[payload]`: who may read what policies log encrypted.

use super::live::{Fault, fault};
use crate::files;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sinks::payload::{MAX_RECIPIENTS, RecipientError, Recipients};
use std::path::{Path, PathBuf};

/// `[payload]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPayload {
    /// Public keys of age (`age1…`) that messages are encrypted to where a policy says `log_payload = "encrypted"`; who has
    /// the private key of any of them can read these. At most 16, those of `recipients_file` included.
    #[serde(deserialize_with = "one_or_more")]
    recipients: Vec<String>,
    /// A file of further ones, one a line; what stands behind `#` is a comment. Relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recipients_file: Option<PathBuf>,
}

impl RawPayload {
    /// Makes the path relative to the folder of the configuration file.
    pub(super) fn lie_in(&mut self, folder: &Path) {
        self.recipients_file.iter_mut().for_each(|path| *path = folder.join(&*path));
    }

    /// All keys.
    ///
    /// # Errors
    ///
    /// What is no public key, and where it stands; never the text itself, which may be a private one.
    pub(super) fn check(&self) -> Result<Recipients, Fault> {
        let mut all = Recipients::default();
        for (at, key) in self.recipients.iter().enumerate() {
            match all.add(key) {
                Ok(()) => {}
                // The line is not to be shown.
                Err(error @ RecipientError::Private) => {
                    return fault("payload", format!("recipients[{at}] is {error}"));
                }
                Err(error) => return fault(format!("payload.recipients[{at}]"), error.to_string()),
            }
        }
        if let Some(path) = &self.recipients_file {
            let key = "payload.recipients_file";
            let named = path.file_name().unwrap_or_default().to_string_lossy();
            if let Err(error @ RecipientError::Private) = Recipients::default().add(&named) {
                return fault("payload", format!("recipients_file is {error}"));
            }
            let text = files::read(path).or_else(|error| fault(key, error))?;
            for (line, number) in text.lines().zip(1..) {
                let line = line.split('#').next().unwrap_or(line).trim();
                if line.is_empty() {
                    continue;
                }
                all.add(line).or_else(|error| fault(key, format!("{}:{number}: {error}", path.display())))?;
            }
            if all.is_empty() {
                return fault(key, format!("{} names no key", path.display()));
            }
        }
        if all.len() > MAX_RECIPIENTS {
            return fault("payload", format!("{} keys are over the limit of {MAX_RECIPIENTS}", all.len()));
        }
        Ok(all)
    }
}

/// A list, or one key that stands by itself: to refuse that would show its line, and it may be a private one.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(key) => vec![key],
        OneOrMore::More(keys) => keys,
    })
}
