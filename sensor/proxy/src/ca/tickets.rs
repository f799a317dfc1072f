//! Session tickets that are good for the name alone for which they were given.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::server::ProducesTickets;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Tickets of one name, under a key that all names share. The library compares the name that a client *says* (SNI), which
/// is none for addresses and may differ from the one that a leaf is for.
pub(super) struct NameTickets {
    name: [u8; Self::TAG_BYTES],
    shared: Arc<dyn ProducesTickets>,
}

impl NameTickets {
    const TAG_BYTES: usize = 16;

    pub(super) fn new(name: &str, shared: Arc<dyn ProducesTickets>) -> Self {
        let mut tag = [0; Self::TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(digest(&SHA256, name.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self { name: tag, shared }
    }
}

impl std::fmt::Debug for NameTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameTickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for NameTickets {
    fn enabled(&self) -> bool {
        self.shared.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.shared.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut tagged = Zeroizing::new(Vec::with_capacity(Self::TAG_BYTES + plain.len()));
        tagged.extend_from_slice(&self.name);
        tagged.extend_from_slice(plain);
        self.shared.encrypt(&tagged)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let tagged = Zeroizing::new(self.shared.decrypt(cipher)?);
        Some(tagged.strip_prefix(&self.name)?.to_vec())
    }
}
