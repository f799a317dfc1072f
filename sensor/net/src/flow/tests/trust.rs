use super::*;

#[test]
fn a_single_wrong_checksum_is_a_decoy() {
    for (name, flags, text) in [("data", ACK, "bad"), ("fin", ACK | FIN, ""), ("rst", RST, "")] {
        let mut rig = Rig::connected();
        rig.sum = Sum::Wrong;
        rig.cf(0, flags, text);
        rig.sum = Sum::Right;
        rig.c(0, 0, "good");
        rig.told(&["open 1", ">good"]);
        rig.wait(20);
        rig.told(&[]);
        assert_eq!(rig.table.stats().packets_bad_checksum, 1, "{name}");
    }
}

#[test]
fn a_direction_without_one_right_checksum_is_trusted() {
    for sum in [Sum::Wrong, Sum::Partial] {
        let mut rig = Rig::new();
        rig.sum = sum;
        rig.handshake();
        for i in 0..20 {
            rig.c(i, 0, "x");
        }
        rig.sum = Sum::Right;
        rig.s(0, 20, "ok");
        assert_eq!(rig.log.lines.len(), 22, "{sum:?}");
        assert_eq!((rig.table.stats().packets_bad_checksum, rig.table.stats().offloaded_directions), (0, 1));
    }
}

#[test]
fn a_decoy_before_the_syn_is_put_right_by_the_syn() {
    let mut rig = Rig::new();
    rig.sum = Sum::Wrong;
    rig.send(true, 77, 0, SYN, b"");
    rig.sum = Sum::Right;
    rig.handshake();
    rig.c(0, 0, "abc");
    rig.told(&["open 1", ">abc"]);
}

#[test]
fn merged_segments_are_believed_where_the_other_direction_is_offloaded() {
    for (server_sum, want) in [(Sum::Partial, "<merged"), (Sum::Right, "<ok")] {
        // The capture runs on the client: what it sends has no checksum yet, what it gets may be merged.
        let mut rig = Rig::new();
        rig.sum = if server_sum == Sum::Partial { Sum::Partial } else { Sum::Right };
        rig.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
        rig.sum = Sum::Right;
        rig.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
        rig.s(0, 0, "ok");
        rig.sum = Sum::Partial;
        rig.s(2, 0, "merged");
        assert_eq!(rig.log.lines.last().unwrap(), want);
    }
}

#[test]
fn a_reset_out_of_place_is_ignored() {
    for at in [1 << 22, 0_u32.wrapping_sub(1 << 20)] {
        let mut rig = Rig::connected();
        rig.c(0, 0, "abc");
        rig.cf(at, RST, "");
        rig.wait(20);
        rig.c(3, 0, "def");
        rig.told(&["open 1", ">abc", ">def"]);
        assert_eq!(rig.table.stats().packets_bad_reset, 1);
    }
}

#[test]
fn a_reset_that_data_follows_was_a_decoy() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.cf(3, RST, "");
    rig.c(3, 0, "def");
    rig.wait(20);
    rig.told(&["open 1", ">abc", ">def"]);
    assert_eq!(rig.table.stats().resets_revoked, 1);
}

#[test]
fn a_fin_out_of_place_ends_nothing() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.s(0, 3, "");
    rig.cf(5, ACK | FIN, "");
    rig.c(3, 0, "defg");
    rig.wait(40);
    rig.c(7, 0, "hij");
    rig.told(&["open 1", ">abc", ">defg", ">hij"]);
}

#[test]
fn data_behind_a_fin_is_an_anomaly() {
    let mut rig = Rig::connected();
    rig.c(0, 0, "abc");
    rig.cf(3, ACK | FIN, "");
    rig.cf(3, ACK | FIN, "");
    rig.c(0, 0, "abc");
    rig.c(3, 0, "defg");
    rig.c(7, 0, "hij");
    rig.told(&["open 1", ">abc", ">fin", ">! data_after_fin"]);
    assert_eq!(rig.table.stats().after_fin_bytes, 7);
}

#[test]
fn bytes_held_behind_a_fin_are_dropped_aloud() {
    let mut rig = Rig::connected();
    rig.c(5, 0, "fghij");
    rig.cf(0, ACK | FIN, "abc");
    rig.told(&["open 1", ">abc", ">fin", ">! data_after_fin"]);
    assert_eq!((rig.table.stats().after_fin_bytes, rig.table.held_bytes()), (5, 0));

    // A segment that reaches beyond a FIN which is known already.
    let mut rig = Rig::connected();
    rig.c(2, 0, "cd");
    rig.cf(4, ACK | FIN, "");
    rig.c(0, 0, "abcdefg");
    rig.told(&["open 1", ">ab", ">cd", ">fin", ">! data_after_fin"]);
    assert_eq!(rig.table.stats().after_fin_bytes, 3);
}
