use super::*;
use std::time::Duration;

#[test]
fn a_flow_without_payload_is_never_told() {
    let mut rig = Rig::connected();
    rig.cf(0, ACK | FIN, "");
    rig.sf(0, ACK | FIN, "");
    rig.wait(12);
    rig.told(&[]);
    let stats = rig.table.stats();
    assert_eq!((stats.flows_opened, stats.flows_fin, rig.table.len()), (1, 1, 0));
}

#[test]
fn packets_that_open_no_flow_are_strays() {
    let mut rig = Rig::new();
    rig.c(0, 0, "");
    rig.cf(0, ACK | FIN, "");
    rig.cf(0, RST, "");
    assert_eq!((rig.table.stats().packets_stray, rig.table.len()), (3, 0));
}

#[test]
fn who_sends_the_syn_is_the_client_and_ports_decide_only_without_one() {
    for (from_client, flags, sport, dport, client_is_sender) in [
        (true, SYN, 80, 50_000, true),
        (true, SYN | ACK, 50_000, 80, false),
        (true, ACK, 50_000, 80, true),
        (true, ACK, 443, 50_000, false),
        (true, ACK, 8080, 2000, false),
        (true, ACK, 2000, 8080, true),
        (true, ACK, 40_000, 50_000, false),
        (true, ACK, 50_000, 40_000, true),
    ] {
        let mut rig = Rig::new();
        rig.client.set_port(sport);
        rig.server.set_port(dport);
        rig.send(from_client, 1, 1, flags, b"x");
        rig.finish();
        let flow = rig.log.last.unwrap();
        assert_eq!(flow.client == rig.client.into(), client_is_sender, "{flags} {sport} {dport}");
        assert_eq!(flow.midstream, flags == ACK);
    }
}

#[test]
fn a_reset_flow_lingers_and_closes_as_reset() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.sf(0, RST, "");
    let reset_at = rig.now;
    rig.told(&["open 1", ">abc"]);
    rig.wait(12);
    rig.told(&["close reset"]);
    assert_eq!(rig.log.last.unwrap().last, reset_at);
}

#[test]
fn a_refused_connection_is_reset() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.send(false, 0, CLIENT, RST | ACK, b"");
    rig.wait(12);
    assert_eq!((rig.table.stats().flows_reset, rig.table.len()), (1, 0));
}

#[test]
fn timeouts_carry_their_deadline_and_come_in_its_order() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "late");
    let last = rig.now;
    rig.client.set_port(50_001);
    rig.c(0, 0, "later");
    rig.wait(3_599);
    rig.told(&["open 1", ">late", "open 5", ">later"]);
    rig.wait(3);
    rig.told(&["close timeout", "close timeout"]);
    assert_eq!(rig.log.last.as_ref().unwrap().last, last.plus(1_000 + 3_600 * Timestamp::SECOND));
    for (steps, left) in [(25, 1), (10, 0)] {
        if left == 1 {
            rig.send(true, 5, 0, SYN, b"");
        }
        rig.wait(steps);
        assert_eq!(rig.table.len(), left, "half-open flows go sooner");
    }
}

#[test]
fn a_flow_that_speaks_stays() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "a");
    for i in 1..100 {
        rig.wait(100);
        rig.c(i, 0, "a");
    }
    assert_eq!((rig.table.len(), rig.table.stats().flows_timeout), (1, 0));
}

#[test]
fn a_clock_that_jumps_ends_no_flow() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "a");
    for jump in [3_600, -3_600, 80 * 365 * 86_400, -200 * 365 * 86_400, 7_200] {
        rig.now = rig.now.plus(jump * Timestamp::SECOND);
        rig.wait(1);
    }
    rig.told(&["open 1", ">a"]);
}

#[test]
fn a_full_table_evicts_what_matters_least() {
    let limits = Limits { flows: 4, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let mut ports = 50_001..;
    let mut next = |rig: &mut Rig| rig.client.set_port(ports.next().unwrap());
    rig.handshake();
    rig.c(0, 0, "active");
    next(&mut rig);
    rig.handshake();
    for _ in 0..1_000 {
        next(&mut rig);
        rig.send(true, 0, 0, SYN, b"");
    }
    rig.client.set_port(50_000);
    rig.c(6, 0, " still");
    rig.told(&["open 1", ">active", "> still"]);
    assert_eq!((rig.table.len(), rig.table.stats().flows_evicted), (4, 998));
    for port in [60_000, 60_001, 60_002, 60_003] {
        rig.wait(1);
        rig.client.set_port(port);
        rig.c(0, 0, "x");
        rig.s(0, 1, "y");
    }
    assert!(rig.log.lines.contains(&"close evicted".into()), "only then the least recently used");
    assert_eq!(rig.log.last.unwrap().client.port(), 50_000);
}

#[test]
fn the_same_ports_may_serve_again() {
    for (name, ending) in [("fin", ACK | FIN), ("rst", RST)] {
        let mut rig = Rig::connected();
        rig.c(0, 0, "one");
        rig.cf(3, ending, "");
        if ending != RST {
            rig.sf(0, ending, "");
        }
        rig.send(true, 900, 0, SYN, b"");
        rig.send(false, 4_000, 901, SYN | ACK, b"");
        rig.send(true, 901, 4_001, ACK, b"two");
        let lines = rig.finish().join(", ");
        assert!(lines.ends_with(">two, close end_of_input"), "{name}: {lines}");
        assert_eq!(rig.table.stats().flows_opened, 2, "{name}");
        assert_eq!(rig.table.stats().gaps, 0, "{name}");
    }
}

#[test]
fn a_new_connection_on_a_live_flow_needs_an_answer_or_data() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "one");
    rig.send(true, 900 << 20, 0, SYN, b"");
    rig.c(3, 0, " more");
    rig.told(&["open 1", ">one", "> more"]);
    rig.send(false, 4_000, (900 << 20) + 1, SYN | ACK, b"");
    rig.send(true, (900 << 20) + 1, 4_001, ACK, b"two");
    rig.told(&["close reused", "open 7", ">two"]);

    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.c(0, 0, "one");
    rig.send(true, 900 << 20, 0, SYN, b"");
    rig.send(true, (900 << 20) + 1, 0, ACK, b"two");
    rig.told(&["open 1", ">one", "close reused", "open 4", ">two"]);
}

#[test]
fn a_syn_that_is_sent_again_opens_nothing() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.handshake();
    rig.c(0, 0, "abc");
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
    rig.c(3, 0, "def");
    rig.told(&["open 1", ">abc", ">def"]);
    assert_eq!(rig.table.stats().flows_opened, 1);
}

#[test]
fn the_server_says_which_of_two_syns_counts() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.send(true, 12_345, 0, SYN, b"");
    rig.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
    rig.c(0, 0, "abc");
    rig.told(&["open 1", ">abc"]);
}

#[test]
fn both_ends_may_open_at_the_same_time() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.send(false, SERVER - 1, 0, SYN, b"");
    rig.send(true, CLIENT.wrapping_sub(1), SERVER, SYN | ACK, b"");
    rig.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
    rig.c(0, 0, "abc");
    rig.s(0, 3, "def");
    rig.told(&["open 1", ">abc", "<def"]);
}

#[test]
fn one_visible_direction_is_enough_to_end() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.c(0, 0, "abc");
    rig.cf(3, ACK | FIN, "");
    rig.told(&["open 1", ">abc", ">fin", "close fin"]);
}

#[test]
fn data_behind_both_fins_is_a_flow_of_its_own() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.cf(3, ACK | FIN, "");
    rig.sf(0, ACK | FIN, "");
    rig.c(4, 0, "more");
    rig.told(&["open 1", ">abc", ">fin", "<fin", "close fin", "open 7", ">more"]);
}

#[test]
fn durations_beyond_any_clock_mean_never() {
    let limits = Limits { active: Duration::MAX, ..Limits::default() };
    let mut rig = Rig::with(limits);
    rig.c(0, 0, "a");
    rig.wait(100);
    rig.told(&["open 1", ">a"]);
}

#[test]
fn counters_add_up_by_name() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    let mut sum = super::super::Stats::default();
    sum += rig.table.stats();
    sum += rig.table.stats();
    assert!(sum.each().any(|(name, n)| name == "delivered_bytes" && n == 6));
}

#[test]
fn a_flow_whose_data_overtook_its_syn_misses_nothing() {
    let mut rig = Rig::new();
    rig.c(0, 0, "abc");
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.c(3, 0, "def");
    assert_eq!(rig.finish(), ["open 1", ">abc", ">def", "close end_of_input"]);
    let flow = rig.log.last.unwrap();
    assert!(!flow.midstream);
    assert_eq!(flow.client, rig.client.into());
}

#[test]
fn a_fin_before_the_first_byte_is_told_before_that_byte() {
    // The server ends first and without a word; then the client speaks.
    let mut rig = Rig::connected();
    rig.sf(0, ACK | FIN, "");
    rig.told(&[]);
    rig.cf(0, ACK | FIN, "abc");
    rig.told(&["open 1", "<fin", ">abc", ">fin", "close fin"]);

    // No handshake answer at all, as the fuzzer found it.
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.send(false, SERVER, CLIENT, FIN, b"");
    rig.cf(0, FIN, "abc");
    rig.told(&["open 1", "<fin", ">abc", ">fin", "close fin"]);

    // The first piece may as well be a gap or an anomaly.
    let mut rig = Rig::connected();
    rig.sf(0, ACK | FIN, "");
    rig.cf(3, ACK | FIN, "");
    rig.wait(35);
    rig.s(1, 4, "");
    rig.wait(2);
    rig.told(&["open 1", "<fin", ">gap 3", ">fin", "close fin"]);
    let mut rig = Rig::connected();
    rig.sf(0, ACK | FIN, "");
    rig.sf(1, ACK, "more");
    rig.told(&["open 1", "<fin", "<! data_after_fin"]);
}

#[test]
fn no_interest_in_an_early_fin_means_no_interest_in_what_follows() {
    let mut rig = Rig::connected();
    rig.log.bypass_at = Some("fin");
    rig.sf(0, ACK | FIN, "");
    rig.c(0, 1, "abc");
    rig.cf(3, ACK | FIN, "");
    rig.told(&["open 1", "<fin", "close fin"]);
}

#[test]
fn a_flow_whose_last_hole_is_given_up_between_packets_is_over_at_once() {
    let mut rig = Rig::connected();
    rig.s(0, 0, "ok");
    rig.sf(2, ACK | FIN, "");
    rig.cf(3, ACK | FIN, "");
    rig.s(3, 4, "");
    rig.told(&["open 1", "<ok", "<fin"]);
    rig.wait(2);
    rig.told(&[">gap 3", ">fin", "close fin"]);
    rig.wait(12);
    assert!(rig.table.is_empty(), "and lingers no longer than others");
}

#[test]
fn a_fin_that_overtook_the_answer_to_the_syn_is_kept() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
    rig.cf(0, ACK, "");
    rig.sf(0, ACK, "");
    rig.cf(0, ACK | FIN, "");
    rig.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
    rig.s(0, 1, "abc");
    rig.sf(3, ACK | FIN, "");
    rig.told(&["open 1", ">fin", "<abc", "<fin", "close fin"]);
}

#[test]
fn a_fin_under_a_number_that_does_not_count_ends_nothing() {
    let mut rig = Rig::new();
    rig.send(true, 77, 0, SYN, b"");
    rig.sf(0, ACK, "");
    rig.send(true, 78 + 3, 0, FIN, b"");
    rig.handshake();
    rig.c(0, 0, "abc");
    rig.c(3, 0, "def");
    rig.told(&["open 1", ">abc", ">def"]);
}

#[test]
fn a_direction_that_was_told_to_have_ended_begins_no_more() {
    let mut rig = Rig::connected();
    rig.cf(3, ACK | FIN, "");
    rig.s(0, 4, "");
    rig.wait(2);
    rig.told(&["open 1", ">gap 3", ">fin"]);
    rig.send(true, 900 << 20, 0, SYN, b"");
    rig.told(&[]);
    assert_eq!(rig.table.stats().packets_odd_syn, 1);
    rig.send(true, (900 << 20) + 1, 0, ACK, b"two");
    rig.told(&["close reused", "open 7", ">two"]);
}

#[test]
fn flows_that_together_weigh_too_much_make_room_the_oldest_first() {
    let mut rig = Rig::with(Limits { above: 30, ..Limits::default() });
    let mut from = |port: u16, at: u32, text: &str| {
        rig.client.set_port(port);
        rig.c(at, 0, text);
        rig.table.stats().flows_too_heavy
    };
    assert_eq!([1001, 1002, 1003].map(|port| from(port, 0, "ten bytes.")), [0, 0, 0]);
    // The first speaks again, so the second is now the oldest.
    assert_eq!(from(1001, 10, "x"), 1);
    assert_eq!((from(1004, 0, "nine bytes"), from(1004, 10, "x")), (2, 2));
    // One alone may weigh what it likes, and what is gone weighs nothing.
    assert_eq!(from(1005, 0, "a text that alone is over the limit"), 4);
    assert_eq!(from(1005, 35, "more"), 4);
    assert_eq!((rig.table.len(), rig.table.stats().flows_evicted), (1, 4));
    rig.finish();
}
