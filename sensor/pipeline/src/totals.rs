//! Adds up what dispatcher, workers and the serial stage counted.

use crate::app::{Context, FlowApp};
use crate::{Gauges, Outside};
use capture::LiveStats;
use correlate::Correlator;
use correlate::record::{SCHEMA, Stats};
use net::Timestamp;
use proto::tls::decrypt;
use std::collections::BTreeMap;

/// Counters of all workers together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    net: net::Stats,
    proto: proto::Stats,
    detect: detect::Stats,
    bypassed: BTreeMap<&'static str, u64>,
    ends: BTreeMap<&'static str, u64>,
    exchanges_let_go: u64,
    heard_left_out: u64,
    faults: u64,
    decoders_refused: u64,
    scans_failed: u64,
    heads_cut: u64,
    dns_questions: u64,
    dns_answers: u64,
    dhcp_messages: u64,
    dhcp_names_refused: u64,
    dhcp_addresses_left_out: u64,
    quic: proto::quic::Stats,
    quic_let_go: u64,
    decrypt: decrypt::Stats,
    records_refused: u64,
    datagrams_unread: BTreeMap<&'static str, u64>,
    /// Workers that were built anew, and packets lost by that.
    pub(crate) restarts: u64,
    pub(crate) fault_packets: u64,
    /// What is held now.
    pub(crate) gauges: Gauges,
}

/// What the reader's role counted.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) capture: capture::Stats,
    /// Of live sources.
    pub(crate) live: Option<LiveStats>,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) dropped_bytes: BTreeMap<&'static str, u64>,
    pub(crate) packets: u64,
    pub(crate) fragments: net::FragmentStats,
    /// Frames that wait for the rest of their datagram: they count once it is clear what becomes of them.
    pub(crate) fragments_waiting: u64,
    pub(crate) fragment_bytes: u64,
    pub(crate) tunnels_forgotten: u64,
    pub(crate) key_sessions_forgotten: u64,
    /// Time of the last packet.
    pub(crate) last_packet: Option<Timestamp>,
    /// Times that our own code failed.
    pub(crate) faults: u64,
}

impl Read {
    /// Packets that never came to the dispatcher, by reason.
    fn lost(&self, is_final: bool) -> [(&'static str, u64); 4] {
        let interfaces = || self.live.iter().flat_map(|live| &live.interfaces);
        let waiting: u64 = if is_final { interfaces().map(|i| i.waiting).sum() } else { 0 };
        [
            ("kernel", interfaces().map(|i| i.kernel_dropped).sum()),
            ("interface", interfaces().map(|i| i.interface_dropped).sum()),
            ("queue", interfaces().map(|i| i.queue_dropped).sum::<u64>() + waiting),
            ("ring", interfaces().map(|i| i.unread).sum()),
        ]
    }
}

/// What a record is made of beside the counters.
pub(crate) struct About<'a> {
    pub(crate) serial: &'a Correlator,
    pub(crate) generation: &'a detect::Generation,
    pub(crate) ts: Timestamp,
    pub(crate) sensor: &'a str,
    pub(crate) is_final: bool,
    /// What was counted beside the packets.
    pub(crate) outside: Outside,
}

impl Totals {
    /// Adds those of another worker.
    pub(crate) fn add(&mut self, other: &Self) {
        self.net += &other.net;
        self.proto.add(&other.proto);
        self.detect.add(&other.detect);
        sum(&mut self.bypassed, &other.bypassed);
        sum(&mut self.ends, &other.ends);
        self.exchanges_let_go += other.exchanges_let_go;
        self.heard_left_out += other.heard_left_out;
        self.faults += other.faults;
        self.decoders_refused += other.decoders_refused;
        self.scans_failed += other.scans_failed;
        self.heads_cut += other.heads_cut;
        self.dns_questions += other.dns_questions;
        self.dns_answers += other.dns_answers;
        self.dhcp_messages += other.dhcp_messages;
        self.dhcp_names_refused += other.dhcp_names_refused;
        self.dhcp_addresses_left_out += other.dhcp_addresses_left_out;
        self.quic.add(&other.quic);
        self.quic_let_go += other.quic_let_go;
        self.decrypt.add(&other.decrypt);
        self.records_refused += other.records_refused;
        sum(&mut self.datagrams_unread, &other.datagrams_unread);
        self.restarts += other.restarts;
        self.fault_packets += other.fault_packets;
        self.gauges.add(&other.gauges);
    }

    /// So many flows were given up with their worker.
    pub(crate) fn given_up(&mut self, flows: u64) {
        if flows > 0 {
            *self.ends.entry("fault").or_default() += flows;
        }
        self.gauges = Gauges::default();
    }

    pub(crate) fn shard(&mut self, flows: &net::FlowTable<FlowApp>, context: &Context) {
        self.gauges.add(&Gauges {
            flows_active: flows.len() as u64,
            reassembly_bytes: flows.held_bytes() as u64,
            reader_bytes: flows.above_bytes() as u64,
            decoder_bytes: context.work.scratch.pool.live_bytes(),
            ..Gauges::default()
        });
        self.net += flows.stats();
        self.proto.add(&context.proto);
        self.detect.add(&context.work.scratch.stats);
        sum(&mut self.bypassed, &context.work.bypassed);
        sum(&mut self.ends, &context.work.ends);
        self.exchanges_let_go += context.work.exchanges_let_go;
        self.heard_left_out += context.work.heard_left_out;
        self.faults += context.work.faults;
        self.scans_failed += context.work.scratch.rules.stats.failed;
        self.decoders_refused += context.work.scratch.pool.budget().refused();
        self.heads_cut += context.work.scratch.heads_cut();
        if let Some(opener) = &context.work.opener {
            self.decrypt.add(&opener.stats);
            self.records_refused += opener.limits.held.refused();
        }
    }

    pub(crate) fn datagrams(&mut self, stats: &crate::datagrams::Stats) {
        self.dns_questions += stats.dns_questions;
        self.dns_answers += stats.dns_answers;
        self.dhcp_messages += stats.dhcp_messages;
        self.dhcp_names_refused += stats.dhcp_names_refused;
        self.dhcp_addresses_left_out += stats.dhcp_addresses_left_out;
        self.quic.add(&stats.quic);
        self.quic_let_go += stats.let_go;
        sum(&mut self.datagrams_unread, &stats.uninspected);
    }

    /// The record.
    pub(crate) fn record(&self, read: &Read, about: About<'_>) -> Stats {
        let About { serial, generation, ts, sensor, is_final, outside } = about;
        let net = &self.net;
        let mut detect = self.detect.clone();
        detect.add(&outside.inspected);
        let mut dropped = named(&read.dropped);
        add(&mut dropped, read.fragments.dropped().map(|(why, frames, _)| (why, frames)));
        let tcp = [
            ("bad_checksum", net.packets_bad_checksum),
            ("out_of_window", net.packets_out_of_window),
            ("bad_reset", net.packets_bad_reset),
            ("outside_time_window", read.capture.outside_window),
            ("filtered_out", read.capture.filtered_out),
            ("fault", self.fault_packets),
        ];
        add(&mut dropped, tcp);
        let lost = read.lost(is_final);
        add(&mut dropped, lost);
        let not_taken = net.packets_bad_checksum + net.packets_out_of_window + net.packets_bad_reset;
        let analysed = (read.packets + read.fragments.repeated).saturating_sub(not_taken + self.fault_packets);
        let packets = read.capture.packets + lost.iter().map(|(_, n)| n).sum::<u64>();
        let mut uninspected = named(&self.bypassed);
        add(&mut uninspected, self.proto.uninspected.by_reason());
        add(&mut uninspected, self.datagrams_unread.iter().map(|(k, v)| (*k, *v)));
        add(&mut uninspected, read.dropped_bytes.iter().map(|(k, v)| (*k, *v)));
        add(&mut uninspected, read.fragments.dropped().map(|(why, _, bytes)| (why, bytes)));
        add(&mut uninspected, [("bad_checksum", net.bad_checksum_bytes), ("out_of_window", net.out_of_window_bytes)]);
        let mut messages = BTreeMap::new();
        let spoken = [
            ("http1_requests", self.proto.http1_requests),
            ("http1_responses", self.proto.http1_responses),
            ("http1_resynchronised", self.proto.resynchronisations),
            ("http2_requests", self.proto.http2.requests),
            ("http2_responses", self.proto.http2.responses),
            ("grpc_requests", self.proto.http2.grpc_requests),
            ("tls_client_hellos", self.proto.tls.client_hellos),
            ("tls_server_hellos", self.proto.tls.server_hellos),
            ("tls_certificates", self.proto.tls.certificates),
            ("tls13_sessions_decrypted", self.decrypt.tls13_sessions),
            ("tls12_sessions_decrypted", self.decrypt.tls12_sessions),
            ("tls_sessions_without_keys", self.decrypt.keyless_sessions),
            ("tls_key_updates", self.decrypt.key_updates),
            ("tls_early_data_accepted", self.decrypt.early_accepted),
            ("quic_client_hellos", self.quic.client_hellos),
            ("quic_server_hellos", self.quic.server_hellos),
            ("dns_questions", self.dns_questions),
            ("dns_answers", self.dns_answers),
            ("dhcp_messages", self.dhcp_messages),
            ("dhcp_names_refused", self.dhcp_names_refused),
            ("dns_tcp_messages", self.proto.dns.messages),
            ("sse_events", detect.sse_events),
            ("websocket_messages", self.proto.websocket_messages),
            ("bodies_let_go_after_sniff", detect.bodies_let_go),
            ("bodies_of_broken_json", detect.broken_json),
        ];
        add(&mut messages, spoken);
        for why in decrypt::Undecrypted::ALL {
            let reason = why.reason();
            add(&mut messages, [(format!("tls_directions_not_decrypted_{reason}").as_str(), self.decrypt.failed(why))]);
            add(&mut uninspected, [(format!("tls_{reason}").as_str(), self.decrypt.lost(why))]);
        }
        let serial_totals = serial.totals();
        add(&mut messages, [("forwarded_for_hidden", serial_totals.forwarded_hidden)]);
        if serial_totals.gateway_passed_by > 0 {
            add(&mut messages, [("llm_calls_past_the_gateway", serial_totals.gateway_passed_by)]);
        }
        let mut signals = serial_totals.signals.clone();
        for (id, n) in detect.signals.by_id() {
            *signals.entry(id).or_default() += n;
        }
        let mut look_alikes = serial_totals.look_alikes.clone();
        add(&mut look_alikes, detect.look_alikes.iter().map(|(k, v)| (*k, *v)));
        let mut limits = serial_totals.limits.clone();
        let met = [
            ("exchanges_per_flow", self.exchanges_let_go),
            ("exchange_news", detect.news_left_out),
            ("name_server_messages", self.heard_left_out),
            ("dhcp_addresses", self.dhcp_addresses_left_out),
            ("decoder_budget", self.decoders_refused),
            ("request_heads", self.heads_cut),
            ("flows", net.flows_evicted.saturating_sub(net.flows_too_heavy)),
            ("flow_state", net.flows_too_heavy),
            ("fragments", read.fragments.evicted),
            ("tunnel_names", read.tunnels_forgotten),
            ("key_sessions", read.key_sessions_forgotten),
            ("reassembly", net.holes_over_total_limit),
            ("reassembly_per_direction", net.holes_over_direction_limit),
            ("head_bytes", self.proto.anomalies(proto::Anomaly::HeadTooLarge)),
            ("tls_records_held", self.records_refused),
            ("quic_connections", self.quic_let_go),
            ("quic_datagrams", self.quic.ends(proto::quic::End::Datagrams)),
            ("quic_hello_bytes", self.quic.ends(proto::quic::End::TooLong)),
            ("tls_hello_bytes", self.proto.tls.ends(proto::tls::End::TooLong)),
            ("dns_message_bytes", self.proto.dns.too_long),
            ("pipeline_depth", self.proto.anomalies(proto::Anomaly::PipelineTooDeep)),
            ("texts", detect.cut.texts_cut),
            ("lists", detect.cut.lists_cut),
            ("tools_unread", detect.cut.tools_cut),
            ("arguments", detect.cut.arguments_cut),
        ];
        add(&mut limits, met);
        add(&mut limits, self.proto.http2.limits());
        for (why, n) in &detect.undecoded {
            add(&mut limits, [(format!("undecoded_{why}").as_str(), *n)]);
        }
        add(&mut limits, [("internal_faults", self.faults + read.faults), ("scans_failed", self.scans_failed)]);
        add(&mut limits, [("worker_restarts", self.restarts)]);
        let mut reassembly = BTreeMap::new();
        let datagrams = [
            ("fragments", read.fragments.fragments),
            ("fragments_repeated", read.fragments.repeated),
            ("datagrams_of_fragments", read.fragments.datagrams),
            ("datagrams_in_doubt", read.fragments.conflicts),
            ("datagrams_overlapping", read.fragments.overlapping),
            ("datagrams_timed_out", read.fragments.timed_out),
        ];
        add(&mut reassembly, datagrams);
        add(&mut reassembly, net.each().filter(|(name, _)| !name.starts_with("packets_") && *name != "segments"));
        Stats {
            schema: SCHEMA,
            ts,
            sensor: sensor.to_owned(),
            is_final,
            packets: packets.saturating_sub(read.fragments_waiting),
            bytes: read.capture.bytes,
            packets_analysed: analysed,
            packets_dropped: dropped,
            flows: named(&self.ends),
            messages,
            uninspected_bytes: uninspected,
            reassembly,
            signals,
            detections: serial_totals.detections.clone(),
            look_alikes,
            servers: serial.server_counts(),
            notices: serial.notice_counts().iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            limits,
            engine: generation.rules.engine().name().to_owned(),
            events: serial_totals.events,
            proxy: outside.proxy,
        }
    }
}

fn sum(to: &mut BTreeMap<&'static str, u64>, counts: &BTreeMap<&'static str, u64>) {
    for (name, n) in counts {
        *to.entry(name).or_default() += n;
    }
}

fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
}

/// Adds what is not zero.
fn add<'a>(to: &mut BTreeMap<String, u64>, counts: impl IntoIterator<Item = (&'a str, u64)>) {
    for (name, n) in counts {
        if n > 0 {
            *to.entry(name.to_owned()).or_default() += n;
        }
    }
}
