//! Who clients are: leases and names seen on the wire, and whether a MAC address is a client's own or a router's.

use crate::limits;
use crate::record::{NameFrom, User, UserFrom};
use detect::{HostSeen, Names};
use net::{Sender, Timestamp};
use proto::dhcp::{Message, Step};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// How long a name that a client gave waits for the answer to its request, in packet time.
const PATIENCE: i64 = 60 * Timestamp::SECOND;
/// How long what nobody gave an end is believed: names from name servers, addresses that a MAC address sent for, and
/// leases of unknown length.
const DAY: i64 = 86_400 * Timestamp::SECOND;
/// Most IPv4 addresses that a MAC address sends for in a day and is still taken for a host's own: one that changes its
/// address has two for a while.
const MAX_OWN: usize = 2;
/// What a sender sets the time to live or hop limit to, on all systems in use. Any other value was counted down by a
/// router. Old systems began at 32; so do packets that came 32 hops from 64.
const FRESH: [u8; 3] = [64, 128, 255];

/// Facts by key, each until its end. Those told longest ago are forgotten first.
#[derive(Debug)]
struct Table<K, V> {
    all: BTreeMap<K, Kept<V>>,
    by_age: BTreeMap<u64, K>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    age: u64,
    until: Timestamp,
    weight: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), by_age: BTreeMap::new(), next: 0, bytes: 0 }
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    /// What an entry weighs beside what it holds on the heap, in bytes.
    const AROUND: usize = size_of::<Kept<V>>() + 2 * (size_of::<K>() + limits::ENTRY);

    /// Adds or replaces a fact that has so many bytes on the heap; gives how many were forgotten to stay within `limit`
    /// bytes.
    fn put(&mut self, key: K, value: V, until: Timestamp, heap: usize, limit: usize) -> u64 {
        self.remove(&key);
        let age = self.next;
        self.next += 1;
        let weight = Self::AROUND + heap;
        self.bytes += weight;
        self.by_age.insert(age, key.clone());
        self.all.insert(key, Kept { value, age, until, weight });
        let mut forgotten = 0;
        while self.bytes > limit
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            if let Some(kept) = self.all.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(kept.weight);
            }
            forgotten += 1;
        }
        forgotten
    }

    fn get(&self, key: &K, now: Timestamp) -> Option<&V> {
        self.all.get(key).filter(|kept| now <= kept.until).map(|kept| &kept.value)
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let kept = self.all.remove(key)?;
        self.by_age.remove(&kept.age);
        self.bytes = self.bytes.saturating_sub(kept.weight);
        Some(kept.value)
    }
}

/// Who has an address.
#[derive(Debug)]
struct Holder {
    client: Vec<u8>,
    mac: Option<[u8; 6]>,
    name: Option<String>,
}

/// What is known of clients. Leases and names may each weigh what callers give as the limit, the other two tables half of
/// it.
#[derive(Debug, Default)]
pub(crate) struct Who {
    /// Names that clients gave in requests not yet answered, by client and transaction.
    asked: Table<(Vec<u8>, u32), String>,
    leases: Table<IpAddr, Holder>,
    /// Names of addresses: asked for by address (`true`), or found for a name of ours.
    hosts: Table<(IpAddr, bool), String>,
    /// Which IPv4 addresses a MAC address sent for, and when last.
    senders: Table<[u8; 6], Vec<(Ipv4Addr, Timestamp)>>,
}

/// One client, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its own MAC address.
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) name: Option<(String, NameFrom)>,
    pub(crate) user: Option<User>,
}

impl Who {
    /// Bytes of all tables.
    pub(crate) fn bytes(&self) -> usize {
        self.asked.bytes + self.leases.bytes + self.hosts.bytes + self.senders.bytes
    }

    /// Learns from a message of DHCP; gives how many leases and names were forgotten to stay within `limit` bytes each.
    pub(crate) fn lease(&mut self, message: Message, ts: Timestamp, limit: usize) -> u64 {
        let Message { step, transaction, client, mac, name, leases, .. } = message;
        let key = (client, transaction);
        let mut forgotten = 0;
        match step {
            Step::Asks => {
                if let Some(name) = name {
                    let heap = 2 * (key.0.len() + limits::text("")) + limits::text(&name);
                    forgotten += self.asked.put(key, name, ts.plus(PATIENCE), heap, limit / 2);
                }
            }
            Step::Grants => {
                let name = name.or_else(|| self.asked.get(&key, ts).cloned());
                for lease in leases {
                    let address = lease.address.to_canonical();
                    let known = self.leases.remove(&address).filter(|holder| holder.client == key.0);
                    let until = match lease.seconds {
                        Some(0) => continue,
                        Some(u32::MAX) => Timestamp(i64::MAX),
                        Some(seconds) => ts.plus(i64::from(seconds) * Timestamp::SECOND),
                        None => ts.plus(DAY),
                    };
                    let (old_mac, old_name) = known.map_or((None, None), |known| (known.mac, known.name));
                    let holder =
                        Holder { client: key.0.clone(), mac: mac.or(old_mac), name: name.clone().or(old_name) };
                    if holder.mac.is_none() && holder.name.is_none() {
                        continue;
                    }
                    let heap = key.0.len() + limits::text("") + limits::some_text(holder.name.as_ref());
                    forgotten += self.leases.put(address, holder, until, heap, limit);
                }
                self.asked.remove(&key);
            }
            Step::Ends => {
                for lease in leases {
                    let address = lease.address.to_canonical();
                    if self.leases.get(&address, ts).is_some_and(|holder| holder.client == key.0) {
                        self.leases.remove(&address);
                    }
                }
            }
            Step::Other => {}
        }
        forgotten
    }

    /// Learns from an answer of a name server; gives how many names were forgotten.
    pub(crate) fn host(&mut self, seen: HostSeen, ts: Timestamp, limit: usize) -> u64 {
        let heap = limits::text(&seen.name);
        self.hosts.put((seen.address.to_canonical(), seen.reverse), seen.name, ts.plus(DAY), heap, limit)
    }

    /// Learns that a MAC address sent for a client; gives how many MAC addresses were forgotten.
    pub(crate) fn sender(&mut self, client: IpAddr, sender: Option<Sender>, ts: Timestamp, limit: usize) -> u64 {
        let (Some(sender), IpAddr::V4(client)) = (sender, client.to_canonical()) else { return 0 };
        let mut known = self.senders.remove(&sender.mac).unwrap_or_default();
        known.retain(|(ip, last)| *ip != client && ts.since(*last) <= DAY);
        // One beyond what a host may have tells as much as a hundred.
        known.truncate(MAX_OWN);
        known.insert(0, (client, ts));
        let heap = (MAX_OWN + 2) * size_of::<(Ipv4Addr, Timestamp)>() + limits::text("");
        self.senders.put(sender.mac, known, ts.plus(DAY), heap, limit / 2)
    }

    /// What is known of the client at `ip`, of which `sender` sent the first packet.
    pub(crate) fn client(&self, names: &Names, ip: IpAddr, sender: Option<Sender>, now: Timestamp) -> Client {
        let ip = ip.to_canonical();
        let holder = self.leases.get(&ip, now);
        let mac = holder.and_then(|holder| holder.mac).or_else(|| self.own(sender?, now));
        let mapped = names.host(ip, mac).map(|name| (name, NameFrom::Map));
        let leased = || holder.and_then(|holder| holder.name.as_deref()).map(|name| (name, NameFrom::Dhcp));
        let asked = |reverse| self.hosts.get(&(ip, reverse), now).map(|name| (name.as_str(), NameFrom::Dns));
        let name = mapped.or_else(leased).or_else(|| asked(true)).or_else(|| asked(false));
        Client {
            mac,
            name: name.map(|(name, from)| (name.to_owned(), from)),
            user: names.user(ip, mac).map(|user| User { name: user.to_owned(), from: UserFrom::Map }),
        }
    }

    /// The MAC address of a sender that is likely a host, and no router.
    fn own(&self, sender: Sender, now: Timestamp) -> Option<[u8; 6]> {
        let is_one = sender.mac != [0; 6] && sender.mac.first().is_some_and(|first| first & 1 == 0);
        let addresses = self.senders.get(&sender.mac, now).map_or(&[][..], Vec::as_slice);
        let shared = addresses.iter().filter(|(_, last)| now.since(*last) <= DAY).count() > MAX_OWN;
        (is_one && FRESH.contains(&sender.ttl.get()) && !shared).then_some(sender.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::dhcp::Lease;
    use std::num::NonZeroU8;

    const SECOND: i64 = Timestamp::SECOND;
    const MAC: [u8; 6] = [2, 0x16, 0x3e, 1, 2, 3];

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn ip(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a01_0000 + n).into()
    }

    fn message(step: Step, client: u8, name: Option<&str>, leases: &[(u32, Option<u32>)]) -> Message {
        let lease = |(n, seconds): &(u32, Option<u32>)| Lease { address: ip(*n), seconds: *seconds };
        Message {
            step,
            transaction: 7,
            client: vec![4, client],
            mac: Some([2, 0, 0, 0, 0, client]),
            name: name.map(str::to_owned),
            name_refused: false,
            leases: leases.iter().map(lease).collect(),
            left_out: 0,
        }
    }

    fn name(who: &Who, n: u32, now: i64) -> Option<String> {
        who.client(&Names::default(), ip(n), None, at(now)).name.map(|(name, _)| name)
    }

    #[test]
    fn a_lease_counts_for_as_long_as_it_says() {
        for (seconds, last) in [(Some(60), 160), (None, 100 + 86_400), (Some(u32::MAX), i64::from(u32::MAX))] {
            let mut who = Who::default();
            who.lease(message(Step::Grants, 1, Some("ana"), &[(3, seconds)]), at(100), 1 << 20);
            assert_eq!(name(&who, 3, last).as_deref(), Some("ana"), "{seconds:?}");
            assert!(seconds == Some(u32::MAX) || name(&who, 3, last + 1).is_none(), "{seconds:?}");
        }
    }

    #[test]
    fn a_name_waits_a_minute_for_its_lease_and_serves_once() {
        for (wait, want) in [(60, Some("ana")), (61, None)] {
            let mut who = Who::default();
            who.lease(message(Step::Asks, 1, Some("ana"), &[]), at(0), 1 << 20);
            who.lease(message(Step::Grants, 1, None, &[(3, Some(600))]), at(wait), 1 << 20);
            assert_eq!(name(&who, 3, wait).as_deref(), want, "{wait}");
            assert!(who.asked.all.is_empty() || want.is_none());
        }
        // Nor does one client's name serve another.
        let mut who = Who::default();
        who.lease(message(Step::Asks, 1, Some("ana"), &[]), at(0), 1 << 20);
        who.lease(message(Step::Grants, 2, None, &[(3, Some(600))]), at(1), 1 << 20);
        assert_eq!(name(&who, 3, 1), None);
    }

    #[test]
    fn whoever_gets_an_address_next_is_not_called_like_the_last_one() {
        let mut who = Who::default();
        who.lease(message(Step::Grants, 1, Some("ana"), &[(3, Some(600))]), at(0), 1 << 20);
        who.lease(message(Step::Grants, 2, None, &[(3, Some(600))]), at(1), 1 << 20);
        let client = who.client(&Names::default(), ip(3), None, at(2));
        assert_eq!((client.name, client.mac), (None, Some([2, 0, 0, 0, 0, 2])));
        who.lease(message(Step::Ends, 1, None, &[(3, Some(0))]), at(3), 1 << 20);
        assert!(who.client(&Names::default(), ip(3), None, at(3)).mac.is_some(), "it is not the first one's any more");
        who.lease(message(Step::Grants, 2, None, &[(3, Some(0))]), at(4), 1 << 20);
        assert_eq!(who.client(&Names::default(), ip(3), None, at(4)), Client::default());
    }

    #[test]
    fn a_mac_address_is_a_hosts_own_with_two_addresses_a_day() {
        let sender = |ttl| Some(Sender { mac: MAC, ttl: NonZeroU8::new(ttl).unwrap() });
        let own = |who: &Who, now| who.client(&Names::default(), ip(1), sender(64), at(now)).mac.is_some();
        let mut who = Who::default();
        for (n, now, want) in
            [(1, 0, true), (2, 10, true), (1, 20, true), (3, 30, false), (1, 40, false), (1, 86_460, true)]
        {
            who.sender(ip(n), sender(64), at(now), 1 << 20);
            assert_eq!(own(&who, now), want, "{n} at {now}");
        }
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let mut who = Who::default();
        for n in 0..10_u128 {
            who.sender(std::net::Ipv6Addr::from_bits(n).into(), sender(64), at(0), 1 << 20);
        }
        assert_eq!(
            who.client(&Names::default(), six, sender(255), at(0)).mac,
            Some(MAC),
            "a host has many of version 6"
        );
    }

    #[test]
    fn each_table_stays_within_its_share_and_forgets_the_oldest() {
        let limit = 64 << 10;
        let mut who = Who::default();
        let mut forgotten = [0; 4];
        for n in 0..2_000_u32 {
            let client = |mut message: Message| {
                message.client = n.to_be_bytes().to_vec();
                message
            };
            let text = format!("h{n:05}");
            let gives = client(message(Step::Grants, 1, Some(&text), &[(n, Some(600))]));
            forgotten[0] += who.lease(gives, at(0), limit);
            forgotten[1] += who.lease(client(message(Step::Asks, 1, Some(&text), &[])), at(0), limit);
            forgotten[2] += who.host(HostSeen { address: ip(n), name: text, reverse: true }, at(0), limit);
            let [a, b, c, d] = n.to_be_bytes();
            let sender = Sender { mac: [2, 0, a, b, c, d], ttl: NonZeroU8::MIN };
            forgotten[3] += who.sender(ip(n), Some(sender), at(0), limit);
        }
        let sizes = [who.leases.bytes, who.asked.bytes * 2, who.hosts.bytes, who.senders.bytes * 2];
        assert!(sizes.iter().all(|bytes| (limit / 2..=limit).contains(bytes)), "{sizes:?}");
        let kept = [who.leases.all.len(), who.asked.all.len(), who.hosts.all.len(), who.senders.all.len()];
        for (kept, forgotten) in kept.into_iter().zip(forgotten) {
            assert_eq!(kept as u64 + forgotten, 2_000);
        }
        assert_eq!((name(&who, 0, 1), name(&who, 1_999, 1).as_deref()), (None, Some("h01999")));
        let ages = [who.leases.by_age.len(), who.asked.by_age.len(), who.hosts.by_age.len(), who.senders.by_age.len()];
        assert_eq!(ages, kept);
    }
}
