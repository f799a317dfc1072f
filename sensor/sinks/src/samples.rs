//! One record of every kind, plain and odd, for the tests of this crate.

use correlate::Record;
use correlate::record::{
    ActionRecord, Auth, AuthorizationRecord, Call, CatalogueRecord, Change, Detection, Endpoint, Flow, Http, Input,
    Jwt, Latency, LimitsMet, Mcp, NameFrom, Notice, NoticeCode, OAuthClientRecord, OAuthRecord, PayloadRecord, Peer,
    ProviderCallRecord, ProviderServerRecord, ProviderSide, ProxyStats, Run, RunSource, SCHEMA, ServerKey,
    ServerRecord, SessionRecord, Source, Stats, SupplyRecord, Tls, User, UserFrom,
};
use detect::{Action, Classification, Confidence, LogPayload, Severity, Signal, SignalKind, Weight};
use net::Timestamp;
use std::collections::BTreeMap;

/// Time of all samples.
const TS: Timestamp = Timestamp(1_795_425_121_123_456_789);

/// Text that a sink has to survive.
fn odd() -> Vec<String> {
    let lone_surrogate = String::from_utf8_lossy(b"half \xed\xa0\x80 pair").into_owned();
    vec![
        "weather".into(),
        "\0\x01\x1b[2J\x07\r\n\t\"\\\u{7f}\u{85}\u{9b}31m".into(),
        lone_surrogate,
        "right\u{202e}tfel \u{2028}\u{2029}\u{feff}\u{200b}\u{061c}\u{fff9}".into(),
        "工具 naïve 🛠 z\u{301}".into(),
        "x".repeat(10_000),
        String::new(),
    ]
}

pub(crate) fn mcp(text: &str) -> Mcp {
    let peer = Peer { name: text.into(), version: "1.2.0".into() };
    let all = || vec![text.to_owned()];
    Mcp {
        transport: "streamable_http".into(),
        era: Some("session".into()),
        protocol_versions: vec!["2025-11-25".into()],
        methods: vec!["initialize".into(), "tools/call".into()],
        tools: all(),
        tools_listed: vec![text.to_owned(), "forecast".into()],
        inner_tools: vec![],
        inner_tools_incomplete: false,
        resources: all(),
        prompts: all(),
        calls: vec![Call {
            rpc_id: Some(text.into()),
            method: "tools/call".into(),
            name: Some(text.into()),
            arguments: Some("{\"city\":\"…\"}".into()),
            arguments_bytes: Some(16),
            arguments_sha256: Some("00".repeat(32)),
            result_bytes: Some(900),
            is_error: Some(false),
            tool_class: Some(text.into()),
            duration_ms: Some(12),
        }],
        client: Some(peer.clone()),
        server: Some(peer),
        session: Some("sha256:00".into()),
        outcome: "answered".into(),
        auth: Auth {
            kind: "bearer".into(),
            jwt: Some(Jwt { iss: Some(text.into()), sub: Some(text.into()), aud: None }),
        },
        header_mismatch: false,
        provider_side: Some(ProviderSide {
            provider: text.into(),
            api: Some("openai".into()),
            servers: vec![ProviderServerRecord {
                label: Some(text.into()),
                server_url: Some(text.into()),
                connector: Some(text.into()),
                credentials: true,
                require_approval: Some(text.into()),
            }],
            tools_listed: all(),
            calls: vec![ProviderCallRecord {
                server: Some(text.into()),
                tool: Some(text.into()),
                is_error: Some(false),
                awaits_approval: false,
            }],
        }),
        supply: Some(SupplyRecord {
            kind: "npm".into(),
            name: Some(text.into()),
            version: Some(text.into()),
            runner: Some("npx".into()),
            server_url: Some(text.into()),
            command: Some(text.into()),
        }),
        oauth: Some(OAuthRecord {
            stage: "registration".into(),
            resources: all(),
            authorization_server: Some(text.into()),
            client_name: Some(text.into()),
            client_id: Some(text.into()),
        }),
    }
}

fn flow() -> Flow {
    Flow {
        community_id: "1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
        transport: "tcp".into(),
        direction: "outbound".into(),
        client: Endpoint {
            ip: "10.1.2.3".into(),
            port: 51234,
            mac: Some("02:00:00:00:00:01".into()),
            forwarded_for: Some("10.7.0.9".into()),
            name: Some("ana-laptop".into()),
            name_from: Some(NameFrom::Dhcp),
        },
        server: Endpoint { ip: "203.0.113.9".into(), port: 80, ..Endpoint::default() },
        vlan: vec![12],
        tunnel: vec!["vxlan:7001".into()],
        missed_bytes: 0,
        midstream: false,
    }
}

pub(crate) fn server(host: &str, classification: Classification, confidence: Confidence) -> ServerRecord {
    ServerRecord {
        schema: SCHEMA,
        ts: TS,
        sensor: "replay".into(),
        change: Change::Seen,
        severity: Some(Severity::High),
        server: ServerKey { host: host.into(), ip: "203.0.113.9".into(), port: 80, path: "/mcp".into() },
        mcp: mcp("get_weather"),
        clients: vec!["10.1.2.3".into(), "10.1.2.4".into()],
        client_names: BTreeMap::from([("10.1.2.4".into(), "ana-laptop".into())]),
        client_count: 2,
        call_count: 14,
        first_seen: TS,
        last_seen: TS,
        confidence,
        classification,
        why: "mcp.proof.initialize".into(),
        catalogue: Some(CatalogueRecord {
            sha256: "sha256:00".into(),
            tools: 2,
            before: Some("sha256:01".into()),
            pinned: true,
            added: vec![host.into()],
            removed: vec![host.into()],
            changed: vec![host.into()],
            more: 1,
        }),
        authorization: Some(AuthorizationRecord {
            authorization_servers: vec![host.into()],
            clients: vec![OAuthClientRecord { name: Some(host.into()), id: Some(host.into()), first_seen: TS }],
        }),
    }
}

fn payload(text: &str, form: LogPayload) -> PayloadRecord {
    PayloadRecord {
        message: "request".into(),
        rpc_id: Some(text.into()),
        policy: text.into(),
        form,
        bytes: 41,
        truncated: false,
        excerpt: (form == LogPayload::Masked).then(|| text.into()),
        recipients: (form == LogPayload::Encrypted).then_some(1),
        data: (form == LogPayload::Encrypted).then(|| text.into()),
        clear: None,
    }
}

fn user(text: &str) -> User {
    User { name: text.into(), from: UserFrom::Map }
}

fn detection(text: &str) -> Detection {
    Detection {
        schema: SCHEMA,
        ts: TS,
        id: "0123456789abcdef".into(),
        sensor: "replay".into(),
        rules_generation: "sha256:00".into(),
        source: Source { kind: "pcap".into(), name: text.into(), packets: [4, 9] },
        flow: flow(),
        user: Some(user(text)),
        category: None,
        visibility: "cleartext".into(),
        tls: Some(Tls {
            sni: text.into(),
            alpn: vec![text.into()],
            version: "1.3".into(),
            ja4: text.into(),
            ech: true,
            certificate: vec![text.into()],
        }),
        http: Some(Http {
            version: "1.1".into(),
            method: "POST".into(),
            scheme: "http".into(),
            host: text.into(),
            path: text.into(),
            status: Some(200),
            user_agent: Some(text.into()),
            request_bytes: 312,
            response_bytes: 918,
        }),
        mcp: mcp(text),
        novel: vec!["server".into()],
        signals: vec![Signal {
            id: "mcp.body.tools-call".into(),
            kind: SignalKind::Signature,
            on: "request.body".into(),
            weight: Weight::Strong,
            excerpt: text.into(),
            offset: 18,
        }],
        confidence: Confidence::Confirmed,
        severity: Severity::High,
        classification: Classification::Shadow,
        dlp: vec![text.into()],
        look_alike: Some(text.into()),
        action: ActionRecord {
            decided: Action::Log,
            taken: Action::Log,
            stage: "request".into(),
            policy: "default".into(),
            cause: "policy".into(),
            dry_run: false,
            delivered: Some(text.into()),
            reason: Some(text.into()),
        },
        payload: vec![payload(text, LogPayload::Masked), payload(text, LogPayload::Encrypted)],
        limits: LimitsMet {
            body_truncated_at: Some(1),
            undecoded: Some(text.into()),
            body_cut: Some(text.into()),
            content_unread: true,
            messages_unjudged: Some(1),
            payloads_left_out: 1,
        },
    }
}

pub(crate) fn stats(text: &str) -> Stats {
    let one = |key: &str, n| BTreeMap::from([(key.to_owned(), n)]);
    Stats {
        schema: SCHEMA,
        ts: TS,
        sensor: "replay".into(),
        is_final: true,
        packets: 12_345,
        bytes: 57_412_000,
        packets_analysed: 12_340,
        packets_dropped: one("not_ip", 5),
        flows: one("fin", 1_203),
        messages: one("http1", 4_000),
        uninspected_bytes: one("tls", 57_000_000),
        reassembly: one("gap_bytes", 2_000),
        signals: one(text, 3),
        detections: one("shadow/confirmed", 3),
        look_alikes: one("lsp", 2),
        servers: one("shadow", 1),
        notices: one("limit_met", 1),
        limits: one("body", 1),
        engine: "rust".into(),
        events: 9,
        proxy: None,
    }
}

fn proxy(text: &str) -> ProxyStats {
    let one = |key: &str, n| BTreeMap::from([(key.to_owned(), n)]);
    ProxyStats {
        connections: 70,
        connections_active: 7,
        held_bytes: 4096,
        requests: one("200", 60),
        tls_client: one("ok", 60),
        tls_origin: one("expired", 1),
        refused: one(text, 1),
        tunnelled: one("bypass", 2),
        actions: one("block", 3),
        limits: one("hold_bytes", 1),
        others: one("websocket_closed", 1),
        observations_dropped: 1,
        added_latency: Latency { count: 60, sum_us: 3000, up_to_us: BTreeMap::from([(50, 40), (100, 60)]) },
    }
}

/// One record of every kind for each odd text.
pub(crate) fn all() -> Vec<Record> {
    odd().iter().flat_map(|text| of(text)).collect()
}

fn of(text: &str) -> [Record; 6] {
    let server =
        ServerRecord { mcp: mcp(text), why: text.into(), ..server(text, Classification::Shadow, Confidence::Likely) };
    let session = SessionRecord {
        schema: SCHEMA,
        ts: TS,
        id: "fedcba9876543210".into(),
        sensor: text.into(),
        ongoing: true,
        client_ip: "10.1.2.3".into(),
        client_name: Some(text.into()),
        client_name_from: Some(NameFrom::Dns),
        user: Some(user(text)),
        server: server.server.clone(),
        mcp: mcp(text),
        detections: 3,
        flows: 1,
        first_seen: TS,
        last_seen: TS,
        confidence: Confidence::Confirmed,
        classification: Classification::Sanctioned,
    };
    let run = Run {
        schema: SCHEMA,
        ts: TS,
        sensor: "replay".into(),
        version: "0.1.0".into(),
        config: "sha256:00".into(),
        rules_generation: "sha256:00".into(),
        inputs: vec![
            Input { name: text.into(), bytes: Some(9), sha256: Some("00".repeat(32)) },
            Input { name: "-".into(), bytes: None, sha256: None },
        ],
        sources: vec![RunSource { kind: "interface".into(), name: text.into() }],
    };
    let notice = Notice {
        schema: SCHEMA,
        ts: TS,
        sensor: "replay".into(),
        code: NoticeCode::TruncatedFile,
        message: text.into(),
        flow: Some(Box::new(flow())),
        held_back: 3,
    };
    [
        Record::Run(run),
        Record::Detection(Box::new(detection(text))),
        Record::Session(Box::new(session)),
        Record::Server(Box::new(server)),
        Record::Notice(notice),
        Record::Stats(Box::new(Stats { proxy: Some(proxy(text)), ..stats(text) })),
    ]
}
