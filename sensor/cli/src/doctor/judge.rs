//! Numbers to findings. Pure.

use super::survey::{Flows, Interface, Survey, Traffic};
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It costs something.
    Warn,
    /// The sensor is blind, wholly or to a great part.
    Fail,
}

impl Level {
    /// As it is printed.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) level: Level,
    /// What was looked at; never renamed.
    pub(crate) check: &'static str,
    /// Where, if it is about one interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
    /// What is so.
    pub(crate) what: String,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

/// Connections from which on shares mean something.
const ENOUGH_FLOWS: u64 = 5;
/// Packets from which on shares mean something.
const ENOUGH_PACKETS: u64 = 100;
/// Furthest that the time of packets may be off, in milliseconds. Reading them takes a part of a second.
const SKEW_MS: u64 = 2000;

/// Judges everything, in the order in which it matters.
pub(crate) fn judge(survey: &Survey) -> Vec<Finding> {
    let mut out = Findings::default();
    permissions(survey, &mut out);
    for interface in &survey.interfaces {
        out.interface = Some(interface.name.clone());
        let opened = presence(interface, survey, &mut out);
        if opened {
            offload(interface, &mut out);
            loss(interface, &mut out);
            packets(interface, survey.seconds, &mut out);
        }
    }
    out.interface = None;
    if survey.interfaces.iter().any(|interface| interface.traffic.packets > 0) {
        directions(&survey.flows, &mut out);
        contents(&survey.flows, &mut out);
    }
    clock(survey, &mut out);
    out.all
}

#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    interface: Option<String>,
}

impl Findings {
    fn add(&mut self, level: Level, check: &'static str, what: impl Into<String>, help: Option<String>) {
        self.all.push(Finding { level, check, interface: self.interface.clone(), what: what.into(), help });
    }

    fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(Level::Ok, check, what, None);
    }

    fn warn(&mut self, check: &'static str, what: impl Into<String>, help: impl Into<String>) {
        self.add(Level::Warn, check, what, Some(help.into()));
    }

    fn fail(&mut self, check: &'static str, what: impl Into<String>, help: impl Into<String>) {
        self.add(Level::Fail, check, what, Some(help.into()));
    }
}

/// `part` of `whole` in whole percent, rounded up, so that something is never nothing.
fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).div_ceil(whole.max(1))
}

fn permissions(survey: &Survey, out: &mut Findings) {
    if survey.may_capture {
        return out.ok("permissions", "may open interfaces (CAP_NET_RAW)");
    }
    out.fail(
        "permissions",
        "may not open interfaces: CAP_NET_RAW is missing",
        "start it as root (which it gives up once interfaces are open), by the systemd unit, or after \
         `setcap cap_net_raw=ep /usr/bin/mcp-sensor`",
    );
}

/// Whether it is open.
fn presence(interface: &Interface, survey: &Survey, out: &mut Findings) -> bool {
    let name = &interface.name;
    if !interface.exists {
        out.fail("interface", "there is none of this name", format!("there are {}", survey.known.join(", ")));
        return false;
    }
    if !interface.up {
        out.fail("interface", "is switched off", format!("`ip link set {name} up`"));
        return false;
    }
    if let Some(failure) = &interface.failure {
        // Said once is enough.
        if survey.may_capture {
            out.fail("interface", format!("cannot be opened: {failure}"), "the message says what is missing");
        }
        return false;
    }
    if let Some(link) = interface.unread_link {
        out.fail(
            "link_type",
            format!("its packets have link type {link}, which is not read"),
            "listen to the interface below it, or to `any`",
        );
        return true;
    }
    if interface.carrier == Some(false) {
        out.fail("interface", "nothing is at the other end of the cable", "look at the cable and the span session");
    } else {
        out.ok("interface", "is open");
    }
    true
}

fn offload(interface: &Interface, out: &mut Findings) {
    let name = &interface.name;
    let longest = 65_536;
    if interface.lro == Some(true) {
        out.warn(
            "offload",
            "the card joins packets (LRO): their headers are not those that were sent",
            format!("`ethtool -K {name} lro off`"),
        );
    }
    if interface.gro == Some(true) && interface.snaplen < longest {
        out.warn(
            "offload",
            format!("the kernel joins packets (GRO) beyond the {} bytes that are taken of each", interface.snaplen),
            format!("leave out snaplen, or `ethtool -K {name} gro off`"),
        );
    } else if interface.lro != Some(true) {
        let what = match interface.gro {
            Some(true) => "the kernel joins packets (GRO), which costs nothing here",
            Some(false) => "packets are as they came",
            None => "not known for this kind of interface",
        };
        out.ok("offload", what);
    }
}

fn loss(interface: &Interface, out: &mut Findings) {
    let (name, traffic) = (&interface.name, &interface.traffic);
    let mut lost = false;
    let mut told = |count: u64, what: &str, help: String| {
        if count == 0 {
            return;
        }
        lost = true;
        let share = percent(count, traffic.packets.saturating_add(count));
        let level = if share > 1 { Level::Fail } else { Level::Warn };
        out.add(level, "drops", format!("{count} packets ({share} %) {what}"), Some(help));
    };
    told(
        interface.kernel_dropped,
        "found no room in the kernel's ring",
        "make buffer_bytes larger, or add rings (`rings = 2`) where there are processors for them".to_owned(),
    );
    told(
        interface.queue_dropped,
        "found no room in our queue: looking at them was too slow",
        "leave traffic out that cannot be MCP (`bpf`), or give the sensor more processors".to_owned(),
    );
    told(
        interface.card_lost,
        "were lost by the card or its driver",
        format!("`ethtool -G {name} rx 4096`, and spread its interrupts over processors"),
    );
    told(
        interface.card_errors,
        "arrived damaged",
        "look at the cable, the optics, and that both ends agree on speed and frame size".to_owned(),
    );
    if !lost {
        out.ok("drops", "none");
    }
    if interface.cut > 0 {
        let share = percent(interface.cut, traffic.packets);
        out.warn(
            "snaplen",
            format!(
                "{} packets ({share} %) are longer than the {} bytes taken of each",
                interface.cut, interface.snaplen
            ),
            "leave out snaplen",
        );
    }
    ring(interface, out);
}

/// A ring must hold what comes while nobody reads it: a second is much, a twentieth is too little.
fn ring(interface: &Interface, out: &mut Findings) {
    let given = interface.ring_bytes_given.unwrap_or(interface.ring_bytes);
    if given < interface.ring_bytes {
        out.warn(
            "ring",
            format!("the kernel gave {} of the {} asked for", mebibytes(given), mebibytes(interface.ring_bytes)),
            "free memory, or ask for less",
        );
    }
    if interface.ring_version.is_some_and(|version| version < 3) {
        out.warn("ring", "the kernel's ring is an old one (TPACKET_V2), which drops early", "use a newer kernel");
    }
    let peak = interface.traffic.peak_ring_bytes;
    if peak == 0 {
        return;
    }
    let held_ms = given.saturating_mul(1000) / peak;
    let what = format!("{} hold {held_ms} ms of the busiest second seen", mebibytes(given));
    if held_ms >= 1000 {
        out.ok("ring", format!("{} hold the busiest second seen", mebibytes(given)));
    } else if held_ms >= 50 {
        out.ok("ring", format!("{what}; {} would hold all of it", mebibytes(peak)));
    } else {
        out.warn("ring", what, format!("set buffer_bytes to {} or more", peak.next_multiple_of(1 << 20)));
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn packets(interface: &Interface, seconds: u64, out: &mut Findings) {
    let traffic = &interface.traffic;
    if traffic.packets == 0 {
        let filter = match &interface.bpf {
            Some(_) => ", and that the filter lets them through (behind VLAN tags it needs `vlan and …`)",
            None => "",
        };
        let help = format!("see that the switch mirrors to this port, or listen for longer (--seconds){filter}");
        return out.fail("packets", format!("none in {seconds} s"), help);
    }
    let kbits = traffic.bytes.saturating_mul(8) / seconds.max(1) / 1000;
    let rate = if kbits < 10_000 { format!("{kbits} kbit/s") } else { format!("{} Mbit/s", kbits / 1000) };
    out.ok("packets", format!("{} in {seconds} s, {rate}", traffic.packets));
    let enough = traffic.packets >= ENOUGH_PACKETS;
    if !interface.special && enough && traffic.with_addresses == traffic.packets && traffic.between_others == 0 {
        out.warn(
            "mirror",
            "every packet is for this machine, from it, or for all: this is no mirror",
            "see that the switch mirrors to this port, and that the interface may be promiscuous",
        );
    }
    vlans(interface, out);
    for (path, count) in &traffic.tunnels {
        out.ok(
            "tunnels",
            format!("{} % of the packets come in {path}, which is opened", percent(*count, traffic.packets)),
        );
    }
    undecoded(traffic, enough, out);
    checksums(traffic, out);
}

fn vlans(interface: &Interface, out: &mut Findings) {
    let traffic = &interface.traffic;
    let tagged = traffic.tagged();
    if tagged == 0 {
        return;
    }
    let ids: Vec<_> = traffic.vlans.keys().take(8).map(u16::to_string).collect();
    let more = if traffic.vlans.len() > ids.len() { ", …" } else { "" };
    let what = format!("{} % of the packets are of VLAN {}{more}", percent(tagged, traffic.packets), ids.join(", "));
    match &interface.bpf {
        Some(bpf) if !bpf.contains("vlan") => out.warn(
            "vlan",
            format!("{what}; most filters do not look behind the tag"),
            format!("write `({bpf}) or (vlan and ({bpf}))`"),
        ),
        _ if traffic.vlans.len() == 1 && tagged == traffic.packets => {
            out.ok("vlan", format!("{what} alone; see that no other should be mirrored"));
        }
        _ => out.ok("vlan", what),
    }
}

fn undecoded(traffic: &Traffic, enough: bool, out: &mut Findings) {
    let count: u64 = traffic.undecoded.values().sum();
    let share = percent(count, traffic.packets);
    if !enough || share <= 1 {
        return;
    }
    let mut reasons: Vec<_> = traffic.undecoded.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<_> = reasons.iter().take(4).map(|(reason, count)| format!("{reason} {count}")).collect();
    let level = if share > 50 { Level::Fail } else { Level::Warn };
    let help = "a name such as gtp_u or erspan is a tunnel that is not opened: mirror what is inside of it";
    out.add(level, "undecoded", format!("{share} % of the packets: {}", reasons.join(", ")), Some(help.to_owned()));
}

fn checksums(traffic: &Traffic, out: &mut Findings) {
    let all = traffic.good_sums + traffic.bad_sums;
    let share = percent(traffic.bad_sums, all);
    if all >= ENOUGH_PACKETS && share > 5 {
        let what = format!("{share} % of the TCP checksums do not fit");
        out.ok(
            "checksums",
            format!("{what}: a direction where none fits comes from this machine's own card and is trusted"),
        );
    }
}

fn directions(flows: &Flows, out: &mut Findings) {
    if flows.tcp == 0 {
        let help = "listen while there is traffic (--seconds), and see that the switch mirrors to this port";
        return out.warn("directions", "no TCP connection was seen", help);
    }
    if flows.tcp < ENOUGH_FLOWS {
        return out.ok("directions", format!("{} TCP connections are too few to judge", flows.tcp));
    }
    let share = percent(flows.one_sided, flows.tcp);
    let what = format!("{share} % of {} TCP connections show one direction only", flows.tcp);
    let help = "mirror both directions (`both`, not `rx` or `tx`); with a tap, name both of its interfaces";
    match share {
        0..=10 => out.ok("directions", what),
        11..=50 => out.warn("directions", what, help),
        _ => out.fail("directions", what, help),
    }
    if flows.beyond > 0 {
        out.ok("directions", format!("{} packets are of further connections, which were not judged", flows.beyond));
    }
}

fn contents(flows: &Flows, out: &mut Findings) {
    let Flows { tls, http, quic, .. } = flows;
    let what = format!("connections with TLS {tls}, with clear HTTP {http}, with QUIC {quic}");
    if tls + quic >= ENOUGH_FLOWS && *http == 0 {
        return out.warn(
            "content",
            format!("{what}: nothing but encrypted ones, of which only the names of servers are seen"),
            "to see messages, give it the keys (`--keylog`), mirror behind the TLS terminator, or use a proxy",
        );
    }
    out.ok("content", what);
}

fn clock(survey: &Survey, out: &mut Findings) {
    for interface in survey.interfaces.iter().filter(|i| i.traffic.skew_ms.unsigned_abs() > SKEW_MS) {
        let ms = interface.traffic.skew_ms;
        let (ahead, how_far) = (if ms > 0 { "ahead of" } else { "behind" }, ms.unsigned_abs());
        out.interface = Some(interface.name.clone());
        out.warn(
            "clock",
            format!("its packets are {how_far} ms {ahead} the clock of the system"),
            "the card stamps them by a clock of its own: set that (phc2sys), or have the kernel stamp them",
        );
        out.interface = None;
    }
    match survey.clock_synchronized {
        Some(true) => out.ok("clock", "follows another clock (NTP or PTP)"),
        Some(false) => out.warn(
            "clock",
            "nothing keeps the clock of the system right, so events can have wrong times",
            "run chrony or systemd-timesyncd",
        ),
        None => out.ok("clock", "the system does not say whether it is kept right"),
    }
}
