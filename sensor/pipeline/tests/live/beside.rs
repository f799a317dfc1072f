//! What comes from beside the packets: a proxy's observations and totals.

use crate::feed::{OPEN, Run, at, calls, settings, tools};
use correlate::Record;
use correlate::record::ProxyStats;
use detect::{FlowFacts, Observation, Order, ProxyFacts, ProxyNews, What};
use net::{Place, Transport};
use pipeline::{Feed, MAX_FED, Outside, Settings};
use std::sync::Arc;

/// A client of listener 1 refused our certificate for `host`.
fn refused(host: &str, us: u64) -> Observation {
    let flow = FlowFacts {
        client: "10.1.2.3:50000".parse().unwrap(),
        server: "203.0.113.9:443".parse().unwrap(),
        sender: None,
        vlan: [None; 2],
        tunnel: Vec::new(),
        opened: Place { file: 1, number: 1 << 63, in_file: 0 },
        midstream: false,
        transport: Transport::Tcp,
        inside: None,
        proxy: Some(Box::new(ProxyFacts::default())),
    };
    let what = What::Proxy(Box::new(ProxyNews::CaRefused { host: host.to_owned() }));
    let (order, place, flow) = (Order::default(), flow.opened, Arc::new(flow));
    Observation { order, ts: at(us), place, flow, missed: 0, what }
}

#[test]
fn what_a_proxy_sees_and_counts_is_told_with_the_packets() {
    for threads in [1, 3] {
        let settings = Settings { proxies: vec!["agents".to_owned()], ..settings(threads) };
        let mut run = Run::start(&settings, &OPEN, 2);
        run.control.set_outside(|| Outside {
            proxy: Some(ProxyStats { connections: 7, ..ProxyStats::default() }),
            inspected: detect::Stats { sse_events: 5, ..detect::Stats::default() },
        });
        // Before the first packet nothing can be told: the first line is that of the run.
        run.control.feed().give(refused("early.example", 1)).unwrap();
        run.frames(&calls(3));
        let first = run.wait_for(|record| matches!(record, Record::Run(_)));
        let Record::Run(first) = first else { unreachable!() };
        let sources: Vec<_> = first.sources.iter().map(|s| (s.kind.as_str(), s.name.as_str())).collect();
        assert_eq!(sources, [("interface", "tap0"), ("proxy", "agents")]);
        let told = |host: &'static str| move |record: &Record| matches!(record, Record::Notice(notice) if notice.message.contains(host));
        run.wait_for(told("early.example"));
        run.control.feed().give(refused("late.example", 2)).unwrap();
        run.until(90_000_000);
        run.wait_for(told("late.example"));
        run.control.feed().give(refused("last.example", 3)).unwrap();
        let ended = run.end();
        assert!(ended.records.iter().any(told("last.example")), "what waits at the end is told, too");
        assert_eq!(ended.tools(), tools(0..3));
        let stats = ended.stats();
        assert_eq!(stats.proxy.as_ref().map(|proxy| proxy.connections), Some(7));
        assert_eq!(stats.messages.get("sse_events"), Some(&5));
    }
}

#[test]
fn the_way_in_is_bounded_and_what_finds_no_room_is_counted() {
    let feed = Feed::default();
    let taken = (0..=MAX_FED).take_while(|n| feed.give(refused("a.example", *n as u64)).is_ok()).count();
    assert_eq!((taken, feed.waiting(), feed.dropped()), (MAX_FED / 8 * 7, taken, 1));
}
