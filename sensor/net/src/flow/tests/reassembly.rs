use super::*;

#[test]
fn segments_come_out_in_order_whatever_order_they_come_in() {
    for (name, segments) in [
        ("in order", &[(0, "GET "), (4, "/mcp"), (8, " HTTP")][..]),
        ("swapped", &[(4, "/mcp"), (0, "GET "), (8, " HTTP")]),
        ("backwards", &[(8, " HTTP"), (4, "/mcp"), (0, "GET ")]),
        ("each twice", &[(8, " HTTP"), (8, " HTTP"), (0, "GET "), (0, "GET "), (4, "/mcp"), (4, "/mcp")]),
        ("overlapping", &[(6, "cp HTTP"), (2, "T /mcp "), (0, "GET /m")]),
        ("one over all", &[(4, "/mcp"), (10, "TT"), (0, "GET /mcp HTTP")]),
        ("bytes", &[(3, " "), (1, "E"), (2, "T"), (0, "G"), (4, "/mcp HTTP")]),
        ("old and new", &[(0, "GET /m"), (0, "GET /mcp HTTP")]),
    ] {
        let mut rig = Rig::connected();
        for (at, text) in segments {
            rig.c(*at, 0, text);
        }
        let text: String = rig.finish().iter().filter_map(|line| line.strip_prefix('>')).collect();
        assert_eq!(text, "GET /mcp HTTP", "{name}");
        let stats = rig.table.stats();
        assert_eq!((stats.delivered_bytes, stats.gaps, stats.overlap_conflicts), (13, 0, 0), "{name}");
    }
}

#[test]
fn both_directions_end_and_the_flow_closes_at_once() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "ask");
    rig.s(0, 3, "answer");
    rig.cf(3, ACK | FIN, "");
    rig.sf(6, ACK | FIN, "!");
    rig.told(&["open 1", ">ask", "<answer", ">fin", "<!", "<fin", "close fin"]);
    rig.c(0, 7, "ask");
    rig.cf(3, ACK | FIN, "");
    assert_eq!(rig.table.stats().packets_late, 2, "late copies open no flow");
    rig.wait(20);
    rig.told(&[]);
    assert!(rig.table.is_empty());
}

#[test]
fn a_hole_the_receiver_acknowledged_is_a_gap_after_some_slack() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.c(6, 0, "ghi");
    rig.s(0, 9, "ok");
    rig.told(&["open 1", ">abc", "<ok"]);
    for _ in 0..32 {
        rig.s(2, 9, "");
    }
    rig.told(&[">gap 3", ">ghi"]);
    rig.c(3, 2, "def");
    rig.c(9, 2, "jkl");
    rig.told(&[">jkl"]);
    rig.finish();
    assert_eq!(rig.log.last.as_ref().unwrap().missed, [3, 0]);
}

#[test]
fn an_acknowledgement_that_overtook_its_data_costs_nothing() {
    let mut rig = Rig::connected();
    rig.s(0, 6, "ok");
    rig.c(3, 0, "def");
    rig.c(0, 0, "abc");
    rig.told(&["open 1", "<ok", ">abc", ">def"]);
    rig.wait(5);
    rig.told(&[]);
    assert_eq!(rig.table.held_bytes(), 0);
}

#[test]
fn a_request_that_is_wholly_missing_is_a_gap_once_it_is_acknowledged() {
    let mut rig = Rig::connected();
    rig.s(0, 100, "answer");
    rig.wait(2);
    rig.told(&["open 1", "<answer", ">gap 100"]);
    rig.c(100, 6, "next");
    rig.told(&[">next"]);
}

#[test]
fn a_hole_that_nobody_acknowledged_waits_longer_than_one_seen_from_one_side() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.s(0, 3, "ok");
    rig.c(6, 0, "ghi");
    rig.wait(29);
    rig.told(&["open 1", ">abc", "<ok"]);
    rig.c(3, 0, "def");
    rig.told(&[">def", ">ghi"]);

    let mut rig = Rig::new();
    rig.c(0, 0, "abc");
    rig.c(6, 0, "ghi");
    rig.wait(1);
    rig.told(&["open 1", ">abc"]);
    rig.wait(1);
    rig.told(&[">gap 3", ">ghi"]);
}

#[test]
fn holes_are_given_up_over_the_limits_and_nothing_is_lost_that_came() {
    let limits = Limits { held_per_direction: 2_000, ..Limits::default() };
    let total = Limits { held_total: 2_000, ..Limits::default() };
    for limits in [limits, total] {
        let mut rig = Rig::with(limits);
        rig.handshake();
        let text = "x".repeat(500);
        for i in 0..4 {
            rig.c(10 + i * 500, 0, &text);
            assert!(rig.table.held_bytes() <= 2_000);
        }
        rig.told(&[
            "open 1",
            ">gap 10",
            &format!(">{text}"),
            &format!(">{text}"),
            &format!(">{text}"),
            &format!(">{text}"),
        ]);
        let stats = rig.table.stats();
        assert_eq!(stats.holes_over_direction_limit + stats.holes_over_total_limit, 1);
    }
}

#[test]
fn a_flow_that_ends_gives_what_was_held_after_the_gap() {
    let mut rig = Rig::connected();
    rig.c(3, 0, "def");
    rig.c(9, 0, "jkl");
    rig.s(0, 20, "ok");
    rig.cf(12, ACK | FIN, "");
    assert_eq!(rig.finish(), ["open 1", "<ok", ">gap 3", ">def", ">gap 3", ">jkl", ">fin", "close end_of_input"]);
}

#[test]
fn a_held_piece_keeps_the_place_of_the_frame_that_brought_it() {
    let mut rig = Rig::connected();
    rig.c(3, 0, "def");
    rig.c(0, 0, "abc");
    assert_eq!(rig.log.places, [5, 4]);
}

#[test]
fn the_first_of_two_held_copies_wins_and_the_conflict_is_told_once() {
    let mut rig = Rig::connected();
    rig.c(3, 0, "def");
    rig.c(3, 0, "DEF");
    rig.c(4, 0, "XX");
    rig.c(0, 0, "abcd");
    rig.told(&["open 1", ">! overlap_conflict", ">abc", ">def"]);
    assert_eq!(rig.table.stats().overlap_conflicts, 2);
}

#[test]
fn delivered_bytes_win_over_a_later_copy() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.c(0, 0, "XYZd");
    rig.told(&["open 1", ">abc", ">! overlap_conflict", ">d"]);
}

#[test]
fn other_bytes_for_delivered_ones_show_until_they_are_acknowledged() {
    for (name, again, acked, want) in [
        ("the same", "abcdef", false, 0),
        ("others", "abXdef", false, 1),
        ("a part", "cX", false, 1),
        ("others that are acknowledged", "abXdef", true, 0),
    ] {
        let mut rig = Rig::connected();
        rig.c(0, 0, "abc");
        rig.c(3, 0, "def");
        if acked {
            rig.s(0, 6, "");
        }
        rig.c(if again.len() == 2 { 2 } else { 0 }, 0, again);
        let told = rig.log.lines.iter().filter(|l| l.ends_with("overlap_conflict")).count();
        assert_eq!((told, rig.table.stats().retransmitted_otherwise), (want, want as u64), "{name}");
    }
    // A decoy with a wrong checksum contradicts nobody.
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.sum = Sum::Wrong;
    rig.c(0, 0, "XYZ");
    rig.told(&["open 1", ">abc"]);
}

#[test]
fn data_on_a_syn_comes_behind_it() {
    let mut rig = Rig::new();
    rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"fast");
    rig.send(false, SERVER - 1, CLIENT.wrapping_add(4), SYN | ACK, b"");
    rig.c(4, 0, " open");
    rig.told(&["open 1", ">fast", "> open"]);
}

#[test]
fn keep_alives_and_urgent_data_change_nothing() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.c(2, 0, "");
    rig.c(2, 0, "\0");
    rig.cf(3, ACK | TcpHeader::URG, "def");
    rig.told(&["open 1", ">abc", ">! urgent_data", ">def"]);
    let stats = rig.table.stats();
    assert_eq!((stats.keep_alives, stats.retransmitted, stats.overlap_conflicts), (1, 0, 0));
}

#[test]
fn bytes_the_snaplen_cut_are_a_gap_at_once() {
    let mut rig = Rig::connected();
    rig.cut = 2;
    rig.c(5, 0, "fghij");
    rig.c(0, 0, "abcde");
    rig.cut = 0;
    rig.c(10, 0, "klm");
    rig.told(&["open 1", ">abc", ">gap 2", ">fgh", ">gap 2", ">klm"]);
}

#[test]
fn a_segment_larger_than_any_wire_is_one_piece() {
    let mut rig = Rig::connected();
    let text = "x".repeat(65_000);
    rig.c(0, 0, &text);
    rig.told(&["open 1", &format!(">{text}")]);
}

#[test]
fn a_flow_found_midstream_begins_with_the_first_segment_seen() {
    let mut rig = Rig::new();
    rig.s(500, 70, "answer");
    rig.c(70, 506, "ask");
    rig.s(490, 73, "before");
    rig.s(506, 73, " two");
    rig.told(&["open 1", "<answer", ">ask", "< two"]);
    rig.finish();
    let flow = rig.log.last.unwrap();
    assert!(flow.midstream);
    assert_eq!((flow.client, flow.server), (rig.client.into(), rig.server.into()), "port 80 is the server");
}

#[test]
fn after_bypass_nothing_more_is_delivered_but_the_end() {
    let mut rig = Rig::connected();
    rig.log.bypass_at = Some("opaque");
    rig.c(20, 0, "held");
    rig.c(0, 0, "opaque");
    rig.c(6, 0, "more");
    rig.s(0, 10, "more");
    rig.told(&["open 1", ">opaque"]);
    assert_eq!((rig.table.held_bytes(), rig.table.stats().bypassed_bytes), (0, 8));
    rig.cf(10, ACK | FIN, "");
    rig.sf(4, ACK | FIN, "");
    rig.told(&["close fin"]);
}

#[test]
fn data_out_of_window_is_dropped_until_the_receiver_takes_it() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    for i in 0..20 {
        rig.c((100 << 20) + i, 0, "x");
    }
    rig.c(3, 0, "def");
    rig.told(&["open 1", ">abc", ">def"]);
    assert_eq!(rig.table.stats().packets_out_of_window, 20);
    for i in 0..8 {
        rig.c((100 << 20) + i, 0, "x");
    }
    rig.s(0, (100 << 20) + 8, "");
    rig.told(&[&format!(">gap {}", (100 << 20) + 2)]);
    rig.c((100 << 20) + 8, 0, "again");
    rig.told(&[">again"]);
}

#[test]
fn one_sided_data_out_of_window_is_believed_after_some_segments() {
    let mut rig = Rig::new();
    rig.c(0, 0, "abc");
    for _ in 0..8 {
        rig.c(100 << 20, 0, "x");
    }
    rig.told(&["open 1", ">abc", &format!(">gap {}", (100 << 20) - 3), ">x"]);
}

#[test]
fn a_direction_taken_up_again_did_not_end_before() {
    let gap = format!(">gap {}", (100 << 20) - 13);
    let mut rig = Rig::new();
    rig.c(0, 0, "abc");
    rig.cf(6, ACK | FIN, "ghi");
    rig.c(11, 0, "kl");
    for _ in 0..8 {
        rig.c(100 << 20, 0, "x");
    }
    rig.told(&["open 1", ">abc", ">gap 3", ">ghi", ">gap 2", ">kl", &gap, ">x"]);

    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.cf(6, ACK | FIN, "ghi");
    for _ in 0..8 {
        rig.c(100 << 20, 0, "x");
    }
    rig.s(0, (100 << 20) + 1, "");
    rig.c((100 << 20) + 1, 0, "yz");
    rig.told(&["open 1", ">abc", ">gap 3", ">ghi", &format!(">gap {}", (100 << 20) - 8), ">yz"]);
}
