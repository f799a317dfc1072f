use super::*;
use crate::safe::width as columns_of;
use crate::samples;

fn meaning(id: &str) -> Option<String> {
    (id == "mcp.proof.initialize").then(|| "an `initialize` request with protocolVersion and capabilities".into())
}

fn drawn(records: &[Record], width: usize, colour: bool) -> String {
    let mut summary = Summary::default();
    for record in records {
        summary.add(record);
    }
    let mut out = Vec::new();
    summary.write(&mut out, &Look { width, colour, meaning: &meaning }).unwrap();
    String::from_utf8(out).unwrap()
}

fn a_few() -> Vec<Record> {
    let mut servers = vec![
        samples::server("mcp.corp.example", Classification::Portal, Confidence::Confirmed),
        samples::server("mcp.example.com", Classification::Shadow, Confidence::Confirmed),
        samples::server("maybe.example.net", Classification::Unknown, Confidence::Possible),
        samples::server("bad.example.org", Classification::Denied, Confidence::Possible),
        samples::server("likely.example.com", Classification::Shadow, Confidence::Likely),
    ];
    servers[1].mcp.tools_listed = (0..20).map(|n| format!("tool_number_{n}")).collect();
    servers[2].mcp.tools.clear();
    let mut stats = samples::stats("x");
    stats.servers =
        [("portal", 1), ("shadow", 2), ("unknown", 1), ("denied", 1)].map(|(k, n)| (k.to_owned(), n)).into();
    let mut records: Vec<Record> = servers.into_iter().map(|s| Record::Server(Box::new(s))).collect();
    records.push(Record::Stats(Box::new(stats)));
    records
}

#[test]
fn the_table_at_eighty_columns() {
    insta::assert_snapshot!(drawn(&a_few(), 80, false));
}

#[test]
fn the_table_at_a_hundred_and_sixty_columns() {
    insta::assert_snapshot!(drawn(&a_few(), 160, false));
}

#[test]
fn no_line_is_wider_than_asked_and_none_holds_what_a_terminal_acts_on() {
    let records = samples::all();
    for width in [80, 81, 100, 129, 130, 131, 160, 200] {
        let text = drawn(&records, width, false);
        for line in text.lines() {
            assert!(columns_of(line) <= width, "{width}: {line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let (plain, coloured) = (drawn(&a_few(), 80, false), drawn(&a_few(), 80, true));
    assert!(coloured.contains("\x1b[1;31mshadow\x1b[0m"));
    let stripped = ["\x1b[1;31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"].iter().fold(coloured, |t, e| t.replace(e, ""));
    assert_eq!(stripped, plain);
}

#[test]
fn denied_and_shadow_come_first_then_the_surest() {
    let text = drawn(&a_few(), 160, false);
    let at = |host: &str| text.find(host).unwrap();
    let order = ["bad.example.org", "mcp.example.com", "likely.example.com", "maybe.example.net", "mcp.corp.example"];
    assert!(order.windows(2).all(|w| at(w[0]) < at(w[1])), "{text}");
}

#[test]
fn only_the_last_word_on_a_server_is_a_row_and_rows_are_bounded() {
    let mut records = vec![];
    for n in 0..MAX_ROWS + 7 {
        let class = if n == 0 { Classification::Portal } else { Classification::Shadow };
        let mut server = samples::server(&format!("host{n}.example"), class, Confidence::Confirmed);
        records.push(Record::Server(Box::new(ServerRecord { change: Change::New, ..server.clone() })));
        server.change = Change::Seen;
        records.push(Record::Server(Box::new(server)));
    }
    records.push(Record::Stats(Box::new(samples::stats("x"))));
    let text = drawn(&records, 80, false);
    assert!(text.contains("7 servers left out of the table"), "{text}");
    assert!(!text.contains("host0.example"), "the least alarming one is left out");
    assert_eq!(text.matches("host1.example").count(), 1);
}

#[test]
fn nothing_found_is_said_plainly_with_what_could_not_be_seen() {
    let mut seen = Stats { packets: 10, bytes: 900, packets_analysed: 10, is_final: true, ..Stats::default() };
    let say = |stats: &Stats| drawn(&[Record::Stats(Box::new(stats.clone()))], 80, false);
    assert_eq!(say(&seen), "No MCP found.\nRead 10 packets (900 bytes) in 0 flows.\nAll of it could be looked into.\n");
    seen.uninspected_bytes = [("tls".into(), 57_412_000), ("quic".into(), 1_000)].into();
    seen.packets_dropped = [("cut_short".into(), 4)].into();
    let text = say(&seen);
    assert!(text.starts_with("No MCP found in what could be seen.\n"), "{text}");
    assert!(text.contains("Not looked into: 57 MB inside TLS, 1.0 kB inside QUIC.\n"), "{text}");
    assert!(text.contains("Not analysed: 4 packets (4 cut short).\n"), "{text}");
    assert!(say(&Stats { is_final: true, ..Stats::default() }).ends_with("There was nothing to look into.\n"));
}

#[test]
fn a_run_without_an_end_is_not_taken_for_an_empty_one() {
    assert!(drawn(&[], 80, false).contains("did not come to its end"));
}

#[test]
fn wrapping_loses_nothing_but_spaces() {
    for text in [
        "",
        "a",
        "one two three",
        "mcp.example.com:443/very/long/path_with-parts",
        "xxxxxxxxxxxxxxxxxxxxxxxx",
        "工具工具工具 工具工具",
    ] {
        for room in 2..30 {
            let lines = wrap(text, room);
            assert!(lines.iter().all(|l| columns_of(l) <= room && !l.is_empty()), "{room}: {lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}

fn live(summary: &Summary) -> String {
    let mut out = Vec::new();
    summary.write(&mut out, &Look { width: 160, colour: false, meaning: &meaning }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn while_live_a_server_has_one_row_with_what_is_known_at_last() {
    let mut summary = Summary::live();
    assert_eq!(live(&summary), "Nothing was read yet.\n");
    let mut server = samples::server("mcp.example.com", Classification::Unknown, Confidence::Possible);
    (server.change, server.clients, server.client_count) = (Change::New, vec!["10.1.2.3".into()], 1);
    summary.add(&Record::Server(Box::new(server.clone())));
    (server.classification, server.confidence) = (Classification::Shadow, Confidence::Confirmed);
    (server.change, server.clients, server.client_count) = (Change::Client, vec!["10.1.2.4".into()], 2);
    summary.add(&Record::Server(Box::new(server.clone())));
    summary.totals(Stats { is_final: false, ..samples::stats("x") });
    let text = live(&summary);
    assert_eq!(text.matches("mcp.example.com").count(), 1, "{text}");
    for known in ["shadow", "confirmed", "10.1.2.3", "10.1.2.4", "Read 12,345 packets"] {
        assert!(text.contains(known), "no {known} in {text}");
    }
    // Many more clients than have room.
    for n in 0..20 {
        (server.clients, server.client_count) = (vec![format!("10.9.9.{n}")], n + 3);
        summary.add(&Record::Server(Box::new(server.clone())));
    }
    assert!(live(&summary).contains("+18"), "{}", live(&summary));
}

#[test]
fn while_live_rows_are_bounded_and_the_rest_is_counted() {
    let mut summary = Summary::live();
    for _ in 0..2 {
        for n in 0..MAX_ROWS + 7 {
            let server = samples::server(&format!("s{n}.example.com"), Classification::Unknown, Confidence::Possible);
            summary.add(&Record::Server(Box::new(ServerRecord { change: Change::New, ..server })));
        }
    }
    let mut stats = samples::stats("x");
    stats.servers = [("unknown".to_owned(), MAX_ROWS as u64 + 7)].into();
    summary.add(&Record::Stats(Box::new(stats)));
    assert!(live(&summary).contains("7 servers left out of the table"), "{}", live(&summary));
}
