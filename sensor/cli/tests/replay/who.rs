//! Who the clients are: names from leases, name servers and the configuration, MAC addresses, and clients behind proxies.

use crate::support::Run;
use detect::{RawNamed, RawNames, RawNetworks, RawScope};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Direction::{ToClient, ToServer};
use testkit::dhcp::{self, kind};
use testkit::{Capture, Rng, Wire, http};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"k"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}"#;
const MAC: [u8; 6] = [2, 0x16, 0x3e, 1, 2, 3];
const HOUR: [u8; 4] = [0, 0, 14, 16];

/// One call and its answer from `client` (an address) with these header fields.
fn call_with(capture: &mut Capture, client: &str, wire: Wire, fields: &str) {
    let client = if client.contains(':') { format!("[{client}]:40000") } else { format!("{client}:40000") };
    let server = if client.starts_with('[') { "[2001:db8:9::9]:8000" } else { "10.2.2.2:8000" };
    let turns =
        [(ToServer, http::post("notes.corp.example", "/mcp", fields, CALL)), (ToClient, http::json("", RESULT))];
    capture.play(&client, server, wire, &turns);
}

fn call(capture: &mut Capture, client: &str) {
    call_with(capture, client, Wire::default(), "");
}

/// A call that came over a router.
fn call_routed(capture: &mut Capture, client: &str) {
    let wire = Wire { client_mac: Some([2, 0, 0, 0, 0xff, 1]), client_ttl: 63, ..Wire::default() };
    call_with(capture, client, wire, "");
}

/// Request and answer of DHCP, the name in the request.
fn lease(capture: &mut Capture, transaction: u32, mac: [u8; 6], address: &str, name: &str, seconds: [u8; 4]) {
    let asks = dhcp::v4(kind::REQUEST, transaction, mac, None, &[(12, name.as_bytes())]);
    capture.datagram("0.0.0.0:68", "255.255.255.255:67", &asks);
    let gives = dhcp::v4(kind::ACK, transaction, mac, Some(address), &[(51, &seconds)]);
    capture.datagram("10.1.0.1:67", &format!("{address}:68"), &gives);
}

/// An answer of a name server, with one record of `kind` that holds `data`.
fn answer(capture: &mut Capture, name: &str, kind: u8, data: &[u8]) {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend(dhcp::labels(name, true));
    message.extend([0, kind, 0, 1, 0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 44, 0, data.len() as u8]);
    message.extend(data);
    capture.datagram("10.1.0.53:53", "10.1.0.9:5353", &message);
}

fn pointer(capture: &mut Capture, reverse: &str, name: &str) {
    answer(capture, reverse, 12, &dhcp::labels(name, true));
}

/// A scope whose own domain is `corp.example`, with these entries.
fn scope(map: Vec<RawNamed>) -> RawScope {
    let names = RawNames { domains: vec!["corp.example".to_owned()], map };
    let trusted_proxies = vec!["10.1.8.0/24".to_owned()];
    RawScope { names, networks: RawNetworks { trusted_proxies, ..Default::default() }, ..Default::default() }
}

/// The same with one thread and four.
#[track_caller]
fn run(capture: &Capture, scope: &RawScope, session_every: Option<Duration>) -> Run {
    let run = Run::configured(&capture.pcap(), scope, session_every, 1);
    assert_eq!(run.lines, Run::configured(&capture.pcap(), scope, session_every, 4).lines, "with four threads");
    run
}

/// Client name, where from, and MAC address of each detection.
fn clients(run: &Run) -> Vec<[Value; 3]> {
    let of = |detection: &&Value| ["name", "name_from", "mac"].map(|key| detection["flow"]["client"][key].clone());
    run.of_type("detection").iter().map(of).collect()
}

#[test]
fn a_lease_names_its_client_for_as_long_as_it_lasts() {
    let mut capture = Capture::new();
    call_routed(&mut capture, "10.1.2.3");
    lease(&mut capture, 7, MAC, "10.1.2.3", "Ana-Laptop", HOUR);
    call_routed(&mut capture, "10.1.2.3");
    // An answer that names nobody keeps the name; another client is another.
    let renewed = dhcp::v4(kind::ACK, 8, MAC, Some("10.1.2.3"), &[(51, &HOUR)]);
    capture.datagram("10.1.0.1:67", "10.1.2.3:68", &renewed);
    call_routed(&mut capture, "10.1.2.3");
    call_routed(&mut capture, "10.1.2.4");
    // Only who has it can give it up.
    for mac in [[2; 6], MAC] {
        let release = dhcp::v4(kind::RELEASE, 9, mac, Some("10.1.2.3"), &[]);
        capture.datagram("10.1.2.3:68", "10.1.0.1:67", &release);
        call_routed(&mut capture, "10.1.2.3");
    }
    lease(&mut capture, 10, MAC, "10.1.2.3", "ana-laptop", HOUR);
    capture.wait(3_590_000_000);
    call_routed(&mut capture, "10.1.2.3");
    capture.wait(20_000_000);
    call_routed(&mut capture, "10.1.2.3");
    let run = run(&capture, &RawScope::default(), None);
    let ana = || [json!("ana-laptop"), json!("dhcp"), json!("02:16:3e:01:02:03")];
    let nobody = || [Value::Null, Value::Null, Value::Null];
    let want = [nobody(), ana(), ana(), nobody(), ana(), nobody(), ana(), nobody()];
    assert_eq!(clients(&run), want);
    assert_eq!(run.stats()["messages"]["dhcp_messages"], 7);
    let server = run.servers()[0];
    assert_eq!(server["client_names"], json!({"10.1.2.3": "ana-laptop"}));
    let sessions = run.of_type("session");
    let named = sessions.iter().filter(|s| s["client_name"] == "ana-laptop" && s["client_name_from"] == "dhcp");
    assert!(named.count() > 0, "{sessions:?}");
}

#[test]
fn leases_of_version_6_name_their_clients_too() {
    let mut capture = Capture::new();
    let asks = dhcp::v6(3, 9, &[dhcp::duid(MAC), dhcp::fqdn6("Ana.corp.example", true)]);
    let relayed = dhcp::relayed(&asks, Some(MAC));
    capture.datagram("[fe80::1]:546", "[ff02::1:2]:547", &asks);
    capture.datagram("[2001:db8::1]:547", "[2001:db8::53]:547", &relayed);
    capture.datagram(
        "[fe80::2]:547",
        "[fe80::1]:546",
        &dhcp::v6(7, 9, &[dhcp::duid(MAC), dhcp::ia_na("2001:db8::17", 60)]),
    );
    call_with(&mut capture, "2001:db8::17", Wire { client_ttl: 60, ..Wire::default() }, "");
    capture.wait(61_000_000);
    call_with(&mut capture, "2001:db8::17", Wire { client_ttl: 60, ..Wire::default() }, "");
    let run = run(&capture, &RawScope::default(), None);
    let want = [[json!("ana.corp.example"), json!("dhcp"), Value::Null], [Value::Null, Value::Null, Value::Null]];
    assert_eq!(clients(&run), want);
}

/// Puts one thing that names a client into a capture.
type Build = fn(&mut Capture);

#[test]
fn the_configuration_goes_before_leases_and_those_before_name_servers() {
    let reverse = "3.2.1.10.in-addr.arpa";
    let entry = |address: &str| RawNamed {
        address: Some(address.to_owned()),
        name: Some("desk-3".to_owned()),
        user: Some("ana".to_owned()),
        ..RawNamed::default()
    };
    let forward: Build = |capture| answer(capture, "host3.corp.example", 1, &[10, 1, 2, 3]);
    let foreign: Build = |capture| answer(capture, "host3.example.net", 1, &[10, 1, 2, 3]);
    let back: Build = |capture| pointer(capture, "3.2.1.10.in-addr.arpa", "Ptr3.corp.example");
    let leased: Build = |capture| lease(capture, 7, MAC, "10.1.2.3", "leased3", HOUR);
    for (case, builds, map, want) in [
        ("nothing", &[][..], None, None),
        ("a name in a domain of ours", &[forward][..], None, Some(("host3.corp.example", "dns"))),
        ("a name elsewhere", &[foreign], None, None),
        ("a name for the address", &[back, forward], None, Some(("ptr3.corp.example", "dns"))),
        ("a lease", &[back, leased, forward], None, Some(("leased3", "dhcp"))),
        ("the configuration", &[back, leased], Some("10.1.2.3"), Some(("desk-3", "map"))),
        ("the configuration, of another", &[back], Some("10.1.2.4"), Some(("ptr3.corp.example", "dns"))),
    ] {
        let mut capture = Capture::new();
        for build in builds {
            build(&mut capture);
        }
        call_routed(&mut capture, "10.1.2.3");
        let run = run(&capture, &scope(map.into_iter().map(entry).collect()), None);
        let (name, from) = want.unzip();
        let [got, got_from, _] = clients(&run)[0].clone();
        assert_eq!((got.as_str(), got_from.as_str()), (name, from), "{case} ({reverse})");
        let user = run.of_type("detection")[0]["user"].clone();
        let want = if map == Some("10.1.2.3") { json!({"name": "ana", "from": "map"}) } else { Value::Null };
        assert_eq!(user, want, "{case}");
    }
}

#[test]
fn names_of_addresses_that_are_not_ours_are_not_kept() {
    let mut capture = Capture::new();
    pointer(&mut capture, "7.113.0.203.in-addr.arpa", "host7.example.net");
    call_routed(&mut capture, "203.0.113.7");
    assert_eq!(clients(&run(&capture, &RawScope::default(), None)), [[Value::Null, Value::Null, Value::Null]]);
}

#[test]
fn a_name_stays_for_a_day_after_the_answer() {
    let mut capture = Capture::new();
    pointer(&mut capture, "3.2.1.10.in-addr.arpa", "ana.corp.example");
    capture.wait(86_000_000_000);
    call_routed(&mut capture, "10.1.2.3");
    capture.wait(1_000_000_000);
    call_routed(&mut capture, "10.1.2.3");
    let names: Vec<_> =
        clients(&run(&capture, &RawScope::default(), None)).into_iter().map(|[name, ..]| name).collect();
    assert_eq!(names, [json!("ana.corp.example"), Value::Null]);
}

#[test]
fn the_mac_address_of_a_router_is_not_told() {
    let own = Wire { client_mac: Some(MAC), ..Wire::default() };
    let at = |ttl: u8| Wire { client_ttl: ttl, ..own.clone() };
    for (ttl, told) in
        [(64, true), (128, true), (255, true), (63, false), (127, false), (254, false), (32, false), (1, false)]
    {
        let mut capture = Capture::new();
        call_with(&mut capture, "10.1.2.3", at(ttl), "");
        let want = if told { json!("02:16:3e:01:02:03") } else { Value::Null };
        assert_eq!(clients(&run(&capture, &RawScope::default(), None))[0][2], want, "{ttl}");
    }
    // One that does not count down shows by sending for too many.
    let mut capture = Capture::new();
    for client in ["10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.3"] {
        call_with(&mut capture, client, own.clone(), "");
    }
    // A day later it may be another host's.
    capture.wait(90_000_000_000);
    call_with(&mut capture, "10.1.2.3", own.clone(), "");
    let told: Vec<_> = clients(&run(&capture, &RawScope::default(), None)).iter().map(|c| c[2].is_string()).collect();
    assert_eq!(told, [true, true, false, false, true]);
    // Nor is one that nobody has.
    for mac in [[0; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut capture = Capture::new();
        call_with(&mut capture, "10.1.2.3", Wire { client_mac: Some(mac), ..Wire::default() }, "");
        assert_eq!(clients(&run(&capture, &RawScope::default(), None))[0][2], Value::Null, "{mac:?}");
    }
}

#[test]
fn a_mac_address_may_stand_in_the_configuration() {
    let entry =
        RawNamed { mac: Some("02:16:3E:01:02:03".to_owned()), name: Some("laptop".to_owned()), ..Default::default() };
    let mut capture = Capture::new();
    call_with(&mut capture, "10.1.2.3", Wire { client_mac: Some(MAC), ..Wire::default() }, "");
    call_with(&mut capture, "10.1.2.4", Wire { client_mac: Some(MAC), client_ttl: 63, ..Wire::default() }, "");
    let got = clients(&run(&capture, &scope(vec![entry]), None));
    assert_eq!((&got[0][0], &got[1][0]), (&json!("laptop"), &Value::Null));
}

#[test]
fn ten_clients_behind_one_trusted_proxy_are_ten() {
    let through = |proxy: &str| {
        let mut capture = Capture::new();
        for n in 0..10 {
            call_with(&mut capture, proxy, Wire::default(), &format!("X-Forwarded-For: 10.7.0.{n}\n"));
        }
        run(&capture, &scope(vec![]), None)
    };
    let trusted = through("10.1.8.2");
    let server = trusted.servers()[0];
    assert_eq!((server["client_count"].as_u64(), server["clients"][3].as_str()), (Some(10), Some("10.7.0.3")));
    assert_eq!(trusted.of_type("session").len(), 10);
    assert_eq!(trusted.of_type("session")[0]["client_ip"], "10.7.0.0");
    let first = &trusted.of_type("detection")[0]["flow"]["client"];
    assert_eq!((&first["ip"], &first["forwarded_for"]), (&json!("10.1.8.2"), &json!("10.7.0.0")));
    // Whoever is not trusted speaks for itself.
    let other = through("10.1.9.2");
    assert_eq!((&other.servers()[0]["client_count"], other.of_type("session").len()), (&json!(1), 1));
    assert!(!other.lines.concat().contains("10.7.0."), "the word of somebody who is not trusted");
}

#[test]
fn what_is_known_of_a_client_behind_a_proxy_is_told_of_it_and_not_of_the_proxy() {
    let mut capture = Capture::new();
    lease(&mut capture, 7, MAC, "10.7.0.3", "ana-laptop", HOUR);
    lease(&mut capture, 8, [2; 6], "10.1.8.2", "proxy-2", HOUR);
    for fields in [
        "Forwarded: for=10.7.0.3;proto=https;by=\"_inside\"\n",
        "X-Forwarded-For: 6.6.6.6, 10.7.0.3, 10.1.8.7\n",
        "Forwarded: for=10.7.0.3\nX-Forwarded-For: 10.7.0.3\n",
        // Hidden, broken, or of two minds: then the proxy is all that is known.
        "Forwarded: for=_hidden\n",
        "X-Forwarded-For: 10.7.0.3, unknown\n",
        "X-Forwarded-For: ana@corp.example\n",
        "Forwarded: for=10.7.0.9\nX-Forwarded-For: 10.7.0.3\n",
        "",
    ] {
        call_with(&mut capture, "10.1.8.2", Wire::default(), fields);
    }
    let run = run(&capture, &scope(vec![]), None);
    let behind = [json!("10.7.0.3"), json!("ana-laptop"), json!("02:02:02:02:02:02")];
    let proxy = [Value::Null, json!("proxy-2"), json!("02:02:02:02:02:02")];
    let got: Vec<_> = run
        .of_type("detection")
        .iter()
        .map(|d| ["forwarded_for", "name", "mac"].map(|key| d["flow"]["client"][key].clone()))
        .collect();
    assert_eq!(got[..3], vec![behind; 3][..]);
    assert_eq!(got[3..], vec![proxy; 5][..]);
    assert_eq!(run.stats()["messages"]["forwarded_for_hidden"], 4);
}

#[test]
fn nothing_but_addresses_comes_out_of_forwarded_fields() {
    let mut rng = Rng::new(5);
    let mut tokens = Vec::new();
    let mut capture = Capture::new();
    for field in [
        "Forwarded: for=_{}",
        "Forwarded: for=10.7.0.3;host={};{}=x",
        "X-Forwarded-For: {}, 10.7.0.3",
        "X-Forwarded-For: 10.7.0.3:{}",
    ] {
        let mut text = field.to_owned();
        while text.contains("{}") {
            let token = rng.word(24);
            text = text.replacen("{}", &token, 1);
            tokens.push(token);
        }
        for peer in ["10.1.8.2", "10.1.9.2"] {
            call_with(&mut capture, peer, Wire::default(), &format!("{text}\n"));
        }
    }
    let lines = run(&capture, &scope(vec![]), None).lines.concat();
    assert!(tokens.len() == 5 && lines.contains("forwarded_for"));
    assert!(tokens.iter().all(|token| !lines.contains(token.as_str())), "{tokens:?}");
}

#[test]
fn a_conversation_that_lasts_is_told_of_once_in_each_period_with_news() {
    let mut capture = Capture::new();
    let minute = 60_000_000;
    // A call a minute for 25 minutes, then none for 20, then one more.
    for n in 0..26 {
        if n > 0 {
            capture.wait(if n == 25 { 20 * minute } else { minute });
        }
        call(&mut capture, "10.1.2.3");
    }
    capture.wait(minute);
    call(&mut capture, "10.9.9.9");
    let every = Some(Duration::from_mins(10));
    let told = run(&capture, &RawScope::default(), every);
    let of_it = |run: &Run| -> Vec<Value> {
        run.of_type("session").into_iter().filter(|s| s["client_ip"] == "10.1.2.3").cloned().collect()
    };
    let sessions = of_it(&told);
    let ongoing: Vec<_> = sessions.iter().map(|s| s["ongoing"].as_bool()).collect();
    assert_eq!(ongoing, [Some(true), Some(true), Some(true), None], "{sessions:?}");
    assert!(sessions.iter().all(|s| s["id"] == sessions[0]["id"]), "one id");
    let counts: Vec<_> = sessions.iter().filter_map(|s| s["detections"].as_u64()).collect();
    // The third waits for a packet to tell the time; what came with that has ten minutes more.
    assert_eq!(counts, [10, 20, 25, 26]);
    // Beside that nothing changes.
    let once = run(&capture, &RawScope::default(), None);
    assert_eq!(of_it(&once), sessions[3..]);
    let rest = |run: &Run| -> Vec<Value> {
        run.of_type("detection").into_iter().chain(run.of_type("server")).cloned().collect()
    };
    assert_eq!(rest(&told), rest(&once));
}
