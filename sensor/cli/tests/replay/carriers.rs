//! Whatever carries a conversation, and however its packets are cut, the same is found in it.

use crate::support::{Run, fixtures, said, scripted};
use serde_json::{Value, json};
use testkit::carrier::{Carrier, fragments};
use testkit::{Capture, Rng, Wire};

const V4: (&str, &str) = ("10.1.1.1:40001", "10.2.2.2:8000");
const V6: (&str, &str) = ("[fd00:1::1]:40001", "[fd00:2::2]:8000");

/// All scripted conversations, one after another.
fn bare((client, server): (&str, &str)) -> Capture {
    let mut capture = Capture::new();
    for (n, (_, turns)) in (1_u16..).zip(scripted()) {
        let client = client.replace("40001", &(40_000 + n).to_string());
        capture.play(&client, server, Wire::cut(1200), &turns);
    }
    capture
}

fn carried(capture: &Capture, carriers: &[Carrier]) -> Capture {
    capture.rewritten(|_, frame| vec![carriers.iter().rev().fold(frame.to_vec(), |frame, c| c.carry(&frame))])
}

#[track_caller]
fn same(name: &str, got: &Run, want: &Run) {
    let also = ["tunnel", "mac", "vlan"];
    let (got, want) = (said(got, &also), said(want, &also));
    assert!(want.len() > 5, "{name}: nothing to compare");
    assert_eq!(got, want, "{name}");
}

fn adds_up(run: &Run) {
    let stats = run.stats();
    let (packets, analysed) = (stats["packets"].as_u64().unwrap(), stats["packets_analysed"].as_u64().unwrap());
    assert_eq!(packets, analysed + run.total("packets_dropped"), "{stats}");
}

fn tunnels(run: &Run) -> Vec<Value> {
    let mut all: Vec<_> = run.of_type("detection").iter().map(|d| d["flow"]["tunnel"].clone()).collect();
    all.dedup();
    all
}

#[test]
fn every_carrier_gives_the_detections_of_the_bare_capture() {
    for (version, ends) in [(4, V4), (6, V6)] {
        let capture = bare(ends);
        let want = Run::of(&capture.pcap());
        for carrier in Carrier::ALL.into_iter().chain([Carrier::InIpv4, Carrier::InIpv6]) {
            let name = format!("{carrier:?} of IPv{version}");
            let run = Run::of(&carried(&capture, &[carrier]).pcap());
            same(&name, &run, &want);
            adds_up(&run);
            let word = carrier.word(version == 6);
            assert_eq!(tunnels(&run), [word.map_or(Value::Null, |word| json!([word]))], "{name}");
        }
    }
}

#[test]
fn tunnels_in_tunnels_are_opened_to_a_limit_and_counted_beyond_it() {
    let capture = bare(V4);
    let want = Run::of(&capture.pcap());
    let nested = [Carrier::QinQ, Carrier::Vxlan(1), Carrier::GreBridged(2), Carrier::Mpls, Carrier::InIpv6];
    let run = Run::of(&carried(&capture, &nested[1..]).pcap());
    same("four", &run, &want);
    assert_eq!(tunnels(&run), [json!(["vxlan:1", "gre:2", "mpls", "4in6"])]);
    same("and tags", &Run::of(&carried(&capture, &nested).pcap()), &want);
    let deep = vec![Carrier::InIpv4; net::MAX_TUNNELS];
    same("at the limit", &Run::of(&carried(&capture, &deep).pcap()), &want);
    let deeper = vec![Carrier::InIpv4; net::MAX_TUNNELS + 1];
    let run = Run::of(&carried(&capture, &deeper).pcap());
    assert_eq!(run.of_type("detection").len(), 0);
    let stats = run.stats();
    assert_eq!(stats["packets_dropped"]["tunnel_depth"], stats["packets"]);
    assert!(stats["uninspected_bytes"]["tunnel_depth"].as_u64() > Some(0));
}

#[test]
fn the_same_addresses_in_different_tunnels_are_different_flows() {
    // Two conversations on the same ports at the same time, with other bytes under the same numbers.
    let conversations = scripted();
    let play = |n: usize| {
        let mut capture = Capture::new();
        capture.play(V4.0, V4.1, Wire { first: Some(1000), seed: 5, ..Wire::cut(300) }, &conversations[n].1);
        capture
    };
    let (a, b) = (play(0), play(1));
    let (alone_a, alone_b) = (Run::of(&a.pcap()), Run::of(&b.pcap()));
    let count =
        |run: &Run, tunnel: &Value| run.of_type("detection").iter().filter(|d| d["flow"]["tunnel"] == *tunnel).count();
    for [left, right] in [
        [vec![Carrier::Vxlan(1)], vec![Carrier::Vxlan(2)]],
        [vec![Carrier::Gre(Some(1))], vec![Carrier::Gre(Some(2))]],
        [vec![Carrier::Erspan2(1)], vec![Carrier::Erspan3(2, false)]],
        [vec![Carrier::Geneve(1, 0)], vec![Carrier::Vxlan(1)]],
        [vec![Carrier::Pppoe(1)], vec![]],
        [vec![Carrier::InIpv4, Carrier::Vxlan(1)], vec![Carrier::Vxlan(1)]],
    ] {
        let mut both = carried(&a, &left);
        both.merge(&carried(&b, &right));
        let run = Run::of(&both.pcap());
        let words = |carriers: &[Carrier]| match carriers {
            [] => Value::Null,
            all => all.iter().map(|c| json!(c.word(false))).collect(),
        };
        assert_eq!(count(&run, &words(&left)), alone_a.of_type("detection").len(), "{left:?} {right:?}");
        assert_eq!(count(&run, &words(&right)), alone_b.of_type("detection").len(), "{left:?} {right:?}");
        assert_eq!(run.total("notices"), 0, "{:?}", run.of_type("notice"));
    }
}

/// Every packet in fragments; shuffled, and some of them twice, where `seed` is not 0.
fn cut(capture: &Capture, size: usize, seed: u64) -> Capture {
    let mut rng = Rng::new(seed);
    capture.rewritten(|n, frame| {
        let mut parts = fragments(frame, size, n as u32);
        if seed != 0 {
            let again = parts[rng.below(parts.len())].clone();
            if parts.len() > 1 {
                parts.push(again);
            }
            rng.shuffle(&mut parts);
        }
        parts
    })
}

#[test]
fn fragments_give_the_detections_of_the_whole_packets() {
    for ends in [V4, V6] {
        let capture = bare(ends);
        let want = Run::of(&capture.pcap());
        for size in [8, 24, 504, 1208] {
            for seed in [0, 1, 2] {
                let run = Run::of(&cut(&capture, size, seed).pcap());
                same(&format!("{size} {seed}"), &run, &want);
                adds_up(&run);
                assert_eq!(run.total("packets_dropped"), 0, "{}", run.stats());
                assert_eq!(run.total("notices"), 0);
            }
        }
    }
}

#[test]
fn fragments_of_tunnels_and_tunnels_of_fragments_give_the_same() {
    let capture = bare(V4);
    let want = Run::of(&capture.pcap());
    for carrier in [Carrier::Vxlan(9), Carrier::Gre(Some(1)), Carrier::InIpv4, Carrier::Geneve(3, 2)] {
        let outside = cut(&carried(&capture, &[carrier]), 256, 0);
        same("the tunnel is cut", &Run::of(&outside.pcap()), &want);
        let inside = carried(&cut(&capture, 256, 3), &[carrier]);
        same("the tunnel carries parts", &Run::of(&inside.pcap()), &want);
        let both = cut(&inside, 64, 0);
        let run = Run::of(&both.pcap());
        same("both", &run, &want);
        assert_eq!(tunnels(&run), [json!([carrier.word(false)])]);
        adds_up(&run);
    }
}

#[test]
fn real_captures_give_what_their_bare_siblings_give() {
    let run = |name: &str| {
        let path = fixtures("captures", "pcap").into_iter().find(|p| p.ends_with(name)).unwrap();
        Run::of(&std::fs::read(path).unwrap())
    };
    let (odd_path, resume) = (run("d03_py1124_json_oddpath.pcap"), run("d07_ts1322_resume.pcap"));
    for (name, want) in [("v01_vlan.pcap", &odd_path), ("v02_vxlan.pcap", &odd_path), ("v06_ipfrag.pcap", &resume)] {
        let got = run(name);
        same(name, &got, want);
        adds_up(&got);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let capture = bare(V4);
    let mut all = cut(&carried(&capture, &[Carrier::Vxlan(1)]), 128, 4);
    for n in 0..40 {
        all.merge(&carried(&bare(V6), &[Carrier::Vxlan(1000 + n)]));
    }
    let pcap = all.pcap();
    let want = Run::of(&pcap);
    for threads in [2, 4] {
        assert!(Run::threads(&pcap, threads).lines == want.lines, "{threads} threads");
    }
}

#[test]
fn packets_that_were_cut_inside_a_tunnel_are_read_as_far_as_they_go() {
    let mut capture = Capture::new();
    capture.play(V4.0, V4.1, Wire::cut(400), &scripted()[0].1);
    let want = Run::of(&capture.pcap());
    // The snaplen leaves room for all but the tail of full segments.
    let snapped = |outer: usize| {
        let mut all = Capture::new();
        all.snaplen(300 + outer);
        all.play(V4.0, V4.1, Wire::cut(400), &scripted()[0].1);
        all
    };
    let bare = Run::of(&snapped(0).pcap());
    let run = Run::of(&carried(&snapped(50), &[Carrier::Vxlan(1)]).pcap());
    same("snaplen", &run, &bare);
    assert!(run.of_type("detection").len() <= want.of_type("detection").len());
}

#[test]
fn a_flood_of_fragments_stays_within_its_limit_and_is_counted() {
    let mut capture = Capture::new();
    let flow = capture.flow("10.9.9.9:1000", "10.9.9.8:80", Wire { midstream: true, ..Wire::default() });
    capture.send(flow, testkit::Direction::ToServer, &[b'x'; 400]);
    let first = fragments(&capture.frames()[0].1, 200, 0).remove(0);
    let mut flood = Capture::new();
    for n in 0..30_000_u32 {
        let mut part = first.clone();
        part[26..30].copy_from_slice(&(0x0b00_0000 + n).to_be_bytes());
        flood.frame(part);
    }
    flood.merge(&cut(&bare(V4), 64, 1));
    let run = Run::of(&flood.pcap());
    adds_up(&run);
    let limits = &run.stats()["limits"];
    assert!(limits["fragments"].as_u64() > Some(10_000), "{limits}");
    assert_eq!(run.stats()["packets_dropped"]["fragment"], 30_000);
    same("flood", &run, &Run::of(&bare(V4).pcap()));
}

#[test]
fn a_flood_of_tunnels_costs_no_flow_its_name() {
    let mut capture = Capture::new();
    for vni in 0..40_000 {
        capture.frame(testkit::carrier::vxlan_frame(vni));
    }
    capture.merge(&carried(&bare(V4), &[Carrier::Vxlan(50_000)]));
    let run = Run::of(&capture.pcap());
    assert_eq!(tunnels(&run), [json!(["vxlan:50000"])]);
    assert!(run.stats()["limits"]["tunnel_names"].as_u64() > Some(0), "{}", run.stats()["limits"]);
    same("flood", &run, &Run::of(&bare(V4).pcap()));
}
