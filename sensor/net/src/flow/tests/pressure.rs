//! A full table: who goes, and who stays.

use super::*;

/// Sends one flow of a flood, from the port the rig is set to.
type Flood = fn(&mut Rig);

const SYNS: Flood = |rig| rig.send(true, 7, 0, SYN, b"");
const ANSWERED_SYNS: Flood = |rig| {
    rig.send(true, 7, 0, SYN, b"");
    rig.send(false, 9, 8, SYN | ACK, b"");
    rig.send(false, 9, 8, SYN | ACK, b"");
};
const LONE_REQUESTS: Flood = |rig| rig.c(0, 0, "GET / HTTP/1.1\r\n\r\n");
const LONE_ANSWERS: Flood = |rig| rig.s(0, 0, "HTTP/1.1 200 OK\r\n\r\n");
const REFUSED_REQUESTS: Flood = |rig| {
    rig.c(0, 0, "GET / HTTP/1.1\r\n\r\n");
    rig.send(false, SERVER, 0, RST, b"");
};

const FLOODS: [(&str, Flood); 5] = [
    ("SYNs", SYNS),
    ("SYNs that are answered", ANSWERED_SYNS),
    ("requests out of the blue", LONE_REQUESTS),
    ("answers out of the blue", LONE_ANSWERS),
    ("requests out of the blue that are refused", REFUSED_REQUESTS),
];

/// So many flows of a flood, each from a port of its own, a second for every hundred of them.
fn flood(rig: &mut Rig, one: Flood, flows: u16) {
    for port in 0..flows {
        rig.client.set_port(2_000 + port);
        one(rig);
        if port % 100 == 99 {
            rig.wait(1);
        }
    }
}

#[test]
fn what_one_sender_makes_costs_no_connection_that_both_speak_on() {
    for (name, one) in FLOODS {
        let mut rig = Rig::with(Limits { flows: 40, ..Limits::default() });
        rig.client.set_port(50_000);
        rig.handshake();
        rig.client.set_port(50_001);
        rig.handshake();
        rig.c(0, 0, "half a requ");
        rig.client.set_port(50_002);
        rig.c(0, 0, "asked in the middle");
        rig.s(0, 19, "answered");
        flood(&mut rig, one, 2_000);
        assert!(rig.table.stats().flows_evicted > 1_900, "{name}");
        rig.log.lines.clear();
        rig.client.set_port(50_000);
        rig.c(0, 0, "at last");
        rig.client.set_port(50_001);
        rig.c(11, 0, "est");
        rig.client.set_port(50_002);
        rig.s(8, 19, " in full");
        let lines: Vec<_> = rig.log.lines.iter().filter(|l| !l.starts_with("open")).collect();
        assert_eq!(lines, [">at last", ">est", "< in full"], "{name}");
    }
}

#[test]
fn either_of_two_one_sided_floods_leaves_the_other_kind_alone() {
    // A connection that has just been asked for, while payload comes out of the blue; and a tap that sees one side
    // only, while SYNs come.
    for (one, begins) in [(LONE_REQUESTS, SYNS), (SYNS, LONE_REQUESTS)] {
        let mut rig = Rig::with(Limits { flows: 40, ..Limits::default() });
        rig.client.set_port(50_000);
        begins(&mut rig);
        flood(&mut rig, one, 1_000);
        rig.client.set_port(50_000);
        let opened = rig.table.stats().flows_opened;
        begins(&mut rig);
        assert_eq!(rig.table.stats().flows_opened, opened);
    }
}

#[test]
fn what_weighs_too_much_is_first_what_nobody_answered() {
    let mut rig = Rig::with(Limits { above: 300, ..Limits::default() });
    rig.client.set_port(50_000);
    rig.handshake();
    rig.c(0, 0, "half a requ");
    flood(&mut rig, LONE_REQUESTS, 1_000);
    assert!(rig.table.stats().flows_too_heavy > 900);
    rig.log.lines.clear();
    rig.client.set_port(50_000);
    rig.c(11, 0, "est");
    assert_eq!(rig.log.lines.first().unwrap(), ">est");
}

#[test]
fn half_a_handshake_is_over_sooner_than_a_whole_one() {
    for (begin, left) in [(ANSWERED_SYNS, 0), (Rig::handshake as Flood, 1)] {
        let mut rig = Rig::new();
        begin(&mut rig);
        rig.wait(60);
        assert_eq!(rig.table.len(), left);
    }
}
