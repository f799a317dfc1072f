//! Who asks, by `Proxy-Authorization: Basic` (RFC 7617).

use super::budget::Budget;
use super::once::Once;
use super::users::Users;
use crate::counters::Counters;
use arc_swap::ArcSwapOption;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use foldhash::fast::RandomState;
use http::HeaderValue;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Who asks, by `Proxy-Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// No credentials are asked for.
    NotNeeded,
    /// This user.
    User(Arc<str>),
    /// None, or wrong ones: 407.
    Refused,
    /// Too many wrong ones of late: 429, without a look at them.
    TooMany,
}

/// Verifies credentials, for all threads.
pub(super) struct Logins {
    /// Of the file in force; `None` where nobody need log in.
    current: ArcSwapOption<Current>,
    /// Drawn at the start.
    key: hmac::Key,
    /// Guesses: passwords that are hashed, and are wrong.
    tries: Budget,
    /// Different credentials that came while no guess was left, and were not hashed.
    unhashed: Budget,
    /// Hashes that may be computed at a time.
    hashing: Arc<Semaphore>,
    counters: Arc<Counters>,
    /// Passwords that were hashed.
    hashed: Arc<AtomicU64>,
}

/// A file of credentials, and what was verified with it. Another file begins anew.
struct Current {
    users: Arc<Users>,
    /// By the tag of the credentials. Who does not know the key cannot aim at one, so that how long a look-up takes says
    /// nothing of what is there.
    verified: Once<Tag, Login>,
    /// Credentials that are wrong: a client that has them and asks again and again makes one guess.
    wrong: Lately,
    /// Credentials that came while no guess was left.
    unhashed: Lately,
}

/// Credentials under the key of the process.
type Tag = [u8; 32];

impl Logins {
    /// Verified credentials that are kept, with those under way.
    const KEPT: usize = 4096;
    /// For how long: so long an argon2 hash runs once for each.
    const LIFE: Duration = Duration::from_mins(5);
    /// Wrong passwords of one client address that are hashed at once.
    const GUESSES: u32 = 10;
    /// Different credentials of one client address that may come beyond those, before not even what is known is looked
    /// at any more.
    const UNHASHED: u32 = 100;
    /// After that there is one more of either kind every so often.
    const PAUSE: Duration = Duration::from_secs(6);
    /// Hashes at a time: each takes a core and megabytes of memory.
    const HASHING: usize = 2;

    /// Reads the file, where there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, and where.
    pub(super) fn open(file: Option<&Path>, counters: Arc<Counters>) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let logins = Self {
            current: ArcSwapOption::empty(),
            key: key.map_err(|_| "the system has no random numbers".to_owned())?,
            tries: Budget::new(Budget::ROOM, Self::GUESSES, Self::PAUSE),
            unhashed: Budget::new(Budget::ROOM, Self::UNHASHED, Self::PAUSE),
            hashing: Arc::new(Semaphore::new(Self::HASHING)),
            counters,
            hashed: Arc::default(),
        };
        logins.reload(file)?;
        Ok(logins)
    }

    /// Puts a file in force; what was verified with the one before counts no more.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, and where; the one before stays in force.
    pub(super) fn reload(&self, file: Option<&Path>) -> Result<(), String> {
        let users = file.map(Users::read).transpose()?.map(Arc::new);
        self.current.store(users.map(|users| {
            let verified = Once::new(Self::KEPT, Self::LIFE);
            Arc::new(Current { users, verified, wrong: Lately::default(), unhashed: Lately::default() })
        }));
        Ok(())
    }

    /// Who asks. One answer for a wrong password and a user that is not there, after the same time.
    pub(super) async fn login(&self, client: IpAddr, credentials: Option<&HeaderValue>) -> Login {
        let Some(current) = self.current.load_full() else { return Login::NotNeeded };
        let Some(given) = credentials.and_then(Given::parse) else { return Login::Refused };
        let mut tag: Tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.key, &given.text).as_ref());
        let now = Instant::now();
        // Who tries many is not even told that one of them is known. Others behind the same address, of whom one has a
        // wrong password, are.
        if !self.unhashed.over(client, now)
            && let Some(known) = current.verified.known(&tag)
        {
            return known;
        }
        if current.wrong.has(&tag, now) {
            return Login::Refused;
        }
        if self.tries.over(client, now) {
            if current.unhashed.add(tag, now) {
                let _ = self.unhashed.spend(client, now);
            }
            self.counters.count("limit", "login_tries");
            return Login::TooMany;
        }
        let verify = self.verify(client, Arc::clone(&current.users), given, tag);
        let keep: fn(&Login) -> bool = |login| matches!(login, Login::User(_));
        let login = current.verified.get(&tag, verify, keep).await.unwrap_or_else(|| {
            self.counters.count("limit", "logins");
            Login::TooMany
        });
        if login == Login::Refused {
            current.wrong.add(tag, Instant::now());
        }
        login
    }

    /// Hashes, on a thread for such. Each guess is paid for before: who goes away while it runs has made it all the same.
    async fn verify(&self, client: IpAddr, users: Arc<Users>, given: Given, tag: Tag) -> Login {
        let Some(guess) = self.tries.spend(client, Instant::now()) else {
            self.counters.count("limit", "login_tries");
            return Login::TooMany;
        };
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else { return Login::Refused };
        let hashed = Arc::clone(&self.hashed);
        let verified = tokio::task::spawn_blocking(move || {
            // It is at work for as long as this closure, whoever still waits for it.
            let _permit = permit;
            hashed.fetch_add(1, Ordering::Relaxed);
            let (name, password) = given.parts();
            users.verify(name, password, u64::from_le_bytes(*tag.first_chunk().unwrap_or(&[0; 8])))
        });
        match verified.await {
            Ok(Some(user)) => {
                self.tries.give_back(guess);
                Login::User(user)
            }
            _ => Login::Refused,
        }
    }
}

/// Credentials that were seen of late.
#[derive(Default)]
struct Lately {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    until: HashMap<Tag, Instant, RandomState>,
    sweep: Option<Instant>,
}

impl Lately {
    /// Those that are kept in mind; what comes beyond is new each time.
    const ROOM: usize = 4096;
    /// For how long.
    const LIFE: Duration = Duration::from_mins(1);

    fn has(&self, tag: &Tag, now: Instant) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.until.get(tag).is_some_and(|until| *until > now)
    }

    /// Keeps them in mind. Whether they are new.
    fn add(&self, tag: Tag, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { until, sweep } = &mut *seen;
        if until.len() >= Self::ROOM && sweep.is_none_or(|at| now >= at) {
            until.retain(|_, until| *until > now);
            *sweep = Some(now + Duration::from_secs(1));
        }
        if until.len() >= Self::ROOM && !until.contains_key(&tag) {
            return true;
        }
        until.insert(tag, now + Self::LIFE).is_none_or(|until| until <= now)
    }
}

/// Credentials as they came; wiped when they go.
struct Given {
    /// `name:password`; the name is UTF-8.
    text: Zeroizing<Vec<u8>>,
    /// Where the colon is.
    colon: usize,
}

impl Given {
    /// Longest field value, in bytes.
    const MAX: usize = 2048;

    /// Reads the value of `Proxy-Authorization`. `None` where it is of another scheme, or no credentials at all.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let value = value.as_bytes();
        let (scheme, rest) = value.split_at_checked(6).filter(|_| value.len() <= Self::MAX)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let text = Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
        let colon = text.iter().position(|b| *b == b':')?;
        std::str::from_utf8(text.get(..colon)?).ok()?;
        Some(Self { text, colon })
    }

    fn parts(&self) -> (&str, &[u8]) {
        let (name, rest) = self.text.split_at_checked(self.colon).unwrap_or_default();
        (std::str::from_utf8(name).unwrap_or_default(), rest.get(1..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::users::tests::line;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct File(tempfile::NamedTempFile);

    impl File {
        fn new(text: &str) -> Self {
            let file = Self(tempfile::NamedTempFile::new().unwrap());
            file.write(text);
            file
        }

        fn write(&self, text: &str) {
            std::fs::write(self.0.path(), text).unwrap();
            std::fs::set_permissions(self.0.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn logins(&self) -> Logins {
            Logins::open(Some(self.0.path()), Arc::default()).unwrap()
        }
    }

    fn basic(text: &str) -> HeaderValue {
        format!("Basic {}", STANDARD.encode(text)).parse().unwrap()
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn user(name: &str) -> Login {
        Login::User(name.into())
    }

    #[tokio::test]
    async fn without_a_file_nobody_need_log_in() {
        let logins = Logins::open(None, Arc::default()).unwrap();
        assert_eq!(logins.login(ip(1), None).await, Login::NotNeeded);
        assert_eq!(logins.login(ip(1), Some(&basic("a:b"))).await, Login::NotNeeded);
    }

    #[tokio::test]
    async fn right_ones_give_the_user_and_all_others_the_same_refusal() {
        let file = File::new(&(line("ana", "s3:cret") + &line("bob", "pä")));
        let logins = file.logins();
        for (n, (value, want)) in [
            (basic("ana:s3:cret"), user("ana")),
            (basic("bob:pä"), user("bob")),
            ("bAsIc   YW5hOnMzOmNyZXQ=  ".parse().unwrap(), user("ana")),
            (basic("ana:wrong"), Login::Refused),
            (basic("ana:"), Login::Refused),
            (basic("eve:s3:cret"), Login::Refused),
            (basic(":s3:cret"), Login::Refused),
            (basic("ana"), Login::Refused),
            (basic(""), Login::Refused),
            ("Basic".parse().unwrap(), Login::Refused),
            ("Basic !!!".parse().unwrap(), Login::Refused),
            ("Bearer YW5hOnMzOmNyZXQ=".parse().unwrap(), Login::Refused),
            (HeaderValue::from_bytes(b"Basic\xc3\xa4 YW5h").unwrap(), Login::Refused),
            (format!("Basic {}", "A".repeat(4096)).parse().unwrap(), Login::Refused),
            (format!("Basic {}", STANDARD.encode(b"\xff\xfe:x")).parse().unwrap(), Login::Refused),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(logins.login(ip(u8::try_from(n).unwrap()), Some(&value)).await, want, "{value:?}");
        }
        assert_eq!(logins.login(ip(1), None).await, Login::Refused);
    }

    #[tokio::test]
    async fn a_password_is_hashed_once_however_often_and_however_much_at_once_it_comes() {
        let file = File::new(&line("ana", "x"));
        let logins = file.logins();
        let good = basic("ana:x");
        let ask = || logins.login(ip(1), Some(&good));
        let at_once = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
        assert_eq!((at_once.0, at_once.11), (user("ana"), user("ana")));
        for n in 0..100 {
            assert_eq!(logins.login(ip(n), Some(&good)).await, user("ana"));
        }
        assert_eq!(logins.hashed.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_user_that_is_not_there_takes_a_hash_as_well() {
        let file = File::new(&line("ana", "x"));
        let logins = file.logins();
        for (n, wrong) in ["ana:y", "eve:x", "eve:y"].into_iter().enumerate() {
            assert_eq!(logins.login(ip(1), Some(&basic(wrong))).await, Login::Refused);
            assert_eq!(logins.hashed.load(Ordering::Relaxed), n as u64 + 1);
        }
    }

    #[tokio::test]
    async fn a_wrong_password_locks_out_nobody_behind_the_same_address_who_is_known() {
        let file = File::new(&(line("ana", "x") + &line("bob", "y")));
        let logins = file.logins();
        assert_eq!(logins.login(ip(2), Some(&basic("ana:x"))).await, user("ana"));
        for n in 0..200 {
            assert_eq!(logins.login(ip(1), Some(&basic("eve:wrong"))).await, Login::Refused, "{n}");
        }
        assert_eq!(logins.hashed.load(Ordering::Relaxed), 2, "asked again and again it is one guess");
        assert_eq!(logins.login(ip(1), Some(&basic("bob:y"))).await, user("bob"));
        for n in 0..9 {
            assert_eq!(logins.login(ip(1), Some(&basic(&format!("ana:{n}")))).await, Login::Refused, "{n}");
        }
        for _ in 0..200 {
            assert_eq!(logins.login(ip(1), Some(&basic("ana:10"))).await, Login::TooMany);
        }
        for (name, login) in [("ana", "ana:x"), ("bob", "bob:y")] {
            assert_eq!(logins.login(ip(1), Some(&basic(login))).await, user(name));
        }
        assert_eq!(logins.login(ip(1), None).await, Login::Refused);
        assert_eq!(logins.hashed.load(Ordering::Relaxed), 12);
        assert_eq!(logins.counters.totals().words.get(&("limit", "login_tries")), Some(&200));
    }

    #[tokio::test]
    async fn who_guesses_very_often_is_not_even_told_of_a_right_guess() {
        let file = File::new(&line("ana", "x"));
        let logins = file.logins();
        assert_eq!(logins.login(ip(2), Some(&basic("ana:x"))).await, user("ana"));
        for n in 0..10 {
            assert_eq!(logins.login(ip(1), Some(&basic(&format!("ana:{n}")))).await, Login::Refused, "{n}");
        }
        for n in 10..110 {
            assert_eq!(logins.login(ip(1), Some(&basic(&format!("ana:{n}")))).await, Login::TooMany, "{n}");
        }
        assert_eq!(logins.login(ip(1), Some(&basic("ana:x"))).await, Login::TooMany);
        assert_eq!(logins.login(ip(2), Some(&basic("ana:x"))).await, user("ana"));
        assert_eq!(logins.hashed.load(Ordering::Relaxed), 11);
    }

    #[test]
    fn what_is_kept_in_mind_of_wrong_credentials_has_a_limit_and_ends() {
        let (lately, now) = (Lately::default(), Instant::now());
        let tag = |n: usize| {
            let mut tag = [0; 32];
            tag[..8].copy_from_slice(&n.to_le_bytes());
            tag
        };
        for n in 0..Lately::ROOM + 10 {
            assert!(lately.add(tag(n), now));
        }
        assert!(!lately.add(tag(0), now) && lately.has(&tag(0), now) && lately.add(tag(Lately::ROOM + 1), now));
        assert_eq!(lately.seen.lock().unwrap().until.len(), Lately::ROOM);
        let later = now + Lately::LIFE;
        assert!(!lately.has(&tag(0), later) && lately.add(tag(0), later));
        assert_eq!(lately.seen.lock().unwrap().until.len(), 1);
    }

    #[tokio::test]
    async fn another_file_counts_at_once_and_a_broken_one_never() {
        let file = File::new(&line("ana", "x"));
        let logins = file.logins();
        let good = basic("ana:x");
        assert_eq!(logins.login(ip(1), Some(&good)).await, user("ana"));
        file.write("ana:CANARY\n");
        let fault = logins.reload(Some(file.0.path())).unwrap_err();
        assert!(fault.contains(":1: ") && !fault.contains("CANARY"), "{fault}");
        assert_eq!(logins.login(ip(1), Some(&good)).await, user("ana"));
        assert_eq!(logins.hashed.load(Ordering::Relaxed), 1);
        file.write(&line("ana", "y"));
        logins.reload(Some(file.0.path())).unwrap();
        assert_eq!(logins.login(ip(1), Some(&good)).await, Login::Refused);
        assert_eq!(logins.login(ip(1), Some(&basic("ana:y"))).await, user("ana"));
        logins.reload(None).unwrap();
        assert_eq!(logins.login(ip(1), None).await, Login::NotNeeded);
    }
}
