//! The file of credentials.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordVerifier, Version};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The users of a file.
pub(super) struct Users {
    users: HashMap<Arc<str>, usize>,
    /// Hashes in the order of the file; never empty.
    hashes: Vec<Stored>,
}

/// A hash that was checked to be one.
enum Stored {
    Argon2(String),
    Bcrypt(String),
}

impl Users {
    /// Longest file, in bytes.
    const MAX_FILE: u64 = 8 << 20;
    /// Longest name, in bytes.
    const MAX_NAME: usize = 255;
    /// Most memory of one hash, in KiB; passes; lanes: a file can make the proxy do that much work for a guess.
    const MAX_ARGON2: (u32, u32, u32) = (256 << 10, 32, 16);
    /// Most rounds of bcrypt, as a power of 2: about a second.
    const MAX_BCRYPT: u32 = 14;

    /// Reads `name:hash` lines; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    ///
    /// File, line, what is wrong and what would do; nothing of a hash.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let at = |fault: &str| format!("{}: {fault}", path.display());
        let file = std::fs::File::open(path).map_err(|e| at(&e.to_string()))?;
        // Of the open file: the name may be another one's by now.
        let meta = file.metadata().map_err(|e| at(&e.to_string()))?;
        if !meta.is_file() {
            return Err(at("is no regular file"));
        }
        if let Some(fault) = too_open(&meta) {
            return Err(at(&fault));
        }
        let mut text = String::new();
        file.take(Self::MAX_FILE + 1).read_to_string(&mut text).map_err(|e| at(&e.to_string()))?;
        if text.len() as u64 > Self::MAX_FILE {
            return Err(at("is longer than 8 MiB"));
        }
        Self::parse(&text).map_err(|(line, fault)| format!("{}:{line}: {fault}", path.display()))
    }

    /// As above; with the number of the line.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut all = Self { users: HashMap::new(), hashes: Vec::new() };
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let fault = |text: &str| (number, text.to_owned());
            let (name, hash) = line.split_once(':').ok_or_else(|| fault("is not `name:hash`"))?;
            if name.is_empty() || name.len() > Self::MAX_NAME || name.chars().any(char::is_control) {
                return Err(fault("a name has 1 to 255 bytes, none of them a control character"));
            }
            all.hashes.push(Stored::parse(hash).map_err(|text| (number, text))?);
            if all.users.insert(name.into(), all.hashes.len() - 1).is_some() {
                return Err((number, format!("`{name}` is there twice")));
            }
        }
        if all.hashes.is_empty() { Err((1, "there is no user".to_owned())) } else { Ok(all) }
    }

    /// Whether this is the password of `name`: the name then. Takes the time of one hash whether there is such a user or
    /// not; `chance`, which is always the same for a name and cannot be foreseen, chooses whose hash it is for one that
    /// is not there.
    pub(super) fn verify(&self, name: &str, password: &[u8], chance: u64) -> Option<Arc<str>> {
        let known = self.users.get_key_value(name);
        let other = usize::try_from(chance % self.hashes.len().max(1) as u64).unwrap_or(0);
        let right = self.hashes.get(known.map_or(other, |(_, at)| *at)).is_some_and(|hash| hash.is_of(password));
        known.filter(|_| right).map(|(name, _)| Arc::clone(name))
    }
}

impl Stored {
    fn parse(hash: &str) -> Result<Self, String> {
        let make = "make one with `htpasswd -B`, or with `argon2 -id -e`";
        if hash.starts_with("$argon2id$") {
            let parsed = PasswordHash::new(hash).map_err(|_| format!("the argon2id hash cannot be read; {make}"))?;
            let params = Params::try_from(&parsed).map_err(|_| format!("the argon2id hash cannot be read; {make}"))?;
            if parsed.hash.is_none() || parsed.salt.is_none() {
                return Err(format!("the argon2id hash is not whole; {make}"));
            }
            if parsed.version.is_some_and(|version| Version::try_from(version).is_err()) {
                return Err(format!("the argon2id hash is of another version; {make}"));
            }
            let (m, t, p) = Users::MAX_ARGON2;
            if params.m_cost() > m || params.t_cost() > t || params.p_cost() > p {
                return Err(format!("the argon2id hash asks for more than m={m},t={t},p={p}"));
            }
            return Ok(Self::Argon2(hash.to_owned()));
        }
        if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| hash.starts_with(prefix)) {
            let parts: bcrypt::HashParts =
                hash.parse().map_err(|_| format!("the bcrypt hash cannot be read; {make}"))?;
            return match parts.get_cost() {
                // A trial with little work finds what else could be wrong with it.
                4..=Users::MAX_BCRYPT if well_formed(hash) => Ok(Self::Bcrypt(hash.to_owned())),
                4..=Users::MAX_BCRYPT => Err(format!("the bcrypt hash cannot be read; {make}")),
                _ => Err(format!("the bcrypt hash has a cost outside of 4 to {}", Users::MAX_BCRYPT)),
            };
        }
        Err(format!("is neither an argon2id nor a bcrypt hash; {make}"))
    }

    /// Whether it is the hash of this password. Takes long.
    fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => PasswordHash::new(hash).is_ok_and(|hash| {
                // Parameters come from the hash.
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
                argon2.verify_password(password, &hash).is_ok()
            }),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        }
    }
}

/// Whether salt and hash are in the alphabet of bcrypt.
fn well_formed(hash: &str) -> bool {
    let tail = hash.rsplit('$').next().unwrap_or("");
    tail.len() == 53 && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

/// What is wrong with the mode of the file.
fn too_open(meta: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = meta.mode() & 0o7777;
    (mode & 0o006 != 0).then(|| format!("everybody may read or write it (mode {mode:04o}); `chmod 0640` it"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher, SaltString};
    use std::os::unix::fs::PermissionsExt;

    /// A line with a hash that takes little work.
    pub(in crate::gate) fn line(name: &str, password: &str) -> String {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
        format!("{name}:{}\n", argon2.hash_password(password.as_bytes(), &salt).unwrap())
    }

    #[test]
    fn users_of_either_kind_are_read_and_verified() {
        let bcrypt = bcrypt::hash("hunter2", 4).unwrap();
        let text =
            format!("# staff\n\n{}bob:{}\n  zoë:{bcrypt}  \n", line("ana", "s3cret:x"), bcrypt.replace("$2b$", "$2y$"));
        let users = Users::parse(&text).unwrap();
        for (name, password, right) in [
            ("ana", "s3cret:x", true),
            ("ana", "s3cret", false),
            ("ana", "", false),
            ("bob", "hunter2", true),
            ("bob", "hunter", false),
            ("zoë", "hunter2", true),
            ("Ana", "s3cret:x", false),
            ("eve", "s3cret:x", false),
            ("eve", "hunter2", false),
            ("", "", false),
        ] {
            for chance in 0..3 {
                let got = users.verify(name, password.as_bytes(), chance);
                assert_eq!(got.as_deref(), right.then_some(name), "{name} {password}");
            }
        }
    }

    #[test]
    fn published_hashes_of_either_kind_are_understood() {
        // Of the tests of the reference implementation of argon2.
        let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let users = Users::parse(&format!("u:{hash}")).unwrap();
        assert!(users.verify("u", b"password", 0).is_some() && users.verify("u", b"Password", 0).is_none());
        // Of the tests of the first implementation of bcrypt.
        let users = Users::parse("u:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        assert!(users.verify("u", b"U*U", 0).is_some() && users.verify("u", b"U*V", 0).is_none());
    }

    #[test]
    fn an_error_names_the_line_and_nothing_of_the_hash() {
        let good = line("ana", "x");
        for (text, line, want) in [
            (String::new(), 1, "no user"),
            ("# nobody\n".to_owned(), 1, "no user"),
            (format!("{good}bob\n"), 2, "name:hash"),
            (format!("{good}:$2y$CANARY\n"), 2, "1 to 255 bytes"),
            (format!("{good}\n\nb\u{1}b:$2y$CANARY\n"), 4, "control"),
            ("bob:CANARY".to_owned(), 1, "neither"),
            ("bob:$apr1$CANARY$x".to_owned(), 1, "neither"),
            ("bob:{SHA}CANARY".to_owned(), 1, "neither"),
            ("bob:$argon2i$v=19$m=16,t=1,p=1$CANARY".to_owned(), 1, "neither"),
            ("bob:$argon2id$CANARY".to_owned(), 1, "argon2id"),
            ("bob:$argon2id$v=19$m=16,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg".to_owned(), 1, "not whole"),
            (good.replace("ana", "bob").replace("m=8", "m=1000000"), 1, "asks for more"),
            (good.replace("v=19", "v=42"), 1, "version"),
            ("bob:$2y$05$CANARY".to_owned(), 1, "bcrypt"),
            ("bob:$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(), 1, "cost"),
            ("bob:$2y$05$CCCCCCCCCCCCCCCCCCCCC!E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(), 1, "bcrypt"),
            (format!("{good}{good}"), 2, "twice"),
        ] {
            let (at, fault) = Users::parse(&text).err().unwrap_or_default();
            assert_eq!(at, line, "{text}: {fault}");
            assert!(fault.contains(want) && !fault.contains("CANARY"), "{fault}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, line("ana", "x")).unwrap();
        for (mode, good) in
            [(0o600, true), (0o640, true), (0o644, false), (0o604, false), (0o602, false), (0o666, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = Users::read(&path);
            assert_eq!(read.is_ok(), good, "{mode:o} {:?}", read.err());
        }
        assert!(Users::read(dir.path()).err().unwrap().contains("no regular file"));
        assert!(Users::read(&dir.path().join("none")).err().unwrap().contains("none: "));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "\n\nana:nothing\n").unwrap();
        assert!(Users::read(&path).err().unwrap().contains("users:3: "));
    }
}
