//! What a flow table counts.

/// Declares the counters once: the fields, their sum, and their names.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of a flow table since it was made. They only grow; add those of all tables up.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Every counter by name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }

        impl std::ops::AddAssign<&Self> for Stats {
            fn add_assign(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// TCP packets handed in. Each is counted once more, in exactly one of the `packets_*` below.
    segments,
    /// Packets of a flow, taken into account.
    packets_taken,
    /// Packets without a flow that open none: no payload and no SYN.
    packets_stray,
    /// Packets of a flow that is closed already.
    packets_late,
    /// Packets of a flow the layer above has no more interest in.
    packets_bypassed,
    /// Packets dropped because their checksum is wrong where others of that direction are right.
    packets_bad_checksum,
    /// Packets dropped because they lie more than 16 MiB from what is expected.
    packets_out_of_window,
    /// RST packets dropped because their sequence number is not believable.
    packets_bad_reset,
    /// SYN packets on a live flow, not believed until the other side answers or data follows.
    packets_odd_syn,

    /// Payload bytes delivered.
    delivered_bytes,
    /// Payload bytes of flows the layer above has no more interest in.
    bypassed_bytes,
    /// Payload bytes of flows that are closed already.
    late_bytes,
    /// Payload bytes dropped for their checksum.
    bad_checksum_bytes,
    /// Payload bytes dropped for lying too far off.
    out_of_window_bytes,
    /// Segments with bytes that had come before, duplicates of a mirror included.
    retransmitted,
    /// Those bytes.
    retransmitted_bytes,
    /// Keep-alive probes.
    keep_alives,
    /// Segments that came before their turn and were held.
    out_of_order,
    /// Bytes of held segments that differ from the copy already held, counted per overlap.
    overlap_conflicts,
    /// Segments with other bytes than those delivered under the same numbers.
    retransmitted_otherwise,
    /// Pieces of which no copy was kept to compare retransmissions with, as too many flows have one.
    not_kept_to_compare,
    /// Segments with urgent data.
    urgent_segments,
    /// Bytes behind a FIN.
    after_fin_bytes,
    /// Directions taken up again after everything was out of window.
    resyncs,
    /// RST packets that later data proved false.
    resets_revoked,

    /// Gaps delivered.
    gaps,
    /// Bytes in them.
    gap_bytes,
    /// Holes given up because the receiver acknowledged them.
    holes_acknowledged,
    /// Holes given up after too long a wait.
    holes_timed_out,
    /// Holes given up over [`Limits::held_per_direction`](super::Limits::held_per_direction).
    holes_over_direction_limit,
    /// Holes given up over [`Limits::held_total`](super::Limits::held_total).
    holes_over_total_limit,
    /// Segments the snaplen cut.
    cut_segments,

    /// Flows opened.
    flows_opened,
    /// Of these, without a SYN.
    flows_midstream,
    /// Flows closed by FIN in both directions.
    flows_fin,
    /// Flows closed by RST.
    flows_reset,
    /// Flows closed by silence.
    flows_timeout,
    /// Flows closed for room.
    flows_evicted,
    /// Of these, because the layer above held more than [`Limits::above`](super::Limits::above).
    flows_too_heavy,
    /// Flows closed by a new connection on the same ports.
    flows_reused,
    /// Flows closed by the end of input.
    flows_end_of_input,
    /// Flows the layer above lost interest in.
    flows_bypassed,
    /// Directions whose checksums are all wrong and are trusted (offload).
    offloaded_directions,
}
