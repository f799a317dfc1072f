//! Which way of hiding which trick stands for. The lines follow the project's list of tricks, item by item.

/// Where a way of hiding belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Link, IP, TCP.
    Network,
    /// HTTP/1.
    Http,
    /// Content codings.
    Codings,
    /// JSON and JSON-RPC.
    Json,
    /// HTTP/2, `WebSocket`, event streams.
    Streams,
    /// TLS, QUIC, DNS.
    Names,
}

impl Area {
    /// Every area, in order.
    pub const ALL: [Self; 6] = [Self::Network, Self::Http, Self::Codings, Self::Json, Self::Streams, Self::Names];

    /// A heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Network => "IP and TCP",
            Self::Http => "HTTP/1",
            Self::Codings => "Content codings",
            Self::Json => "JSON",
            Self::Streams => "HTTP/2, WebSocket, event streams",
            Self::Names => "TLS, QUIC, DNS",
        }
    }
}

/// What stands for a way of hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Tricks, by name.
    Tricks(&'static [&'static str]),
    /// Nothing yet, and why.
    Later(&'static str),
}

/// One way of hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it belongs.
    pub area: Area,
    /// What it is.
    pub what: &'static str,
    /// What stands for it.
    pub cover: Cover,
}

const fn by(area: Area, what: &'static str, names: &'static [&'static str]) -> Item {
    Item { area, what, cover: Cover::Tricks(names) }
}

const fn later(area: Area, what: &'static str, why: &'static str) -> Item {
    Item { area, what, cover: Cover::Later(why) }
}

const NO_HTTP2: &str = "HTTP/2 is not read yet; its bytes are counted";
const NO_TLS: &str = "TLS is not read yet; its bytes are counted";
const NO_QUIC: &str = "QUIC is not read yet; its packets are counted";

use Area::{Codings, Http, Json, Names, Network, Streams};

/// Every way of hiding, and what stands for it.
pub const CHECKLIST: &[Item] = &[
    by(Network, "overlapping segments, same data, both orders", &["overlap-same-old-first", "overlap-same-new-first"]),
    by(
        Network,
        "overlapping segments, other data, both orders",
        &["overlap-other-behind-a-hole", "overlap-other-behind-a-hole-first", "overlap-other-in-part"],
    ),
    by(
        Network,
        "overlapping fragments",
        &[
            "overlapping-fragments-same",
            "overlapping-fragments-other-first",
            "overlapping-fragments-other-later",
            "overlapping-fragments-ipv6",
            "fragments-of-two-ends",
        ],
    ),
    by(
        Network,
        "retransmission with other bytes",
        &[
            "retransmission-other-later",
            "retransmission-other-first",
            "retransmission-other-in-pieces",
            "retransmission-other-and-more",
        ],
    ),
    by(
        Network,
        "bad checksum decoys, and whole flows with bad checksums (offload)",
        &["bad-checksum-decoy", "bad-checksum-mcp", "bad-checksum-reset", "bad-checksums-throughout"],
    ),
    by(Network, "low TTL decoys", &["low-ttl-decoy", "low-ttl-decoy-behind-a-hole", "low-ttl-reset"]),
    by(
        Network,
        "RST and FIN with wrong sequence numbers",
        &[
            "reset-out-of-window",
            "reset-in-window-but-not-next",
            "fin-out-of-place",
            "fin-decoy-in-place",
            "data-behind-a-fin",
            "data-behind-both-fins",
        ],
    ),
    by(Network, "out-of-window data", &["out-of-window-decoy", "out-of-window-mcp", "beyond-the-window-mcp"]),
    by(Network, "keep-alive byte", &["keep-alive-byte"]),
    by(Network, "data on SYN", &["data-on-syn", "data-on-syn-refused", "data-on-syn-other-later"]),
    by(Network, "urgent pointer", &["urgent-in-line", "urgent-extra-byte"]),
    by(Network, "simultaneous open", &["simultaneous-open"]),
    by(Network, "sequence wrap", &["sequence-wrap", "sequence-wrap-in-a-hole"]),
    by(Network, "one byte per segment", &["one-byte-segments"]),
    by(Network, "reordering", &["reordered", "one-byte-segments-backwards"]),
    by(
        Network,
        "four-tuple reuse",
        &["ports-again-after-close", "ports-again-after-reset", "ports-again-without-close", "syn-of-another-number"],
    ),
    by(Network, "duplication on the mirror", &["mirrored-twice"]),
    by(Network, "one direction only", &["only-the-client", "only-the-server"]),
    by(Network, "mid-stream", &["mid-stream", "mid-stream-in-a-body"]),
    by(
        Network,
        "tiny and overlapping fragments",
        &[
            "tiny-fragments",
            "tiny-fragments-backwards",
            "tiny-fragments-ipv6",
            "fragments-twice",
            "fragments-without-an-end",
        ],
    ),
    by(Network, "atomic fragments", &["atomic-fragments", "atomic-fragment-among-others"]),
    by(
        Network,
        "nested tunnels",
        &[
            "nested-tunnels",
            "nested-tunnels-as-deep-as-they-go",
            "tunnel-in-fragments",
            "other-tunnel-with-the-same-addresses",
            "vxlan-with-reserved-bits",
        ],
    ),
    by(Network, "per-direction VLAN tags", &["a-tag-for-each-direction"]),
    by(
        Network,
        "truncated snap length",
        &["snap-length-keeps-the-head", "snap-length-keeps-half-a-body", "snap-length-cuts-each-frame"],
    ),
    by(
        Http,
        "bare LF, and other odd bytes in lines",
        &[
            "bare-lf-in-a-head",
            "bare-lf-in-one-line",
            "bare-lf-in-chunks",
            "bare-cr-in-a-head",
            "nul-in-a-head",
            "blank-before-a-colon",
        ],
    ),
    by(Http, "leading blank lines", &["blank-line-before-a-request", "blank-lines-between-requests"]),
    by(Http, "folded headers", &["folded-field", "folded-length", "folded-field-of-an-answer"]),
    by(Http, "large heads", &["head-over-the-limit", "many-fields"]),
    by(
        Http,
        "repeated and list Content-Length",
        &[
            "length-twice",
            "length-as-a-list",
            "lengths-that-differ",
            "lengths-that-differ-last-is-true",
            "lengths-that-differ-in-a-list",
            "length-with-a-sign",
            "length-in-hexadecimal",
            "length-with-zeros-in-front",
            "length-beyond-64-bits",
        ],
    ),
    by(Http, "Transfer-Encoding beside Content-Length", &["length-and-chunks", "length-of-nothing-and-chunks"]),
    by(
        Http,
        "odd Transfer-Encoding",
        &[
            "chunked-in-odd-case",
            "transfer-coding-unknown",
            "transfer-coding-identity-first",
            "chunked-not-last",
            "chunked-twice",
            "chunked-behind-a-vertical-tab",
            "chunked-in-quotes",
            "chunked-with-a-parameter",
            "chunked-in-a-folded-line",
            "chunked-in-1.0",
            "gzip-as-transfer-coding",
        ],
    ),
    by(Http, "chunk extensions", &["chunk-extensions", "chunk-extension-of-20-kB", "chunk-extension-that-quotes-mcp"]),
    by(Http, "trailers", &["chunk-trailers"]),
    by(
        Http,
        "chunk size in upper case and with leading zeros",
        &[
            "chunk-size-in-upper-case",
            "chunk-size-with-zeros-in-front",
            "chunks-of-one-byte",
            "chunk-size-overflows",
            "chunk-size-with-a-prefix",
            "chunk-longer-than-it-says",
        ],
    ),
    by(
        Http,
        "absolute and authority form, odd request lines",
        &[
            "absolute-form",
            "absolute-form-of-another-host",
            "authority-form",
            "method-in-lower-case",
            "get-with-a-body",
            "request-line-with-many-blanks",
            "version-1.9",
        ],
    ),
    by(Http, "HTTP/0.9 and 1.0 answers", &["0.9-answer", "1.0-answer-until-close", "1.0-request"]),
    by(Http, "1xx storms", &["storm-of-100", "storm-of-103", "storm-of-199"]),
    by(Http, "HEAD", &["answer-to-head", "answer-to-head-with-a-body"]),
    by(
        Http,
        "204 and 304 with a body",
        &[
            "204-with-a-length",
            "304-with-a-length",
            "304-in-chunks",
            "204-with-a-body",
            "304-with-a-body",
            "205-with-a-body",
        ],
    ),
    by(
        Http,
        "pipelining",
        &["pipelined-behind-many", "answer-pipelined-behind-many", "answered-before-the-request-ends"],
    ),
    by(
        Http,
        "upgrade in mid-connection",
        &["upgrade-in-mid-connection", "upgrade-refused", "upgrade-to-something-unknown-refused"],
    ),
    by(
        Http,
        "percent-encoded and double-encoded paths",
        &["path-percent-encoded", "path-percent-encoded-in-either-case", "path-encoded-twice", "path-not-utf-8"],
    ),
    by(Http, "`//`, `/./`", &["path-with-two-slashes", "path-with-dots"]),
    by(Http, "case", &["path-in-upper-case", "host-in-odd-case-of-name"]),
    by(
        Http,
        "Host with port, dot and upper case",
        &["host-with-a-port", "host-with-a-dot-at-the-end", "host-in-upper-case", "host-percent-encoded"],
    ),
    by(Http, "IDN", &["host-of-another-script", "host-in-punycode"]),
    by(Http, "duplicate Host", &["host-twice", "host-missing"]),
    by(Http, "a page that looks like it", &["page-at-a-listed-host"]),
    by(Codings, "gzip with several members", &["gzip-members", "gzip-member-for-each-byte"]),
    by(Codings, "name and comment fields", &["gzip-name-and-comment", "gzip-by-its-old-name"]),
    by(Codings, "raw deflate named deflate", &["deflate-raw"]),
    by(Codings, "zlib", &["deflate-zlib"]),
    by(Codings, "stacks", &["stack-of-two", "stack-in-two-fields", "stack-of-three", "stack-of-thirty"]),
    by(Codings, "br", &["brotli"]),
    by(Codings, "zstd with several frames", &["zstd", "zstd-frames"]),
    by(
        Codings,
        "wrong or missing label",
        &[
            "labelled-gzip-and-plain",
            "labelled-brotli-and-plain",
            "labelled-deflate-and-gzip",
            "labelled-brotli-and-gzip",
            "labelled-zstd-and-zlib",
            "labelled-by-an-unknown-word",
            "labelled-by-an-unknown-word-and-gzip",
            "gzip-without-a-label",
            "zlib-without-a-label",
            "zstd-without-a-label",
            "gzip-twice-labelled-once",
            "labelled-identity",
        ],
    ),
    by(Codings, "coded chunk by chunk", &["coded-chunk-by-chunk", "member-for-each-chunk"]),
    by(
        Codings,
        "cut and broken streams",
        &[
            "gzip-without-its-end",
            "gzip-cut-in-the-message",
            "gzip-with-a-wrong-sum",
            "gzip-with-rubbish-behind",
            "gzip-broken-inside",
        ],
    ),
    by(Codings, "bombs", &["bomb-gzip-in-gzip", "bomb-zstd", "bomb-brotli", "bomb-and-then-mcp"]),
    by(Codings, "a page that looks like it", &["gzip-of-a-page"]),
    by(Json, "escapes in keys and values", &["escapes-in-keys", "escapes-in-values", "every-character-escaped"]),
    by(Json, "escaped slash", &["escaped-slash"]),
    by(Json, "duplicate keys", &["method-twice-mcp-last", "method-twice-mcp-first", "jsonrpc-twice"]),
    by(Json, "odd white space", &["white-space-everywhere", "white-space-of-100-kB"]),
    by(Json, "order of members", &["members-in-another-order"]),
    by(Json, "BOM", &["byte-order-mark"]),
    by(
        Json,
        "UTF-16/32 and bytes that are no text",
        &[
            "utf-16-le",
            "utf-16-be-with-a-mark",
            "utf-32-le",
            "utf-32-be",
            "bytes-that-are-not-utf-8",
            "half-a-surrogate-pair",
            "raw-line-break-in-a-string",
        ],
    ),
    by(Json, "deep nesting", &["nested-to-50", "nested-to-100000", "nested-and-never-closed"]),
    by(Json, "huge numbers", &["huge-numbers", "huge-id", "number-in-odd-form"]),
    by(Json, "NaN", &["not-a-number"]),
    by(Json, "comments", &["comments"]),
    by(Json, "trailing commas", &["comma-at-the-end"]),
    by(Json, "other dialects", &["single-quotes", "keys-without-quotes", "key-in-another-case"]),
    by(
        Json,
        "members before `method` in megabytes",
        &["megabytes-before-the-method", "many-members-before-the-method", "key-of-a-megabyte"],
    ),
    by(
        Json,
        "batch of one and of thousands",
        &[
            "batch-of-one",
            "batch-of-3000",
            "batch-of-3000-calls",
            "batch-in-a-batch",
            "batch-with-rubbish",
            "batch-with-a-vendors-call",
            "batch-with-a-language-servers-call",
        ],
    ),
    by(
        Json,
        "several documents in one body",
        &["several-documents-by-line", "several-documents-without-a-gap", "document-behind-a-record-separator"],
    ),
    by(Json, "text around it", &["text-in-front", "text-behind", "in-a-form"]),
    by(
        Json,
        "what only looks like it",
        &[
            "mcp-in-a-string",
            "mcp-in-a-member",
            "mcp-in-a-json-rpc-argument",
            "language-server",
            "method-that-is-no-string",
            "page-that-quotes-mcp",
            "model-answer-that-quotes-mcp",
        ],
    ),
    later(Streams, "HTTP/2: padding, CONTINUATION, table size changes, never-indexed, Huffman and not", NO_HTTP2),
    later(Streams, "HTTP/2: interleaving, PRIORITY, resets in mid-body, mid-connection start", NO_HTTP2),
    by(
        Streams,
        "fragments with control frames between",
        &["fragments-of-one-byte", "control-frames-between-fragments", "empty-fragments", "storm-of-pings"],
    ),
    by(Streams, "masks of zero, wrong masks", &["mask-of-zero", "client-without-a-mask", "server-with-a-mask"]),
    by(
        Streams,
        "frames that must not be",
        &[
            "length-longer-than-needed",
            "reserved-bits",
            "reserved-opcode-between",
            "control-frame-in-fragments",
            "message-inside-a-message",
            "length-beyond-63-bits",
        ],
    ),
    by(
        Streams,
        "WebSocket messages",
        &[
            "binary-message",
            "behind-many-messages",
            "message-of-two-megabytes",
            "frames-with-the-handshake",
            "mcp-in-a-ping",
            "mcp-quoted-in-a-message",
        ],
    ),
    by(
        Streams,
        "compression contexts",
        &[
            "compressed-with-context",
            "compressed-without-context",
            "compressed-in-fragments",
            "plain-among-compressed",
            "compressed-without-agreement",
            "compressed-and-broken",
            "bomb-in-a-message",
        ],
    ),
    by(
        Streams,
        "CR/LF/CRLF events",
        &[
            "events-with-lf",
            "events-with-cr",
            "events-with-crlf",
            "events-with-all-line-ends",
            "events-cut-between-cr-and-lf",
        ],
    ),
    by(Streams, "multi-line data", &["data-in-lines", "data-in-lines-with-cr"]),
    by(
        Streams,
        "comments in events",
        &["data-in-lines-with-comments-between", "comments-of-100-kB", "mcp-in-a-comment"],
    ),
    by(Streams, "no event name", &["no-event-name", "empty-event-name", "another-event-name"]),
    by(
        Streams,
        "other odd events",
        &[
            "no-blank-behind-the-colon",
            "fields-nobody-knows",
            "byte-order-mark-in-front",
            "behind-many-events",
            "event-without-its-end",
            "event-without-any-line-end",
            "mcp-quoted-in-an-event",
            "stream-and-then-a-request",
        ],
    ),
    by(
        Streams,
        "events under another type, and the reverse",
        &[
            "events-under-another-type",
            "json-under-the-type-of-events",
            "events-under-the-type-of-json",
            "type-with-parameters-in-odd-case",
        ],
    ),
    later(Names, "TLS: hello over many records, segments and out of order, over 16 KiB, GREASE, ECH", NO_TLS),
    later(Names, "TLS: no SNI, IP as SNI, SNI with upper case, dot, control bytes, SNI and Host that differ", NO_TLS),
    later(Names, "TLS: session resumption, early data", NO_TLS),
    later(Names, "QUIC: coalesced, padded, out-of-order CRYPTO, other versions, other ports", NO_QUIC),
    later(Names, "DNS over TCP", "name servers are read over UDP only"),
    by(
        Names,
        "DNS: compression loops, and counts that lie",
        &[
            "name-that-points-at-itself",
            "names-that-point-at-each-other",
            "names-in-a-long-chain",
            "answers-that-are-not-there",
        ],
    ),
];
