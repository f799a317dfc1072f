use super::judge::{Finding, Level, judge};
use super::print;
use super::survey::{Flows, Interface, Survey, Traffic};
use Level::{Fail, Ok as Fine, Warn};

/// A span port as it should be.
fn healthy() -> Survey {
    let traffic = Traffic {
        packets: 10_000,
        bytes: 5_000_000,
        peak_ring_bytes: 2 << 20,
        between_others: 9_900,
        with_addresses: 10_000,
        good_sums: 9_000,
        ..Traffic::default()
    };
    let interface = Interface {
        name: "eth1".to_owned(),
        exists: true,
        up: true,
        carrier: Some(true),
        gro: Some(false),
        lro: Some(false),
        snaplen: 262_144,
        ring_bytes: 64 << 20,
        ring_bytes_given: Some(64 << 20),
        ring_version: Some(3),
        traffic,
        ..Interface::default()
    };
    Survey {
        seconds: 5,
        may_capture: true,
        clock_synchronized: Some(true),
        known: vec!["eth0".to_owned(), "eth1".to_owned()],
        interfaces: vec![interface],
        flows: Flows { tcp: 100, one_sided: 2, tls: 60, http: 30, quic: 5, beyond: 0 },
    }
}

#[test]
fn a_span_port_as_it_should_be_has_nothing_to_say() {
    let findings = judge(&healthy());
    assert!(findings.iter().all(|finding| finding.level == Fine && finding.help.is_none()), "{findings:#?}");
    let checks: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(
        checks,
        ["permissions", "interface", "offload", "drops", "ring", "packets", "directions", "content", "clock"]
    );
}

/// Changes a healthy survey and looks for one finding, with words of what is so and of what would help.
#[track_caller]
fn check(change: impl FnOnce(&mut Survey, &mut Interface), level: Level, check: &str, what: &str, help: &str) {
    let mut survey = healthy();
    let mut interface = survey.interfaces.remove(0);
    change(&mut survey, &mut interface);
    survey.interfaces.push(interface);
    let findings = judge(&survey);
    let said = |finding: &&Finding| {
        let helps = finding.help.as_deref().map_or(help.is_empty(), |text| !help.is_empty() && text.contains(help));
        finding.level == level && finding.check == check && finding.what.contains(what) && helps
    };
    assert!(findings.iter().any(|finding| said(&finding)), "{findings:#?}");
}

#[test]
fn what_makes_the_sensor_blind_fails() {
    check(|s, _| s.may_capture = false, Fail, "permissions", "CAP_NET_RAW is missing", "setcap cap_net_raw=ep");
    check(|_, i| i.exists = false, Fail, "interface", "there is none of this name", "there are eth0, eth1");
    check(|_, i| i.up = false, Fail, "interface", "switched off", "`ip link set eth1 up`");
    check(|_, i| i.carrier = Some(false), Fail, "interface", "other end of the cable", "span session");
    check(|_, i| i.failure = Some("no ring".to_owned()), Fail, "interface", "cannot be opened: no ring", "message");
    check(|_, i| i.unread_link = Some(147), Fail, "link_type", "link type 147", "`any`");
    check(|_, i| i.traffic = Traffic::default(), Fail, "packets", "none in 5 s", "--seconds");
    check(|s, _| s.flows.one_sided = 90, Fail, "directions", "90 % of 100", "both of its interfaces");
    check(|_, i| i.kernel_dropped = 1000, Fail, "drops", "1000 packets (10 %)", "buffer_bytes");
    let gtp = |_: &mut Survey, i: &mut Interface| i.traffic.undecoded = [("gtp_u", 6000)].into();
    check(gtp, Fail, "undecoded", "60 % of the packets: gtp_u 6000", "mirror what is inside");
}

#[test]
fn what_costs_something_is_warned_of() {
    check(|_, i| i.lro = Some(true), Warn, "offload", "LRO", "`ethtool -K eth1 lro off`");
    check(
        |_, i| (i.gro, i.snaplen) = (Some(true), 1514),
        Warn,
        "offload",
        "beyond the 1514 bytes",
        "leave out snaplen",
    );
    check(|_, i| i.kernel_dropped = 7, Warn, "drops", "7 packets (1 %) found no room in the kernel's", "rings = 2");
    check(|_, i| i.queue_dropped = 7, Warn, "drops", "in our queue", "bpf");
    check(|_, i| i.card_lost = 7, Warn, "drops", "lost by the card", "ethtool -G eth1 rx 4096");
    check(|_, i| i.card_errors = 7, Warn, "drops", "damaged", "cable");
    check(|_, i| i.cut = 30, Warn, "snaplen", "30 packets (1 %) are longer than the 262144", "leave out snaplen");
    check(|_, i| i.traffic.peak_ring_bytes = 2_000_000_001, Warn, "ring", "hold 33 ms", "buffer_bytes to 2000683008");
    check(|_, i| i.ring_bytes_given = Some(8 << 20), Warn, "ring", "gave 8 MiB of the 64 MiB", "free memory");
    check(|_, i| i.ring_version = Some(2), Warn, "ring", "TPACKET_V2", "newer kernel");
    check(|_, i| i.traffic.between_others = 0, Warn, "mirror", "this is no mirror", "promiscuous");
    check(|s, _| s.flows.tcp = 0, Warn, "directions", "no TCP connection", "listen while there is traffic");
    check(|s, _| s.flows.one_sided = 30, Warn, "directions", "30 % of 100", "both directions");
    check(|s, _| s.flows.http = 0, Warn, "content", "nothing but encrypted", "--keylog");
    check(|s, _| s.clock_synchronized = Some(false), Warn, "clock", "nothing keeps the clock", "chrony");
    check(|_, i| i.traffic.skew_ms = -3000, Warn, "clock", "3000 ms behind", "phc2sys");
    let filtered = |_: &mut Survey, i: &mut Interface| {
        i.traffic.vlans = [(10, 4000)].into();
        i.bpf = Some("tcp".to_owned());
    };
    check(filtered, Warn, "vlan", "40 % of the packets are of VLAN 10", "(tcp) or (vlan and (tcp))");
}

#[test]
fn what_is_well_is_said_with_its_figures() {
    check(|_, i| i.gro = Some(true), Fine, "offload", "costs nothing here", "");
    check(|_, i| i.traffic.vlans = [(10, 10_000)].into(), Fine, "vlan", "VLAN 10 alone", "");
    check(
        |_, i| i.traffic.vlans = (1..=9).map(|id| (id, 1)).collect(),
        Fine,
        "vlan",
        "VLAN 1, 2, 3, 4, 5, 6, 7, 8, …",
        "",
    );
    check(|_, i| i.traffic.tunnels = [("vxlan".to_owned(), 5000)].into(), Fine, "tunnels", "50 % of the", "");
    check(|_, i| i.traffic.bytes = 500_000_000, Fine, "packets", "10000 in 5 s, 800 Mbit/s", "");
    check(|_, i| i.traffic.bad_sums = 9000, Fine, "checksums", "50 % of the TCP checksums", "");
    check(|_, i| i.traffic.peak_ring_bytes = 256 << 20, Fine, "ring", "hold 250 ms", "");
    check(|s, _| s.flows.tcp = 3, Fine, "directions", "too few to judge", "");
    check(|s, _| s.clock_synchronized = None, Fine, "clock", "does not say", "");
    check(|s, _| s.flows.beyond = 9, Fine, "directions", "9 packets are of further", "");
}

#[test]
fn a_tap_is_judged_over_both_of_its_interfaces() {
    let mut survey = healthy();
    survey.interfaces.push(Interface { name: "eth2".to_owned(), ..survey.interfaces[0].clone() });
    let findings = judge(&survey);
    assert_eq!(findings.iter().filter(|finding| finding.check == "directions").count(), 1);
    assert_eq!(findings.iter().filter(|finding| finding.check == "packets").count(), 2);
}

#[test]
fn where_nothing_could_be_opened_nothing_is_said_of_traffic() {
    let mut survey = healthy();
    survey.may_capture = false;
    survey.interfaces[0].failure = Some("not permitted".to_owned());
    survey.interfaces[0].traffic = Traffic::default();
    let checks: Vec<_> = judge(&survey).iter().map(|finding| (finding.level, finding.check)).collect();
    assert_eq!(checks, [(Fail, "permissions"), (Fine, "clock")]);
}

#[test]
fn findings_are_lined_up_for_people() {
    let mut survey = healthy();
    survey.interfaces[0].lro = Some(true);
    survey.interfaces[0].name = "eth1\u{1b}[2J".to_owned();
    survey.flows.one_sided = 90;
    let mut out = Vec::new();
    print::text(&judge(&survey), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    ok    permissions            may open interfaces (CAP_NET_RAW)
    ok    eth1\x1b[2J interface  is open
    warn  eth1\x1b[2J offload    the card joins packets (LRO): their headers are not those that were sent
                                 -> `ethtool -K eth1\x1b[2J lro off`
    ok    eth1\x1b[2J drops      none
    ok    eth1\x1b[2J ring       64 MiB hold the busiest second seen
    ok    eth1\x1b[2J packets    10000 in 5 s, 8000 kbit/s
    fail  directions             90 % of 100 TCP connections show one direction only
                                 -> mirror both directions (`both`, not `rx` or `tx`); with a tap, name both of its interfaces
    ok    content                connections with TLS 60, with clear HTTP 30, with QUIC 5
    ok    clock                  follows another clock (NTP or PTP)
    ");
}

#[test]
fn findings_for_programs_carry_their_numbers() {
    let survey = healthy();
    let mut out = Vec::new();
    print::json(&judge(&survey), &survey, &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["findings"][0]["level"], "ok");
    assert_eq!(value["findings"][1]["interface"], "eth1");
    assert_eq!(value["survey"]["interfaces"][0]["traffic"]["packets"], 10_000);
    assert_eq!(out.last(), Some(&b'\n'));
}
