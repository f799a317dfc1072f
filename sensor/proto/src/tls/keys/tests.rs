use super::{KeyLog, KeyStore, LogStats, MAX_LINE, SessionKeys};
use crate::tls::keys::Label;
use proptest::prelude::*;

const RANDOM: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

fn random() -> [u8; 32] {
    let half = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let mut all = [0; 32];
    all[..16].copy_from_slice(&half);
    all[16..].copy_from_slice(&half);
    all
}

fn read(text: &[u8]) -> (LogStats, KeyStore) {
    let (mut log, mut store) = (KeyLog::new(), KeyStore::default());
    log.feed(text, 0, &mut store);
    log.finish(0, &mut store);
    (*log.stats(), store)
}

fn known(store: &KeyStore, now: u64, label: Label) -> Option<Vec<u8>> {
    let mut keys = SessionKeys::default();
    store.fill(&random(), now, &mut keys);
    keys.get(label).map(|secret| secret.bytes().to_vec())
}

fn hex(byte: u8, len: usize) -> String {
    format!("{byte:02x}").repeat(len)
}

#[test]
fn each_label_goes_to_its_secret() {
    for (name, label, len) in [
        ("CLIENT_RANDOM", Label::Master, 48),
        ("CLIENT_EARLY_TRAFFIC_SECRET", Label::ClientEarly, 32),
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", Label::ClientHandshake, 48),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", Label::ServerHandshake, 48),
        ("CLIENT_TRAFFIC_SECRET_0", Label::ClientTraffic, 32),
        ("SERVER_TRAFFIC_SECRET_0", Label::ServerTraffic, 32),
    ] {
        let (stats, store) = read(format!("{name} {RANDOM} {}", hex(0xa7, len)).as_bytes());
        assert_eq!(stats, LogStats { secrets: 1, ..LogStats::default() }, "{name}");
        assert_eq!(known(&store, 0, label), Some(vec![0xa7; len]), "{name}");
        assert_eq!(store.len(), 1);
    }
}

#[test]
fn lines_are_told_apart() {
    let (short, long) = (hex(1, 32), hex(1, 48));
    let secrets = LogStats { secrets: 1, ..LogStats::default() };
    let other = LogStats { other: 1, ..LogStats::default() };
    let premaster = LogStats { premaster: 1, ..LogStats::default() };
    let bad = LogStats { bad: 1, ..LogStats::default() };
    for (line, want) in [
        (format!("CLIENT_RANDOM {RANDOM} {long}\r\n"), secrets),
        (format!("\u{feff}CLIENT_RANDOM {RANDOM} {}\n", long.to_uppercase()), secrets),
        (format!("  CLIENT_RANDOM\t{RANDOM}  {long} \n\n \r\n# comment\n#\n"), secrets),
        (format!("EXPORTER_SECRET {RANDOM} {short}\n"), other),
        (format!("CLIENT_TRAFFIC_SECRET_1 {RANDOM} {short}\n"), other),
        (format!("QUIC_CLIENT_TRAFFIC_SECRET_0 {RANDOM} {short}\n"), other),
        (format!("RSA 0011223344556677 {long}\n"), premaster),
        (format!("RSA Session-ID:{short} Master-Key:{long}\n"), premaster),
        (format!("PMS_CLIENT_RANDOM {RANDOM} {long}\n"), premaster),
        // A master secret has 48 bytes, a secret of TLS 1.3 that of its hash.
        (format!("CLIENT_RANDOM {RANDOM} {short}\n"), bad),
        (format!("CLIENT_TRAFFIC_SECRET_0 {RANDOM} {}\n", hex(1, 64)), bad),
        (format!("CLIENT_RANDOM {RANDOM} {long} more\n"), bad),
        (format!("CLIENT_RANDOM {}0 {long}\n", &RANDOM[..62]), bad),
        (format!("CLIENT_RANDOM {RANDOM}00 {long}\n"), bad),
        (format!("CLIENT_RANDOM {RANDOM}\n"), bad),
        (format!("CLIENT_RANDOM {RANDOM} {}xx\n", &long[2..]), bad),
        (format!("client_random {RANDOM} {long}\n"), bad),
        ("GET / HTTP/1.1\n".to_owned(), bad),
        ("\0\u{1}\n".to_owned(), bad),
        (format!("{}\n", "a".repeat(MAX_LINE + 1)), bad),
        (format!("# {}\n", "a".repeat(MAX_LINE)), bad),
    ] {
        assert_eq!(read(line.as_bytes()).0, want, "{line}");
    }
}

#[test]
fn garbage_between_lines_costs_those_lines_alone() {
    let line = format!("CLIENT_RANDOM {RANDOM} {}\n", hex(9, 48));
    let text = [b"\xff\xfe\0".repeat(5000), b"\n".to_vec(), line.into_bytes(), b"torn CLIENT_RA".to_vec()].concat();
    let (stats, store) = read(&text);
    assert_eq!((stats.secrets, stats.bad), (1, 2));
    assert_eq!(known(&store, 0, Label::Master), Some(vec![9; 48]));
}

#[test]
fn a_torn_last_line_waits_for_its_rest() {
    let line = format!("CLIENT_TRAFFIC_SECRET_0 {RANDOM} {}", hex(7, 48));
    let (mut log, mut store) = (KeyLog::new(), KeyStore::default());
    // Cut where it looks like a whole one of 32 bytes.
    let cut = line.len() - 32;
    log.feed(&line.as_bytes()[..cut], 0, &mut store);
    assert_eq!(known(&store, 0, Label::ClientTraffic), None);
    log.glance(0, &mut store);
    assert_eq!(known(&store, 0, Label::ClientTraffic), Some(vec![7; 32]));
    log.feed(&line.as_bytes()[cut..], 0, &mut store);
    log.feed(b"\n", 0, &mut store);
    assert_eq!(known(&store, 0, Label::ClientTraffic), Some(vec![7; 48]));
    assert_eq!((log.stats().secrets, store.conflicts()), (1, 0));
}

#[test]
fn secrets_count_from_the_packet_they_came_after_and_the_first_one_stays() {
    let (mut log, mut store) = (KeyLog::new(), KeyStore::default());
    let line = |byte| format!("CLIENT_TRAFFIC_SECRET_0 {RANDOM} {}\n", hex(byte, 32));
    log.feed(line(1).as_bytes(), 10, &mut store);
    log.feed(line(1).as_bytes(), 20, &mut store);
    assert_eq!(store.conflicts(), 0);
    log.feed(line(2).as_bytes(), 30, &mut store);
    assert_eq!((known(&store, 9, Label::ClientTraffic), store.conflicts()), (None, 1));
    for now in [10, 30, u64::MAX] {
        assert_eq!(known(&store, now, Label::ClientTraffic), Some(vec![1; 32]));
    }
}

#[test]
fn a_full_store_gives_up_the_oldest_session() {
    let (mut log, mut store) = (KeyLog::new(), KeyStore::new(3));
    for n in 0..10 {
        log.feed(format!("CLIENT_TRAFFIC_SECRET_0 {} {}\n", hex(n, 32), hex(n, 32)).as_bytes(), 0, &mut store);
        assert!(store.len() <= 3);
    }
    let mut keys = SessionKeys::default();
    store.fill(&[6; 32], 0, &mut keys);
    assert!(keys.is_empty());
    store.fill(&[7; 32], 0, &mut keys);
    assert_eq!((keys.is_empty(), store.evicted()), (false, 7));
}

#[test]
fn nothing_of_a_secret_is_printed() {
    let (mut log, mut store) = (KeyLog::new(), KeyStore::default());
    log.feed(format!("CLIENT_RANDOM {RANDOM} {}\nCLIENT_R", hex(0xc3, 48)).as_bytes(), 0, &mut store);
    let mut keys = SessionKeys::default();
    store.fill(&random(), 0, &mut keys);
    let printed = format!("{log:?} {store:?} {keys:?} {log:#?} {store:#?} {keys:#?}").to_lowercase();
    for byte in ["195", "c3", "ddee", "221"] {
        assert!(!printed.contains(byte), "{byte} in {printed}");
    }
}

proptest! {
    #[test]
    fn cutting_a_log_elsewhere_changes_nothing(
        lines in prop::collection::vec((0_u8..4, any::<u8>(), any::<bool>()), 0..20),
        cuts in prop::collection::vec(1_usize..400, 1..50),
    ) {
        let text: String = lines.iter().map(|(kind, byte, crlf)| {
            let end = if *crlf { "\r\n" } else { "\n" };
            match kind {
                0 => format!("CLIENT_RANDOM {} {}{end}", hex(*byte, 32), hex(*byte, 48)),
                1 => format!("SERVER_TRAFFIC_SECRET_0 {} {}{end}", hex(*byte, 32), hex(*byte, 32)),
                2 => format!("{}{end}", "x".repeat(usize::from(*byte) * 8)),
                _ => format!("#{end}"),
            }
        }).collect();
        let (whole, one) = read(text.as_bytes());
        let (mut log, mut store, mut rest) = (KeyLog::new(), KeyStore::default(), text.as_bytes());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            log.feed(piece, 0, &mut store);
            rest = after;
        }
        log.finish(0, &mut store);
        prop_assert_eq!((*log.stats(), store.len()), (whole, one.len()));
    }
}
